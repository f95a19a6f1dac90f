"""TFRecord files are written without TensorFlow and read by those who have it."""

import json
import struct
import sys
from pathlib import Path

import google_crc32c
import pyarrow as pa
import pytest
from tfrecord import example_pb2
from tfrecord.reader import tfrecord_loader

from clipmill.core.errors import InputError, MissingExtra, OutputError
from clipmill.formats.base import StoredFile
from clipmill.formats.sidecar import sample_json
from clipmill.formats.tfrecord import TFRecordFormat
from clipmill.io.folder import Folder

ROW = {
    "key": "00000001",
    "status": "success",
    "error_message": None,
    "url": "https://example.com/ü",
    "caption": "日本",
    "rank": -7,
    "good": True,
    "score": 0.25,
    "tags": ["a", "ß"],
    "numbers": [1, 2, 300],
    "mixed": [1, 0.5],
    "clips": [["0.5", "2"], ["3", "4"]],
    "info": {"title": "T", "views": 3},
    "huge": 2**70,
    "empty": [],
    "txt": "a column of that name",
}


def write(folder: Path, *rows: dict, media: bytes | StoredFile = b"video") -> Path:
    writer = TFRecordFormat().writer(folder, "00000")
    writer.truncate(0)
    for row in rows:
        text = row["caption"].encode()
        writer.add(row["key"], {"mp4": media, "txt": text, "json": sample_json(row)})
    writer.finish(pa.table({"key": [row["key"] for row in rows]}))
    return folder / "00000.tfrecord"


def test_every_kind_of_value_arrives(tmp_path):
    path = write(tmp_path, ROW, {**ROW, "key": "00000002"})
    first, second = tfrecord_loader(str(path), None)
    assert first.pop("mp4") == b"video"
    assert first.pop("key") == b"00000001"
    assert second["key"] == b"00000002"
    assert json.loads(first.pop("json"))["rank"] == -7
    assert first.pop("txt") == "日本".encode()
    assert {name: value.tolist() for name, value in first.items() if hasattr(value, "tolist")} == {
        "rank": [-7],
        "good": [1],
        "score": [0.25],
        "tags": [b"a", "ß".encode()],
        "numbers": [1, 2, 300],
        "mixed": [1, 0.5],
    }
    assert {name: value for name, value in first.items() if isinstance(value, bytes)} == {
        "status": b"success",
        "url": "https://example.com/ü".encode(),
        "caption": "日本".encode(),
        "clips": b'[["0.5","2"],["3","4"]]',
        "info": b'{"title":"T","views":3}',
        "huge": str(2**70).encode(),
    }


@pytest.mark.parametrize("size", [0, 127, 128, 3_000_000])
def test_checksums_and_lengths_hold(tmp_path, size):
    (tmp_path / "in").write_bytes(bytes(range(256)) * (size // 256) + b"x" * (size % 256))
    path = write(tmp_path, ROW, media=StoredFile(tmp_path / "in"))
    data = path.read_bytes()

    def masked(part: bytes) -> int:
        crc = google_crc32c.value(part)
        return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF

    (length,) = struct.unpack("<Q", data[:8])
    assert struct.unpack("<I", data[8:12]) == (masked(data[:8]),)
    assert struct.unpack("<I", data[-4:]) == (masked(data[12:-4]),)
    assert length == len(data) - 16
    example = example_pb2.Example.FromString(data[12:-4])
    assert example.features.feature["mp4"].bytes_list.value[0] == (tmp_path / "in").read_bytes()


def test_records_of_others_are_read(tmp_path):
    """As video2dataset writes them: no json, all its keys as features, packed or not."""
    example = example_pb2.Example()
    features = example.features.feature
    features["key"].bytes_list.value.append(b"000000001")
    features["mp4"].bytes_list.value.append(b"their video")
    features["txt"].bytes_list.value.append(b"a caption")
    features["status"].bytes_list.value.append(b"success")
    features["views"].int64_list.value.extend([-1, 2])
    features["fps"].float_list.value.append(25.0)
    record = example.SerializeToString()
    path = tmp_path / "00000.tfrecord"
    path.write_bytes(struct.pack("<Q", len(record)) + bytes(4) + record + bytes(4))
    [(key, refs, known)] = TFRecordFormat().read_samples(Folder(tmp_path), "00000")
    assert (key, sorted(refs)) == ("000000001", ["mp4", "txt"])
    assert TFRecordFormat().read(Folder(tmp_path), refs["mp4"]) == b"their video"
    assert known == {
        "key": "000000001",
        "status": "success",
        "views": [-1, 2],
        "fps": 25.0,
        "caption": "a caption",
    }


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-5], "is cut short or no TFRecord file"),
        (lambda data: data[:5], "is cut short or no TFRecord file"),
        (lambda data: b"\x1f\x8b" + data[2:], "compressed with gzip"),
        (lambda data: data[:12] + b"\xff" * 20 + data[32:], "the record at byte 12 cannot be read"),
        (lambda data: struct.pack("<Q", 3) + bytes(4 + 3 + 4), "the record at byte 12 cannot be"),
    ],
)
def test_what_is_no_record_is_said(tmp_path, damage, message):
    path = write(tmp_path, ROW)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=message):
        list(TFRecordFormat().read_samples(Folder(tmp_path), "00000"))


def test_a_column_with_the_name_of_media_is_refused(tmp_path):
    writer = TFRecordFormat().writer(tmp_path, "00000")
    with pytest.raises(OutputError, match="a column named 'mp4', which format 'tfrecord' needs"):
        writer.add("0", {"mp4": b"", "json": sample_json({"key": "0", "mp4": "mine"})})
    writer.abandon()


def test_the_missing_library_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "google_crc32c", None)
    with pytest.raises(MissingExtra, match=r'pip install "clipmill\[tfrecord\]"'):
        TFRecordFormat().writer(tmp_path, "00000")
    assert TFRecordFormat.needs == (("google_crc32c", "tfrecord"),)
