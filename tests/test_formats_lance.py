"""Exports in the format lance: what Lance itself reads of them."""

import shutil

import lance
import pyarrow as pa
import pytest

import clipmill
from clipmill.core.errors import OutputError
from clipmill.formats.lance import ROOT, LanceFormat
from clipmill.io.folder import Folder


@pytest.fixture(scope="module")
def made(licensed, tmp_path_factory):
    """Three clips in four shards, one of which holds a failed row alone."""
    out = tmp_path_factory.mktemp("lance") / "out"
    return licensed.export(out, format="lance", images="first", samples_per_shard=1, quiet=True)


def test_lance_reads_columns_and_single_media(made):
    found = lance.dataset(made.folder.local(ROOT))
    rows = {row["key"]: row for row in made.table().to_pylist() if row["status"] == "success"}
    table = found.to_table(columns=["key", "caption", "license", "probe_video_width"])
    assert table["key"].to_pylist() == list(rows)
    for number, row in enumerate(table.to_pylist()):
        assert row["caption"] == rows[row["key"]]["caption"]
        assert row["license"] == rows[row["key"]]["license"]
        assert row["probe_video_width"] == rows[row["key"]]["probe"]["video"]["width"]
        for extension in ("mp4", "jpg"):
            (blob,) = found.take_blobs(extension, indices=[number])
            assert blob.read() == made.sample(row["key"])[extension]


def test_lance_filters_by_columns_and_names_its_rows(made):
    found = lance.dataset(made.folder.local(ROOT))
    assert found.version == 1
    assert len(found.get_fragments()) == 3
    chosen = found.to_table(columns=["key"], filter="license = 'cc-by-4.0'", with_row_id=True)
    blobs = found.take_blobs("mp4", ids=chosen["_rowid"])
    assert [blob.read(8)[4:] for blob in blobs] == [b"ftyp"] * 2
    found.validate()


def test_a_run_cut_off_before_its_end_makes_the_dataset_when_it_goes_on(licensed, made, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(made.folder.local(), out)
    shutil.rmtree(out / ROOT / "_versions")
    (out / "00001_stats.json").unlink()
    fragment = out / ROOT / "data" / "00001.lance"
    before = fragment.read_bytes()
    fragment.unlink()
    again = licensed.export(out, format="lance", images="first", samples_per_shard=1, quiet=True)
    assert fragment.read_bytes() == before
    assert lance.dataset(out / ROOT).count_rows() == len(again) == 3


def test_it_is_a_dataset_of_ours_too(made, tmp_path):
    again = clipmill.download(made.folder.url, tmp_path / "again", quiet=True)
    assert again.table(["status"])["status"].to_pylist() == ["success"] * 3


def write(folder, shard, rows, **more):
    place = pa.struct([("offset", pa.int64()), ("size", pa.int64()), ("sha256", pa.string())])
    writer = LanceFormat().writer(folder, shard)
    writer.truncate(0)
    for row in rows:
        (place_of,) = writer.add(row["key"], {"mp4": row["key"].encode()}).values()
        row["media"] = {"mp4": {"offset": None, "size": place_of.size, "sha256": place_of.sha256}}
    table = pa.Table.from_pylist(rows)
    number = table.schema.get_field_index("media")
    kind = pa.struct([("mp4", place)])
    media = pa.array([row["media"] for row in rows], kind)
    table = table.set_column(number, "media", media)
    for name, column in more.items():
        table = table.append_column(name, column)
    writer.finish(table)


def test_shards_may_lack_columns_of_each_other(tmp_path):
    write(tmp_path, "00000", [{"key": "a", "score": 0.5, "tags": ["x", "y"], "deep": [{"n": 1}]}])
    write(tmp_path, "00001", [{"key": "b", "more": "text", "score": 1.5}])
    LanceFormat().conclude(Folder(tmp_path), ["00000", "00001"], {})
    found = lance.dataset(tmp_path / ROOT)
    rows = found.to_table(columns=["key", "score", "tags", "deep", "more"]).to_pylist()
    assert rows[0].pop("more") is None
    assert rows[0] == {"key": "a", "score": 0.5, "tags": ["x", "y"], "deep": [{"n": 1}]}
    assert rows[1] == {"key": "b", "score": 1.5, "tags": None, "deep": None, "more": "text"}
    assert [blob.read() for blob in found.take_blobs("mp4", indices=[0, 1])] == [b"a", b"b"]


def test_a_column_of_two_types_is_refused(tmp_path):
    write(tmp_path, "00000", [{"key": "a", "score": 0.5}])
    write(tmp_path, "00001", [{"key": "b", "score": "high"}])
    with pytest.raises(OutputError, match=r"'score' is string in 00001.lance and double before"):
        LanceFormat().conclude(Folder(tmp_path), ["00000", "00001"], {})


def test_a_dataset_of_failures_has_no_rows(tmp_path):
    writer = LanceFormat().writer(tmp_path, "00000")
    writer.truncate(0)
    writer.finish(pa.table({"key": ["a"]}))
    LanceFormat().conclude(Folder(tmp_path), ["00000"], {})
    assert lance.dataset(tmp_path / ROOT).count_rows() == 0


def test_a_map_becomes_a_list_of_pairs(tmp_path):
    kind = pa.map_(pa.string(), pa.int64())
    tags = pa.array([[("a", 1)]], kind)
    nested = pa.array([[[("b", None)]]], pa.list_(kind))
    write(tmp_path, "00000", [{"key": "a"}], tags=tags, nested=nested)
    LanceFormat().conclude(Folder(tmp_path), ["00000"], {})
    (row,) = lance.dataset(tmp_path / ROOT).to_table(columns=["tags", "nested"]).to_pylist()
    assert row["tags"] == [{"key": "a", "value": 1}]
    assert row["nested"] == [[{"key": "b", "value": None}]]
