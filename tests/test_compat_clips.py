"""video2dataset's clipping, carried out; each test is named after what the peer gets wrong."""

from __future__ import annotations

import json
from fractions import Fraction

import pandas as pd
import pytest

from clipmill.demo.media import make_audio, make_video
from clipmill.demo.server import Origin
from compat_runs import again, run
from media_clips import numbers
from scene_media import scenes, write_pictures

LONG_SECONDS = 14
GOP_SECONDS = 3
BROKEN = 2000


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server of a.mp4: 14 s at 10 frames/s with a key frame every 3 s, and other files."""
    folder = tmp_path_factory.mktemp("served")
    # Frames that are decoded in the order they are shown in can be cut after any of them.
    options = {"gop": 10 * GOP_SECONDS, "codec_options": {"bf": "0"}}
    long = make_video(folder / "a.mp4", seconds=LONG_SECONDS, audio=None, **options)
    (folder / "broken.mp4").write_bytes(long.read_bytes()[:BROKEN])
    times = [Fraction(n, 25) for n in range(40)]
    times += [Fraction(8, 5) + Fraction(n, 10) for n in range(40)]
    write_pictures(folder / "variable.mp4", scenes([40, 40]), frame_times=times)
    make_audio(folder / "tone.m4a", seconds=2)
    with Origin(folder) as running:
        yield running


def shown(output, key):
    """Numbers of the source's frames that a clip shows."""
    return numbers(output / "00000" / f"{key}.mp4")


def seconds(spans):
    return [(round(span["start_seconds"], 6), round(span["end_seconds"], 6)) for span in spans]


# Clipping by a column


@pytest.fixture(scope="module")
def low(served, tmp_path_factory):
    """Clips of the default precision, low: of four rows, of which two are wrong."""
    output = tmp_path_factory.mktemp("low") / "out"
    rows = [
        {"url": "a.mp4", "spans": [[1.2, 1.7], [4, 5], [13, 14]]},
        {"url": "a.mp4", "spans": [["00:00:04", "00:00:05.100"]]},
        {"url": "a.mp4", "spans": [["soon", "later"]]},
        {"url": "broken.mp4", "spans": [[0, 1]]},
    ]
    return output, run(served, output, rows, {}, clip_col="spans")


def test_a1_copied_clips_are_the_part_asked_for_and_say_what_more_they_hold(low):
    output, table = low
    clips = table[table["source_key"] == "00000000"]
    assert list(clips["key"]) == ["00000000_00000", "00000000_00001", "00000000_00002"]
    assert seconds(clips["span"]) == [(1.2, 1.7), (4, 5), (13, 14)]
    assert seconds(row["span"] for row in clips["rendered"]) == [(0, 1.7), (3, 5), (12, 14)]
    assert shown(output, "00000000_00000") == list(range(17))
    assert shown(output, "00000000_00001") == list(range(30, 50))
    assert shown(output, "00000000_00002") == list(range(120, 140))
    assert {row["encoder"] for row in clips["rendered"]} == {None}


def test_b20_times_may_be_written_without_a_fraction(low):
    output, table = low
    (clip,) = table[table["source_key"] == "00000001"].to_dict("records")
    assert seconds([clip["span"]]) == [(4, 5.1)]
    assert shown(output, clip["key"]) == list(range(30, 51))


def test_c2_every_row_ends_somewhere_and_is_counted(low):
    output, table = low
    assert sorted(set(table["source_key"])) == [f"0000000{row}" for row in range(4)]
    stats = json.loads((output / "00000_stats.json").read_text())
    assert stats["input_rows"] == 4
    assert stats["count"] == len(table) == 6
    assert stats["successes"] + stats["failed_to_subsample"] == 6
    assert sum(stats["status_dict"].values()) == 6


def test_c8_successes_are_the_clips_that_were_written(low):
    output, _ = low
    stats = json.loads((output / "00000_stats.json").read_text())
    assert stats["successes"] == len(list((output / "00000").glob("*.mp4"))) == 4


def test_c4_failures_tell_the_reason(low):
    _, table = low
    failed = table[table["status"] != "success"].set_index("source_key")
    assert failed.loc["00000002", "error_class"] == "invalid_span"
    assert "'soon' is not a time" in failed.loc["00000002", "error_message"]
    assert failed.loc["00000003", "status"] == "failed_to_process"
    assert "moov" in failed.loc["00000003", "error_message"]


@pytest.mark.parametrize("precision", ["keyframe_adjusted", "exact"])
def test_a2_pieces_keep_to_max_length_and_to_the_frame(served, tmp_path, precision):
    args = {"max_length": 4, "min_length": 1, "precision": precision}
    rows = [{"url": "a.mp4", "spans": [[0, 12], [12.1, 12.9]]}]
    clipping = {"Clipping": {"args": args}}
    table = run(served, tmp_path / "out", rows, clipping, clip_col="spans")
    assert seconds(table["span"]) == [(0, 4), (4, 8), (8, 12)]
    assert seconds(row["span"] for row in table["rendered"]) == [(0, 4), (4, 8), (8, 12)]
    assert shown(tmp_path / "out", "00000000_00001") == list(range(40, 80))


# Cuts


def test_b3_a13_cuts_found_by_one_run_are_clips_of_the_next_by_time_not_by_rate(served, tmp_path):
    found = {"CutDetection": {"args": {"framerates": [5]}}}
    first = run(served, tmp_path / "one", [{"url": "variable.mp4"}], found)
    assert list(first["key"]) == ["00000000"]
    cuts = [cut for cut in first["cuts"][0] if pd.isna(cut["frame_rate"])]
    assert [(cut["number"], cut["seconds"]) for cut in cuts] == [(40, 1.6)]
    told = json.loads((tmp_path / "one" / "00000" / "00000000.json").read_text())
    assert told["cuts"][0]["seconds"] == 1.6
    kept = {"CutDetection": {"cuts_are_clips": True}, "Frame": {"args": {"frame_rate": 5}}}
    second = again(tmp_path / "one", tmp_path / "two", kept)
    assert seconds(second["span"]) == [(0, 1.6), (1.6, 5.54)]
    assert [row["frame_count"] for row in second["rendered"]] == [8, 20]


# Sound alone


def test_b18_b19_sound_alone_is_probed_split_and_worked_on_again(served, tmp_path):
    sound = {"encode_formats": {"audio": "m4a"}}
    probed = {"FFProbe": {"args": {"extract_keyframes": True}}}
    cut = {"CutDetection": {"cuts_are_clips": True, "args": {}}}
    first = run(served, tmp_path / "one", [{"url": "tone.m4a"}], {**probed, **cut}, **sound)
    assert list(first["status"]) == ["success"]
    assert list(first["key"]) == ["00000000_00000"]
    slow = {"AudioRate": {"args": {"sample_rate": 16000, "n_audio_channels": 1}}}
    second = again(tmp_path / "one", tmp_path / "two", slow, **sound)
    assert list(second["key"]) == ["00000000_00000"]
    (track,) = second["probe"][0]["audio"]
    assert (track["sample_rate"], track["channels"]) == (16000, 1)
