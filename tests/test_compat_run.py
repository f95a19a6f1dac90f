"""video2dataset's commands, carried out: what goes in, what comes out, and who can read it."""

from __future__ import annotations

import gc
import gzip
import json
import shutil
import tarfile

import pandas as pd
import pyarrow.parquet as pq
import pytest
import tfrecord
import webdataset

from clipmill.compat import video2dataset
from clipmill.core.errors import InputError
from clipmill.demo.media import make_video
from compat_runs import HERE, ONE_PROCESS, names, sharded, three_links

JSON_KEYS = {"key", "url", "status", "error_message"}
STATS_KEYS = {
    "count", "successes", "failed_to_download", "failed_to_subsample", "duration",
    "bytes_downloaded", "start_time", "end_time", "status_dict",
}  # fmt: skip


def statuses(folder):
    """How the rows of a dataset ended, read as a notebook reads it."""
    tables = [pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))]
    return list(pd.concat(tables)["status"])


@pytest.fixture
def table(origin, write_csv):
    return write_csv(three_links(origin))


# Outputs (what lies in the folder, under which names)


def test_output_files(table, media, tmp_path):
    video2dataset(table, tmp_path / "out", caption_col="title", **HERE)
    members = [f"00000/{key}.{end}" for key in ("00000000", "00000002") for end in MEMBERS]
    assert names(tmp_path / "out") == sorted(["00000.parquet", "00000_stats.json", *members])
    assert (tmp_path / "out/00000/00000002.mp4").read_bytes() == (media / "b.mp4").read_bytes()
    assert (tmp_path / "out/00000/00000002.txt").read_text() == "third"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_output_webdataset(table, media, tmp_path):
    video2dataset(table, tmp_path / "out", "webdataset", caption_col="title", **HERE)
    assert names(tmp_path / "out") == ["00000.parquet", "00000.tar", "00000_stats.json"]
    with tarfile.open(tmp_path / "out/00000.tar") as tar:
        assert tar.getnames() == [
            f"{key}.{end}" for key in ("00000000", "00000002") for end in MEMBERS
        ]
    shard = webdataset.WebDataset(str(tmp_path / "out/00000.tar"), shardshuffle=False)
    samples = list(shard.decode())
    shard.close()
    del shard
    gc.collect()  # the library leaves closing the tar to the collector, which warns
    assert [sample["__key__"] for sample in samples] == ["00000000", "00000002"]
    assert [sample["txt"] for sample in samples] == ["first", "third"]
    assert samples[1]["mp4"] == (media / "b.mp4").read_bytes()
    assert samples[1]["json"]["key"] == "00000002"


def test_output_parquet_with_a_failed_row(table, media, tmp_path):
    video2dataset(table, tmp_path / "out", "parquet", caption_col="title", **HERE)
    assert names(tmp_path / "out") == ["00000.parquet", "00000_stats.json"]
    frame = pd.read_parquet(tmp_path / "out/00000.parquet")
    assert list(frame["caption"]) == ["first", "gone", "third"]
    assert frame["mp4"][0] == (media / "a.mp4").read_bytes()
    assert frame["mp4"][1] is None


def test_output_tfrecord(table, media, tmp_path):
    video2dataset(table, tmp_path / "out", "tfrecord", caption_col="title", **HERE)
    assert names(tmp_path / "out") == ["00000.parquet", "00000.tfrecord", "00000_stats.json"]
    records = list(tfrecord.tfrecord_loader(str(tmp_path / "out/00000.tfrecord"), None))
    assert [bytes(record["key"]).decode() for record in records] == ["00000000", "00000002"]
    assert bytes(records[0]["mp4"]) == (media / "a.mp4").read_bytes()
    assert bytes(records[0]["txt"]).decode() == "first"


def test_output_dummy(table, tmp_path):
    video2dataset(table, tmp_path / "out", "dummy", caption_col="title", **HERE)
    assert names(tmp_path / "out") == ["00000_stats.json"]


MEMBERS = ("mp4", "txt", "json")


def test_json_of_a_sample_has_the_peers_keys_and_the_input_columns(table, tmp_path):
    video2dataset(
        table,
        tmp_path / "out",
        caption_col="title",
        save_additional_columns=["licence", "year"],
        **HERE,
    )
    told = json.loads((tmp_path / "out/00000/00000000.json").read_text())
    assert JSON_KEYS | {"caption", "licence", "year"} <= told.keys()
    assert (told["key"], told["status"], told["error_message"]) == ("00000000", "success", None)
    assert (told["caption"], told["licence"], told["year"]) == ("first", "CC0", 1999)


def test_stats_have_the_peers_keys_and_add_up(table, tmp_path):
    video2dataset(table, tmp_path / "out", "webdataset", **HERE)
    stats = json.loads((tmp_path / "out/00000_stats.json").read_text())
    assert stats.keys() >= STATS_KEYS
    assert (stats["count"], stats["successes"], stats["failed_to_download"]) == (3, 2, 1)
    assert sum(stats["status_dict"].values()) == 3


def test_shard_table_has_a_row_for_every_input_row_and_tells_why_one_failed(table, tmp_path):
    video2dataset(table, tmp_path / "out", "webdataset", **HERE)
    frame = pd.read_parquet(tmp_path / "out/00000.parquet")
    assert list(frame["key"]) == ["00000000", "00000001", "00000002"]
    assert list(frame["status"]) == ["success", "failed_to_download", "success"]
    assert "404" in frame["error_message"][1]


def test_shard_names_and_keys_follow_the_storage_section(table, tmp_path):
    video2dataset(table, tmp_path / "out", "webdataset", **sharded(2, oom_shard_count=3))
    frame = pd.concat(pd.read_parquet(tmp_path / "out" / f"{n}.parquet") for n in ("000", "001"))
    assert list(frame["key"]) == ["0000", "0001", "0010"]


def test_without_caption_col_there_are_no_texts_and_no_column(table, tmp_path):
    video2dataset(table, tmp_path / "out", **HERE)
    assert not [name for name in names(tmp_path / "out") if name.endswith(".txt")]
    assert "caption" not in pq.read_schema(tmp_path / "out/00000.parquet").names


def test_save_additional_columns_keeps_these_and_no_others(table, tmp_path):
    video2dataset(table, tmp_path / "none", **HERE)
    video2dataset(table, tmp_path / "one", save_additional_columns=["licence"], **HERE)
    kept = [pq.read_schema(tmp_path / name / "00000.parquet").names for name in ("none", "one")]
    assert [{"title", "licence", "year"} & set(columns) for columns in kept] == [set(), {"licence"}]


def test_an_additional_column_with_a_name_of_ours_is_kept_under_another(
    origin, write_csv, tmp_path
):
    path = write_csv([{"url": origin.url("a.mp4"), "status": "draft"}])
    video2dataset(path, tmp_path / "out", save_additional_columns=["status"], **HERE)
    frame = pd.read_parquet(tmp_path / "out/00000.parquet")
    assert (frame["status"][0], frame["input_status"][0]) == ("success", "draft")


def test_encode_formats_of_sound_and_picture(table, tmp_path):
    video2dataset(table, tmp_path / "out", encode_formats={"video": "mp4", "audio": "m4a"}, **HERE)
    assert (tmp_path / "out/00000/00000000.m4a").read_bytes()[4:8] == b"ftyp"
    assert (tmp_path / "out/00000/00000000.mp4").exists()


def test_encode_formats_of_sound_alone_from_a_video_link(table, tmp_path):
    video2dataset(table, tmp_path / "out", encode_formats={"audio": "mp3"}, **HERE)
    assert {name.rpartition(".")[2] for name in names(tmp_path / "out/00000")} == {"mp3", "json"}
    assert statuses(tmp_path / "out").count("success") == 2


def test_encode_formats_of_nothing_keeps_metadata_alone(table, tmp_path):
    data = video2dataset(table, tmp_path / "out", encode_formats={}, caption_col="title", **HERE)
    assert data.table().column("status").to_pylist().count("success") == 2
    stored = names(tmp_path / "out" / "00000")
    assert stored == [f"{key}.{end}" for key in ("00000000", "00000002") for end in ("json", "txt")]


# Inputs


def _write_txt(frame, path):
    path.write_text("\n".join(frame["url"]) + "\n")


def _write_tsv_gz(frame, path):
    path.write_bytes(gzip.compress(frame.to_csv(index=False, sep="\t").encode()))


WRITERS = {
    "txt": _write_txt,
    "csv": lambda frame, path: frame.to_csv(path, index=False),
    "tsv": lambda frame, path: frame.to_csv(path, index=False, sep="\t"),
    "tsv.gz": _write_tsv_gz,
    "json": lambda frame, path: frame.to_json(path, orient="records"),
    "parquet": lambda frame, path: frame.to_parquet(path),
}


@pytest.mark.parametrize("input_format", ["txt", "tsv.gz"])
def test_input_file(origin, tmp_path, input_format):
    rows = {"url": [origin.url("a.mp4"), origin.url("b.mp4", n="1,5")], "n": [1, 2]}
    path = tmp_path / f"list.{input_format}"
    WRITERS[input_format](pd.DataFrame(rows), path)
    data = video2dataset(path, tmp_path / "out", input_format=input_format, **HERE)
    assert data.table().column("url").to_pylist() == rows["url"]
    assert statuses(tmp_path / "out") == ["success"] * 2


@pytest.mark.parametrize("input_format", list(WRITERS))
def test_input_folder_stands_for_its_files_of_the_format_in_order_of_their_names(
    origin, tmp_path, input_format
):
    folder = tmp_path / "lists [1]"
    folder.mkdir()
    for name in ("b", "a"):
        frame = pd.DataFrame({"url": [origin.url(f"{name}.mp4")]})
        WRITERS[input_format](frame, folder / f"{name}.{input_format}")
    (folder / "notes.md").write_text("not a table")
    (folder / "other.jsonl").write_text('{"url": "https://example.org/c.mp4"}\n')
    data = video2dataset(folder, tmp_path / "out", input_format=input_format, **HERE)
    urls = data.table().column("url").to_pylist()
    assert urls == [origin.url("a.mp4"), origin.url("b.mp4")]


def test_input_format_counts_whatever_the_file_is_called(origin, tmp_path):
    path = tmp_path / "list.dat"
    path.write_text(f"url\tn\n{origin.url('a.mp4')}\t1\n")
    data = video2dataset(path, tmp_path / "out", input_format="tsv", **HERE)
    assert len(data) == 1


def test_input_folder_without_such_files_says_what_it_has(tmp_path):
    (tmp_path / "list.csv").write_text("url\nhttps://example.org/a.mp4\n")
    with pytest.raises(InputError, match=r"list\.csv"):
        video2dataset(tmp_path, tmp_path / "out", input_format="parquet", **HERE)
    assert not (tmp_path / "out").exists()


def test_url_col_is_kept_as_url(origin, write_csv, tmp_path):
    path = write_csv([{"link": origin.url("a.mp4")}])
    data = video2dataset(path, tmp_path / "out", url_col="link", **HERE)
    assert data.table().column("url").to_pylist() == [origin.url("a.mp4")]


@pytest.mark.parametrize("argument", ["url_col", "caption_col"])
def test_missing_columns_are_one_helpful_error_and_nothing_is_written(table, tmp_path, argument):
    with pytest.raises(InputError, match=rf"'titel' \({argument}\).*title"):
        video2dataset(table, tmp_path / "out", **{argument: "titel"}, **HERE)
    assert not (tmp_path / "out").exists()


# Readers


def test_reader_of_direct_links_goes_by_content_not_by_the_end_of_the_url(origin, media, tmp_path):
    shutil.copy(media / "b.mp4", media / "film")
    urls = [origin.url("a.mp4", token="x"), origin.url("film")]
    (tmp_path / "list.txt").write_text("\n".join(urls))
    video2dataset(tmp_path / "list.txt", tmp_path / "out", input_format="txt", **HERE)
    assert statuses(tmp_path / "out") == ["success", "success"]


def test_reader_of_direct_links_does_not_store_an_error_page_as_video(origin, tmp_path):
    (tmp_path / "list.txt").write_text(origin.url("a.mp4", "html"))
    video2dataset(tmp_path / "list.txt", tmp_path / "out", input_format="txt", **HERE)
    assert statuses(tmp_path / "out") == ["failed_to_download"]


def test_reader_puts_a_webm_into_a_real_mp4(origin, media, tmp_path):
    make_video(media / "vp9.webm", seconds=0.5, codec="libvpx-vp9", audio=None)
    (tmp_path / "list.txt").write_text(origin.url("vp9.webm"))
    video2dataset(tmp_path / "list.txt", tmp_path / "out", input_format="txt", **HERE)
    assert (tmp_path / "out/00000/00000000.mp4").read_bytes()[4:8] == b"ftyp"


def test_reader_of_local_files_works_once_allowed(media, tmp_path):
    (tmp_path / "list.txt").write_text(f"{media / 'a.mp4'}\n")
    settings = {"input_format": "txt", "config": ONE_PROCESS}
    video2dataset(tmp_path / "list.txt", tmp_path / "refused", **settings)
    video2dataset(tmp_path / "list.txt", tmp_path / "out", allow_local_paths=True, **settings)
    assert statuses(tmp_path / "refused") == ["failed_to_download"]
    stored = (tmp_path / "out/00000/00000000.mp4").read_bytes()
    assert stored == (media / "a.mp4").read_bytes()
    assert (media / "a.mp4").exists()


def test_reader_refuses_private_addresses_unless_allowed(origin, table, tmp_path):
    video2dataset(table, tmp_path / "out", config=ONE_PROCESS)
    assert statuses(tmp_path / "out") == ["failed_to_download"] * 3
    assert origin.requests == []
