"""Other people's readers take our shards, and ours take theirs."""

import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset

from clipmill.core.errors import InputError, OutputError
from clipmill.formats.base import StoredFile
from clipmill.formats.files import FilesFormat
from clipmill.formats.parquet import ParquetFormat
from clipmill.formats.sidecar import sample_json
from clipmill.formats.spool import MAX_CELL_BYTES
from clipmill.formats.tfrecord import TFRecordFormat
from clipmill.formats.webdataset import WebDatasetFormat
from clipmill.io.folder import Folder

# A row's facts are null, empty or missing at first, and appear when a reader has made up its mind.
LATE = {
    "caption": "at last",
    "rank": 3,
    "score": 0.5,
    "tags": ["a", "b"],
    "info": {"title": "T", "view_count": 7, "tags": ["x"], "json": '{"odd": [1, "2"]}'},
    "subtitles": [{"language": "en", "start_seconds": 0.0, "end_seconds": 1.0, "text": "hi"}],
    "probe": {"width": 640, "fps": 25.0, "video": {"codec": "h264"}, "tracks": ["aac"]},
}
NOTHING = {
    "caption": None,
    "rank": None,
    "score": float("nan"),
    "tags": [],
    "info": None,
    "subtitles": [],
    "probe": {"width": 320, "fps": None, "video": {"codec": None}, "tracks": []},
}


def mixed_row(number: int) -> dict[str, object]:
    facts = LATE if number in (2, 9) or number > 20 else NOTHING
    return {
        "key": f"{number:08d}",
        "status": "success",
        "error_message": None,
        "url": f"https://example.com/{number}",
        "clips": [["0.5", "2.0"]],
        **facts,
    }


def write_tar(folder: Path, rows: list[dict], shard: str = "00000") -> Path:
    writer = WebDatasetFormat().writer(folder, shard)
    writer.truncate(0)
    for row in rows:
        caption = str(row.get("caption") or "").encode()
        members = {"mp4": b"media " + str(row["key"]).encode(), "txt": caption}
        writer.add(str(row["key"]), {**members, "json": sample_json(row)})
    writer.finish(pa.table({"key": [row["key"] for row in rows]}))
    return folder / f"{shard}.tar"


@pytest.mark.parametrize("first", [0, 2, 9])
@pytest.mark.parametrize("streaming", [False, True], ids=["cached", "streaming"])
def test_hugging_face_reads_every_sample(tmp_path, monkeypatch, first, streaming):
    """Whatever its first five samples happen to lack."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    paths = [
        write_tar(tmp_path, [mixed_row(number) for number in range(first, 24)]),
        write_tar(tmp_path, [mixed_row(number) for number in range(24, 30)], "00001"),
    ]
    loaded = datasets.load_dataset(
        "webdataset",
        data_files={"train": [str(path) for path in paths]},
        split="train",
        streaming=streaming,
        cache_dir=str(tmp_path / "cache"),
    ).cast_column("mp4", datasets.Video(decode=False))
    samples = list(loaded)
    assert [sample["__key__"] for sample in samples] == [f"{n:08d}" for n in range(first, 30)]
    assert samples[-1]["mp4"]["bytes"] == b"media 00000029"
    assert samples[-1]["txt"] == "at last"
    known = samples[-1]["json"]
    assert (known["key"], known["caption"], known["probe_width"]) == ("00000029", "at last", 640)
    assert known["clips"] == [["0.5", "2.0"]]
    if first == 2:  # seen at first, so known of for ever
        assert (known["rank"], known["tags"]) == (3, ["a", "b"])
        assert known["info"]["view_count"] == 7
        assert samples[3]["json"]["rank"] is None


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # it leaves files open
def test_the_webdataset_library_reads_and_decodes(tmp_path):
    write_tar(tmp_path, [mixed_row(number) for number in range(30)])
    loader = webdataset.WebDataset(
        str(tmp_path / "00000.tar"), shardshuffle=False, empty_check=False
    ).decode()
    samples = list(loader)
    assert [sample["__key__"] for sample in samples] == [f"{n:08d}" for n in range(30)]
    assert samples[29]["mp4"] == b"media 00000029"
    assert samples[29]["txt"] == "at last"
    assert samples[29]["json"]["rank"] == 3


def test_members_of_a_sample_lie_together_in_key_order(tmp_path):
    write_tar(tmp_path, [mixed_row(number) for number in range(3)])
    listed = subprocess.run(
        ["tar", "tf", tmp_path / "00000.tar"], capture_output=True, check=True, text=True
    )
    assert listed.stdout.split() == [
        f"{number:08d}.{name}" for number in range(3) for name in ("mp4", "txt", "json")
    ]


def test_samples_of_a_tar_have_the_same_members(tmp_path):
    writer = WebDatasetFormat().writer(tmp_path, "00000")
    writer.truncate(0)
    writer.add("00000", {"mp4": b"v", "m4a": b"a", "txt": b""})
    for wrong in ({"mp4": b"v", "txt": b""}, {"mp4": b"v", "m4a": b"a", "json": b"{}"}):
        with pytest.raises(ValueError, match="sample 00001 has the members"):
            writer.add("00001", wrong)
    writer.add("00002", {"webm": b"v", "m4a": b"a", "txt": b""})  # kept in its own container
    position = writer.tell()
    writer.abandon()

    continued = WebDatasetFormat().writer(tmp_path, "00000")
    continued.truncate(position)
    with pytest.raises(ValueError, match="first sample of shard 00000 has"):
        continued.add("00003", {"mp4": b"v", "txt": b""})
    continued.finish(pa.table({"key": ["00000", "00002"]}))
    keys = [key for key, _, _ in WebDatasetFormat().read_samples(Folder(tmp_path), "00000")]
    assert keys == ["00000", "00002"]


def peers_json(key: str, status: str) -> bytes:
    known = {"url": "https://example.com/a", "caption": "c", "key": key, "status": status}
    return json.dumps(known, indent=4).encode()


def test_shards_of_video2dataset_are_read(tmp_path):
    """Their tars hold texts of failed samples, and members in any order within a sample."""
    with webdataset.TarWriter(str(tmp_path / "00000.tar")) as tar:
        tar.write({"__key__": "000000001", "json": peers_json("1", "success"), "mp4": b"video"})
        tar.write({"__key__": "000000002", "json": peers_json("2", "failed_to_download")})
        tar.write({"__key__": "000000003_00001", "mp4": b"clip", "txt": b"only here"})
    found = list(WebDatasetFormat().read_samples(Folder(tmp_path), "00000"))
    assert [key for key, _, _ in found] == ["000000001", "000000002", "000000003_00001"]
    assert [sorted(refs) for _, refs, _ in found] == [["json", "mp4"], ["json"], ["mp4", "txt"]]
    assert [known.get("status") for _, _, known in found][:2] == ["success", "failed_to_download"]
    assert found[2][2] == {"caption": "only here"}
    assert WebDatasetFormat().read(Folder(tmp_path), found[2][1]["mp4"]) == b"clip"


def plain_tar(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def test_names_are_split_as_the_webdataset_library_does(tmp_path):
    plain_tar(
        tmp_path / "00000.tar",
        {
            "./a.b/7.MP4": b"v",
            "./a.b/7.en.vtt": b"s",
            "README": b"no dot",
            "._7.mp4": b"hidden",
            "8.mp4": b"w",
        },
    )
    found = list(WebDatasetFormat().read_samples(Folder(tmp_path), "00000"))
    assert [(key, sorted(refs)) for key, refs, _ in found] == [
        ("a.b/7", ["en.vtt", "mp4"]),
        ("8", ["mp4"]),
    ]


def test_a_member_twice_or_json_that_is_none_is_said(tmp_path):
    plain_tar(tmp_path / "00000.tar", {"1.mp4": b"a", "1.MP4": b"b"})
    with pytest.raises(InputError, match=r"has 1\.MP4 twice"):
        list(WebDatasetFormat().read_samples(Folder(tmp_path), "00000"))
    plain_tar(tmp_path / "00001.tar", {"1.json": b"{"})
    with pytest.raises(InputError, match=r"1\.json is not JSON"):
        list(WebDatasetFormat().read_samples(Folder(tmp_path), "00001"))


def test_files_of_img2dataset_are_read(tmp_path):
    (tmp_path / "00000").mkdir()
    for name, data in {
        "000000001.jpg": b"picture",
        "000000001.txt": b"a caption",
        "000000001.json": peers_json("1", "success"),
        "000000000.json": peers_json("0", "failed_to_download"),
        ".nfs0001": b"",
    }.items():
        (tmp_path / "00000" / name).write_bytes(data)
    found = list(FilesFormat().read_samples(Folder(tmp_path), "00000"))
    assert [(key, sorted(refs)) for key, refs, _ in found] == [
        ("000000000", ["json"]),
        ("000000001", ["jpg", "json", "txt"]),
    ]
    assert found[1][2]["caption"] == "c"
    assert FilesFormat().read(Folder(tmp_path), found[1][1]["jpg"]) == b"picture"


def test_a_file_that_someone_else_has_is_copied(tmp_path):
    """Linking it would let a later edit of the original change the dataset."""
    (tmp_path / "s").mkdir()
    theirs, ours = tmp_path / "theirs.mp4", tmp_path / "fetched.mp4"
    theirs.write_bytes(b"one")
    os.link(theirs, ours)
    writer = FilesFormat().writer(tmp_path / "s", "00000")
    writer.truncate(0)
    writer.add("00000", {"mp4": StoredFile(ours)})
    writer.finish(pa.table({"key": ["00000"]}))
    theirs.write_bytes(b"two")
    assert (tmp_path / "s" / "00000" / "00000.mp4").read_bytes() == b"one"


def write_parquet(folder: Path, table: pa.Table, media: dict[str, dict[str, bytes]]) -> Path:
    writer = ParquetFormat().writer(folder, "00000")
    writer.truncate(0)
    for key, members in media.items():
        writer.add(key, members)
    assert writer.finish(table) == ["00000.parquet"]
    return folder / "00000.parquet"


def test_pandas_and_hugging_face_read_media_cells(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    table = pa.table({"key": ["0", "1", "2"], "caption": ["a", None, "c"]})
    path = write_parquet(tmp_path, table, {"0": {"mp4": b"zero"}, "2": {"mp4": b""}})
    frame = pandas.read_parquet(path)
    assert list(frame.columns) == ["key", "caption", "mp4"]
    assert [None if cell is None else bytes(cell) for cell in frame["mp4"]] == [b"zero", None, b""]
    loaded = datasets.load_dataset(
        "parquet", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
    ).cast_column("mp4", datasets.Video(decode=False))
    assert loaded[0]["mp4"]["bytes"] == b"zero"
    assert loaded[1]["mp4"] is None


def test_row_groups_are_bounded_by_bytes(tmp_path):
    media = {f"{number}": {"mp4": bytes(9_000_000)} for number in range(8)}
    path = write_parquet(tmp_path, pa.table({"key": list(media)}), media)
    metadata = pq.ParquetFile(path).metadata
    rows = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    assert rows == [3, 3, 2]
    column = metadata.row_group(0).column(1)
    assert (column.compression, column.is_stats_set) == ("UNCOMPRESSED", False)
    assert metadata.row_group(0).column(0).is_stats_set


def test_parquet_of_others_without_places_is_read(tmp_path):
    cells = [b"video", None]
    keys = ["000000001", "000000002"]
    pq.write_table(
        pa.table({"url": ["u", "v"], "key": keys, "mp4": pa.array(cells, pa.binary())}),
        tmp_path / "00000.parquet",
        row_group_size=1,
    )
    found = list(ParquetFormat().read_samples(Folder(tmp_path), "00000"))
    assert [(key, sorted(refs)) for key, refs, _ in found] == [(keys[0], ["mp4"]), (keys[1], [])]
    assert found[0][2] == {"url": "u", "key": keys[0]}
    assert ParquetFormat().read(Folder(tmp_path), found[0][1]["mp4"]) == b"video"


def test_what_parquet_cannot_hold_is_said(tmp_path):
    writer = ParquetFormat().writer(tmp_path, "00000")
    writer.truncate(0)
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(MAX_CELL_BYTES + 1)
    with pytest.raises(Exception, match="does not fit into format 'parquet'") as caught:
        writer.add("0", {"mp4": StoredFile(tmp_path / "huge")})
    assert caught.value.error_class == "too_large_for_format"
    writer.add("0", {"mp4": b"x"})
    with pytest.raises(OutputError, match="a column named 'mp4', which format 'parquet' needs"):
        writer.finish(pa.table({"key": ["0"], "mp4": ["a user's own"]}))


def test_media_without_a_row_are_a_bug(tmp_path):
    with pytest.raises(ValueError, match="no row for"):
        write_parquet(tmp_path, pa.table({"key": ["0"]}), {"1": {"mp4": b"x"}})


def test_tables_are_read_by_pandas_with_their_types(tmp_path):
    table = pa.Table.from_pylist([mixed_row(number) for number in range(5)])
    for layout in (WebDatasetFormat(), FilesFormat(), TFRecordFormat()):
        writer = layout.writer(tmp_path, "00000")
        writer.truncate(0)
        writer.finish(table)
        assert pq.read_schema(tmp_path / "00000.parquet").equals(table.schema)
        assert pandas.read_parquet(tmp_path / "00000.parquet")["rank"].tolist()[2] == 3
