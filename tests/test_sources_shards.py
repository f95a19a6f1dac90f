"""Existing shards of ours and of the peers as rows whose media are used where they lie."""

from __future__ import annotations

import io
import json
import logging
import pickle
import tarfile
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset as wds

from clipmill.core.errors import InputError
from clipmill.core.registry import load
from clipmill.formats.base import ShardFormat
from clipmill.io.byte_reader import ByteReader
from clipmill.io.folder import Folder
from clipmill.sources.base import MEDIA_COLUMN, Part, Source
from clipmill.sources.columns import Columns
from clipmill.sources.open import open_source
from clipmill.sources.shards import ShardSource

PLACE = pa.struct([("offset", pa.int64()), ("size", pa.int64()), ("sha256", pa.string())])


def rows(source: Source) -> list[dict]:
    tables = [source.read(Part(i, 0, file.rows)) for i, file in enumerate(source.files())]
    assert all(table.schema.equals(source.schema()) for table in tables)
    return pa.concat_tables(tables).to_pylist()


def bytes_of(ref: dict) -> bytes:
    if ref["row"] is not None:
        cell = pq.read_table(ref["path"], columns=[ref["extension"]])[0][ref["row"]].as_py()
        return cell["bytes"] if isinstance(cell, dict) else cell
    if ref["offset"] is None:
        return Path(ref["path"]).read_bytes()
    with ByteReader(ref["path"]) as file:
        return file.read(ref["offset"], ref["size"])


def write_tar(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def peer_shard(folder: Path, shard: str, layout: str, *, stats: bool = True) -> None:
    """A shard as video2dataset writes it: the second of three downloads failed."""
    keys = [f"{shard}{row:03}" for row in range(3)]
    columns = {
        "views": [1, 2, 3],
        "caption": ["one", "two", "three"],
        "url": [f"https://a.org/{key}" for key in keys],
        "key": keys,
        "status": ["success", "failed_to_download", "success"],
        "error_message": [None, "404", None],
    }
    media = {key: f"video {key}".encode() for key in (keys[0], keys[2])}
    folder.mkdir(exist_ok=True)
    if layout == "webdataset":
        members = {}
        for key in reversed(keys):  # members lie in the order in which downloads ended
            if key in media:
                members[f"{key}.mp4"] = media[key]
                members[f"{key}.m4a"] = b"sound"
            members |= {f"{key}.txt": b"caption", f"{key}.json": b"{}"}
        write_tar(folder / f"{shard}.tar", members)
    elif layout == "files":
        (folder / shard).mkdir()
        for key, data in media.items():
            (folder / shard / f"{key}.mp4").write_bytes(data)
            (folder / shard / f"{key}.m4a").write_bytes(b"sound")
            (folder / shard / f"{key}.json").write_text("{}")
    else:
        columns["mp4"] = [media.get(key) for key in keys]
        columns["m4a"] = [b"sound" if key in media else None for key in keys]
    pq.write_table(pa.table(columns), folder / f"{shard}.parquet")
    if stats:
        (folder / f"{shard}_stats.json").write_text("{}")


@pytest.mark.parametrize("layout", ["webdataset", "files", "parquet"])
def test_shards_of_the_peers_give_rows_and_media(tmp_path: Path, layout: str):
    peer_shard(tmp_path, "00000", layout)
    peer_shard(tmp_path, "00001", layout)

    source = open_source(str(tmp_path))

    assert isinstance(source, ShardSource)
    found = rows(pickle.loads(pickle.dumps(source)))
    assert [row["input_key"] for row in found] == [
        f"0000{s}{r:03}" for s in (0, 1) for r in range(3)
    ]
    assert [row["caption"] for row in found[:3]] == ["one", "two", "three"]
    assert [row["views"] for row in found[:3]] == [1, 2, 3]
    assert found[1][MEDIA_COLUMN] is None  # to be fetched by its URL
    assert found[1]["url"] == "https://a.org/00000001"
    assert found[1]["input_status"] == "failed_to_download"
    assert [bytes_of(ref) for ref in found[5][MEDIA_COLUMN]] == [b"video 00001002", b"sound"]
    assert [ref["extension"] for ref in found[0][MEDIA_COLUMN]] == ["mp4", "m4a"]
    assert "mp4" not in source.schema().names


def test_a_tar_whose_table_is_lost_is_read_beside_the_others(tmp_path: Path):
    write_tar(tmp_path / "0.tar", {"a.mp4": b"video a", "a.json": b'{"views": 1, "x": 5}'})
    pq.write_table(pa.table({"key": ["a"], "views": [1]}), tmp_path / "0.parquet")
    write_tar(tmp_path / "1.tar", {"b.mp4": b"video b", "b.json": b'{"views": 2.5, "x": 6}'})
    found = rows(open_source(str(tmp_path)))
    assert [(row["views"], row["x"]) for row in found] == [(1.0, None), (2.5, 6)]
    assert [bytes_of(row[MEDIA_COLUMN][0]) for row in found] == [b"video a", b"video b"]


def test_shards_without_a_sample_are_said(tmp_path: Path):
    write_tar(tmp_path / "0.tar", {})
    with pytest.raises(InputError, match="no samples"):
        open_source(str(tmp_path)).files()


@pytest.mark.parametrize("layout", ["webdataset", "files", "parquet", "tfrecord"])
def test_our_own_shards_in_every_layout(tmp_path: Path, layout: str):
    fmt: ShardFormat = load("clipmill.formats", layout)()
    writer = fmt.writer(tmp_path, "00000")
    writer.truncate(0)
    places = [writer.add(f"0000{row}", {"mp4": b"video %d" % row}) for row in (0, 2)]
    as_place = [
        {"mp4": {"offset": p["mp4"].offset, "size": p["mp4"].size, "sha256": p["mp4"].sha256}}
        for p in places
    ]
    table = pa.table(
        {
            "key": ["00000", "00001", "00002"],
            "status": ["success", "failed_to_process", "success"],
            "url": ["https://a.org/0", "https://a.org/1", "https://a.org/2"],
            "probe": pa.array([{"width": 64}, None, {"width": 32}]),
            "media": pa.array([as_place[0], None, as_place[1]], pa.struct([("mp4", PLACE)])),
        }
    )
    writer.finish(table)
    (tmp_path / "00000_stats.json").write_text("{}")
    (tmp_path / "dataset.json").write_text("{}")

    found = rows(open_source(str(tmp_path)))

    assert [row["input_key"] for row in found] == ["00000", "00001", "00002"]
    assert found[1][MEDIA_COLUMN] is None
    assert bytes_of(found[2][MEDIA_COLUMN][0]) == b"video 2"
    assert found[0]["input_probe"] == {"width": 64}
    assert "input_media" not in found[0]


def test_unfinished_shards_are_left_out_with_a_warning(tmp_path: Path, caplog):
    peer_shard(tmp_path, "00000", "webdataset")
    peer_shard(tmp_path, "00001", "webdataset", stats=False)
    with caplog.at_level(logging.WARNING):
        assert len(rows(open_source(str(tmp_path)))) == 3
    assert "1 unfinished shards are left out (00001)" in caplog.text


def test_shards_without_any_stats_are_all_taken(tmp_path: Path):
    for shard in ("00000", "00001"):
        peer_shard(tmp_path, shard, "webdataset", stats=False)
    assert len(rows(open_source(str(tmp_path)))) == 6


def test_further_volumes_of_a_finished_shard_belong_to_it(tmp_path: Path):
    peer_shard(tmp_path, "00000", "webdataset")
    peer_shard(tmp_path, "00000-1", "webdataset", stats=False)
    assert len(rows(open_source(str(tmp_path)))) == 6


def test_shards_come_by_number_once_they_need_more_digits(tmp_path: Path):
    for shard in ("99999", "100000"):
        peer_shard(tmp_path, shard, "webdataset")
    found = [row["input_key"] for row in rows(open_source(str(tmp_path)))]
    assert found == [f"{shard}00{row}" for shard in (99999, 100000) for row in range(3)]


def test_a_member_that_is_there_twice_is_refused_as_the_reader_of_the_format_does(tmp_path: Path):
    write_tar(tmp_path / "0.tar", {"7.mp4": b"a", "7.MP4": b"b"})
    with pytest.raises(InputError, match=r"0\.tar has 7\.MP4 twice"):
        open_source(str(tmp_path / "0.tar")).files()
    with pytest.raises(InputError, match=r"0\.tar has 7\.MP4 twice"):
        list(load("clipmill.formats", "webdataset")().read_samples(Folder(tmp_path), "0"))


def test_a_dataset_with_no_finished_shard_says_so(tmp_path: Path):
    (tmp_path / "dataset.json").write_text("{}")
    with pytest.raises(InputError, match="no finished shards"):
        open_source(str(tmp_path))


def test_bare_tars_give_members_as_columns(tmp_path: Path):
    for shard in range(2):
        with wds.TarWriter(str(tmp_path / f"{shard}.tar")) as writer:
            for row in range(3):
                writer.write(
                    {
                        "__key__": f"s{shard}/{row:03}",
                        "mp4": b"video %d%d" % (shard, row),
                        "txt": f"caption {row}",
                        "json": {
                            "views": row if shard else row + 0.5,
                            "url": f"https://a.org/{row}",
                        },
                        "cls": row,
                    }
                )

    source = open_source(f"{tmp_path}/{{0..1}}.tar")

    found = rows(pickle.loads(pickle.dumps(source)))
    assert [row["input_key"] for row in found] == [f"s{s}/{r:03}" for s in (0, 1) for r in range(3)]
    assert [row["views"] for row in found] == [0.5, 1.5, 2.5, 0.0, 1.0, 2.0]
    assert [row["cls"] for row in found[:3]] == [0, 1, 2]
    assert found[4]["caption"] == "caption 1"
    assert found[4]["url"] == "https://a.org/1"
    assert bytes_of(found[4][MEDIA_COLUMN][0]) == b"video 11"


def test_a_tar_of_media_alone_names_rows_by_their_place(tmp_path: Path):
    members = {"./a.b.mp4": b"1", "c.MP4": b"2", "noext": b"", ".hidden.mp4": b"3"}
    write_tar(tmp_path / "x.tar", members)
    found = rows(open_source(str(tmp_path / "x.tar")))
    assert [(row["input_key"], row["url"]) for row in found] == [
        ("a", f"{tmp_path}/x.tar#0"),
        ("c", f"{tmp_path}/x.tar#1"),
    ]
    assert [bytes_of(ref) for ref in found[1][MEDIA_COLUMN]] == [b"2"]


def test_parts_of_a_shard_equal_the_whole(tmp_path: Path):
    peer_shard(tmp_path, "00000", "webdataset")
    write_tar(tmp_path / "b.tar", {f"{row}.mp4": b"x" * row for row in range(5)})
    for given in (tmp_path / "00000.tar", tmp_path / "b.tar"):
        source = open_source(str(given))
        whole = rows(source)
        parts = [source.read(Part(0, row, 1)).to_pylist()[0] for row in range(len(whole))]
        assert parts == whole


def test_shards_on_another_storage(tmp_path: Path):
    peer_shard(tmp_path, "00000", "webdataset")
    fsspec.filesystem("memory").put(str(tmp_path) + "/", "/shards-test/", recursive=True)
    found = rows(open_source("memory:///shards-test"))
    assert bytes_of(found[0][MEDIA_COLUMN][0]) == b"video 00000000"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x1f\x8b\x08\x00", "compressed with gzip.*Decompress it first|cannot be read"),
        (b"", "empty"),
        (b"not a tar at all" * 64, "not a readable tar"),
    ],
)
def test_unusable_tars_are_explained(tmp_path: Path, data: bytes, message: str):
    (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises(InputError, match=message):
        open_source(str(tmp_path / "a.tar")).files()


def test_a_tar_cut_short_is_explained(tmp_path: Path):
    write_tar(tmp_path / "a.tar", {"a.mp4": b"x" * 5000})
    data = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(data[:3000])
    with pytest.raises(InputError, match="cut short"):
        open_source(str(tmp_path / "a.tar")).files()


def test_planning_reads_no_media(tmp_path: Path):
    size = 64 << 20
    path = tmp_path / "a.tar"
    info = tarfile.TarInfo("a.mp4")
    info.size = size
    with path.open("wb") as file:  # a sparse file: reading its media would take time and memory
        file.write(info.tobuf())
        file.truncate(512 + size + 1024)
    source = open_source(str(path))
    assert source.files()[0].rows == 1
    (ref,) = source.read(Part(0, 0, 1)).to_pylist()[0][MEDIA_COLUMN]
    assert (ref["offset"], ref["size"]) == (512, size)


def test_chosen_columns_of_shards(tmp_path: Path):
    peer_shard(tmp_path, "00000", "webdataset")
    columns = Columns(caption_col="error_message", save_additional_columns=("views",))
    source = open_source(str(tmp_path), columns)
    assert source.schema().names == ["url", "caption", MEDIA_COLUMN, "views"]


def test_json_of_samples_is_kept_exactly(tmp_path: Path):
    write_tar(
        tmp_path / "a.tar",
        {"a.mp4": b"", "a.json": json.dumps({"when": "2020-01-01", "list": [1, 2]}).encode()},
    )
    (row,) = rows(open_source(str(tmp_path / "a.tar")))
    assert (row["when"], row["list"]) == ("2020-01-01", [1, 2])
