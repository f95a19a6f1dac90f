"""Exports in the format huggingface: what ``datasets`` reads of them."""

from decimal import Decimal

import datasets
import pyarrow as pa
import pytest
import yaml

import clipmill
from clipmill.demo.media import make_video


@pytest.fixture(scope="module")
def out(licensed, tmp_path_factory):
    """Two of three clips, in two shards, with an image of each."""
    folder = tmp_path_factory.mktemp("hub") / "out"
    best = licensed.select("key <> '000011' and status = 'success'", name="some", overwrite=True)
    best.export(folder, format="huggingface", images="first", quiet=True, samples_per_shard=1)
    return folder


def test_datasets_reads_the_folder(out, tmp_path):
    found = datasets.load_dataset(str(out), split="train", cache_dir=str(tmp_path))
    assert found.column_names[0] == "video"
    assert isinstance(found.features["video"], datasets.Video)
    found = found.cast_column("video", datasets.Video(decode=False))
    made = {row["key"]: row for row in clipmill.open(out).table().to_pylist()}
    assert len(found) == len(made) > 1
    for row in found:
        assert row["caption"] == made[row["key"]]["caption"]
        assert row["rendered_frame_count"] == made[row["key"]]["rendered"]["frame_count"]
        assert row["probe_video_width"] == made[row["key"]]["probe"]["video"]["width"]
        assert row["video"]["path"].endswith(f"{row['key']}.mp4")
        assert row["jpg_path"] == f"{row['key']}.jpg"


def test_the_card_tells_of_the_selection_the_licences_and_the_columns(out):
    _, front, body = (out / "README.md").read_text().split("---\n", 2)
    (config,) = yaml.safe_load(front)["configs"]
    assert config["data_files"][0]["path"] == ["[0-9]*/*.mp4", "[0-9]*/metadata.parquet"]
    assert "## Selection `some`" in body
    assert "| not known | 1 |" in body
    assert "| cc-by-4.0 | 1 |" in body
    assert "| `caption` | `string` |  |  |" in body
    assert "| `probe_duration_seconds` | `double` | s | of the video, or else" in body


def test_it_is_a_dataset_of_ours_too(out):
    data = clipmill.open(out)
    key = data.table(["key"])["key"][0].as_py()
    assert data.sample(key)["mp4"][4:8] == b"ftyp"
    assert clipmill.download(out, out.parent / "again", quiet=True).table(["status"]).num_rows


def test_datasets_reads_columns_of_all_types_and_names(tmp_path):
    path = make_video(tmp_path / "a.mp4", seconds=0.4, fps=10)
    given = {
        "tags": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
        "price": pa.array([Decimal("1.50")], pa.decimal128(10, 2)),
        "kind": pa.array(["x"]).dictionary_encode(),
        "seen": pa.array([0], pa.timestamp("us", "UTC")),
        "deep": pa.array([{"a": [{"b": 1}]}]),
        "bytes": pa.array([b"\x00\xff"]),
        "nothing": pa.nulls(1),
        "video": pa.array(["taken by the reader"]),
        "file_name": pa.array(["of something else"]),
        "old_file_names": pa.array([["a", "b"]]),
    }
    table = pa.table({"url": [str(path)], **given})
    raw = clipmill.download(table, tmp_path / "raw", allow_local_paths=True, quiet=True)
    raw.export(tmp_path / "out", format="huggingface", precision="copy", quiet=True)
    cache = str(tmp_path / "cache")
    found = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=cache)
    (row,) = found.cast_column("video", datasets.Video(decode=False))
    assert row["tags"] == [{"key": "a", "value": 1}]
    assert (row["price"], row["kind"], row["bytes"]) == (Decimal("1.50"), "x", b"\x00\xff")
    assert row["deep_a"] == [{"b": 1}]
    assert row["input_video"] == "taken by the reader"
    assert row["input_filename"] == "of something else"
    assert row["old_filenames"] == ["a", "b"]
