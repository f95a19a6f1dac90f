"""What a sample's json member says of its row."""

import datetime
import decimal
import json

import pyarrow as pa

from clipmill.formats.sidecar import read_sidecars, sample_json


def known(**row: object) -> dict[str, object]:
    return json.loads(sample_json(row))


def test_null_and_empty_values_are_left_out_at_any_depth():
    assert known(a=None, b=[], c={}, d=float("nan"), e=[None], f=[[]], g={"h": None}) == {}
    assert known(a=0, b=False, c="", d=[0, None], e={"f": "x", "g": []}) == {
        "a": 0,
        "b": False,
        "c": "",
        "d": [0, None],
        "e": {"f": "x"},
    }


def test_captions_and_error_messages_are_always_there():
    assert known(caption=None, error_message=None) == {"caption": "", "error_message": None}
    assert known(key="0") == {"key": "0"}


def test_the_probe_becomes_flat_keys():
    probe = {"container": "mp4", "video": {"width": 640, "fps": None}, "audio": [{"codec": "aac"}]}
    assert known(probe=probe) == {
        "probe_container": "mp4",
        "probe_video_width": 640,
        "probe_audio": [{"codec": "aac"}],
    }


def test_what_differs_from_run_to_run_is_left_out():
    row = {"key": "0", "fetch": {"seconds": 0.1}, "media": {"mp4": {}}, "retryable": False}
    assert known(**row) == {"key": "0"}


def test_every_arrow_type_becomes_json():
    when = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    [row] = pa.table(
        {
            "when": [when],
            "day": [when.date()],
            "length": [datetime.timedelta(seconds=1.5)],
            "price": [decimal.Decimal("1.10")],
            "raw": [b"\0\xff"],
            "map": pa.array([[("a", 1), ("b", None)]], pa.map_(pa.string(), pa.int64())),
            "clips": [[["0", "1"]]],
            "text": ["ü\n"],
        }
    ).to_pylist()
    assert known(**row) == {
        "when": "2026-01-02T03:04:05+00:00",
        "day": "2026-01-02",
        "length": 1.5,
        "price": "1.10",
        "raw": "AP8=",
        "map": {"a": 1},
        "clips": [["0", "1"]],
        "text": "ü\n",
    }


def test_texts_that_are_no_unicode_do_not_stop_a_sample():
    assert known(title="half \ud83d") == {"title": "half ?"}


def test_sidecars_are_read_together():
    assert read_sidecars({"json": b'{"a": 1}', "txt": b"c"}, "x") == {"a": 1, "caption": "c"}
    assert read_sidecars({"json": b'{"caption": "j"}', "txt": b"t"}, "x") == {"caption": "j"}
    assert read_sidecars({"json": b"[1]"}, "x") == {"json": [1]}
    assert read_sidecars({}, "x") == {}
