"""Exports in the format huggingface: what ``datasets`` reads of them."""

import datasets
import pytest
import yaml

import clipmill


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
