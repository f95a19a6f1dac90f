"""An input file of which a part cannot be read: it costs the rows that lie there."""

from __future__ import annotations

import io
import os
import random
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import clipmill
from clipmill.core.errors import InputError
from clipmill.run.recipe_file import load_recipe
from clipmill.run.retry import retry_dataset
from clipmill.run.runner import run_recipe

HERE = {"allow_private_addresses": True, "workers": 1, "quiet": True}
GROUP_ROWS = 5


def write(path, urls):
    """A Parquet file of row groups of five rows, and how it looks once the third is damaged."""
    table = pa.table({"url": urls, "n": list(range(len(urls)))})
    pq.write_table(table, path, row_group_size=GROUP_ROWS)
    whole = path.read_bytes()
    column = pq.read_metadata(path).row_group(2).column(1)
    start = column.dictionary_page_offset or column.data_page_offset
    noise = random.Random(0).randbytes(column.total_compressed_size)
    return whole, whole[:start] + noise + whole[start + len(noise) :]


@pytest.fixture
def urls(origin):
    return [origin.url("a.mp4", n=str(number)) for number in range(22)]


@pytest.fixture
def damaged(urls, tmp_path):
    path = tmp_path / "videos.parquet"
    _, broken = write(path, urls)
    path.write_bytes(broken)
    return path


def test_rows_of_a_damaged_row_group_fail_by_themselves_and_all_others_are_done(
    damaged, urls, tmp_path
):
    data = clipmill.download(damaged, tmp_path / "out", samples_per_shard=4, **HERE)
    rows = data.table().to_pylist()
    lost = range(2 * GROUP_ROWS, 3 * GROUP_ROWS)
    assert [row["status"] for row in rows] == [
        "failed_to_download" if number in lost else "success" for number in range(len(urls))
    ]
    assert [row["url"] for row in rows] == [
        None if number in lost else url for number, url in enumerate(urls)
    ]
    failed = [row for row in rows if row["status"] != "success"]
    assert {row["error_step"] for row in failed} == {"read"}
    assert {row["error_class"] for row in failed} == {"damaged_input"}
    told = [row["error_message"] for row in failed]
    assert ["Rows 11 to 12 of" in text for text in told] == [True, True, False, False, False]
    assert ["Rows 13 to 15 of" in text for text in told] == [False, False, True, True, True]
    assert all("videos.parquet cannot be read: " in text for text in told)


def test_rows_that_were_lost_are_added_once_the_file_is_whole_again(urls, tmp_path):
    path = tmp_path / "videos.parquet"
    whole, broken = write(path, urls)
    path.write_bytes(broken)
    clipmill.download(path, tmp_path / "out", samples_per_shard=4, **HERE)
    path.write_bytes(whole)
    os.utime(path, (1, 1))  # another file, however quick this test is
    data = clipmill.download(path, tmp_path / "out", samples_per_shard=4, mode="extend", **HERE)
    rows = data.table(["url", "status"]).to_pylist()
    assert sorted(row["url"] for row in rows if row["status"] == "success") == sorted(urls)


def test_a_retry_writes_no_row_anew_whose_columns_cannot_be_read_any_more(
    origin, tmp_path, monkeypatch
):
    links = [origin.url("a.mp4", n=str(number)) for number in range(19)]
    path = tmp_path / "videos.parquet"
    _, broken = write(path, [*links, origin.url("b.mp4", "flaky", times=1)])
    clipmill.download(path, tmp_path / "out", retries=0, **HERE)
    before = pq.read_table(tmp_path / "out" / "00000.parquet")
    assert before["status"].to_pylist().count("success") == 19
    stamp = os.stat(path).st_mtime_ns
    path.write_bytes(broken)
    os.utime(path, ns=(stamp, stamp))  # a disk that rots leaves no date
    report = retry_dataset(str(tmp_path / "out"), quiet=True)
    assert "Finished rows cannot be written anew: Rows 11 to 15" in report.shards_failed[0]
    assert pq.read_table(tmp_path / "out" / "00000.parquet").equals(before)


def test_a_checksum_that_does_not_match_is_damage_too(urls, tmp_path):
    path = tmp_path / "videos.parquet"
    table = pa.table({"url": urls, "n": [1.0] * len(urls)})
    plain = {"compression": "none", "use_dictionary": False, "write_page_checksum": True}
    pq.write_table(table, path, row_group_size=GROUP_ROWS, **plain)
    stored = bytearray(path.read_bytes())
    stored[stored.index(b"n=12")] ^= 1
    path.write_bytes(stored)
    data = clipmill.download(path, tmp_path / "out", **HERE)
    lost = [row["key"] for row in data.table().to_pylist() if row["error_class"] == "damaged_input"]
    assert lost == [f"000000{number}" for number in range(10, 15)]


def bare_tar(path, media, keys, *, also=("txt",)):
    """A tar of videos with captions; the offsets of the headers of all members."""
    with tarfile.open(path, "w") as tar:
        for key in keys:
            for extension in ("mp4", *also):
                data = (media / "a.mp4").read_bytes() if extension == "mp4" else key.encode()
                member = tarfile.TarInfo(f"{key}.{extension}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    with tarfile.open(path) as tar:
        return {member.name: member.offset for member in tar}


@pytest.mark.parametrize(
    ("broken", "lost"),
    [("c.mp4", "c"), ("c.txt", "c"), ("cut", "fg"), ("a.mp4", "a"), ("c.mp4 e.txt", "cde")],
)
def test_what_is_lost_of_a_damaged_tar_is_one_row_and_all_others_are_done(
    media, tmp_path, broken, lost
):
    path = tmp_path / "videos.tar"
    offsets = bare_tar(path, media, "abcdefg")
    data = bytearray(path.read_bytes())
    if broken == "cut":
        del data[offsets["f.mp4"] + 2000 :]
    for name in broken.split() if broken != "cut" else ():
        data[offsets[name] + 150] ^= 1  # in its checksum
    path.write_bytes(data)
    made = clipmill.download(path, tmp_path / "out", **HERE)
    rows = made.table(["caption", "status", "error_class", "error_message"]).to_pylist()
    done = [row["caption"] for row in rows if row["status"] == "success"]
    assert done == [key for key in "abcdefg" if key not in lost]
    failed = [row for row in rows if row["status"] != "success"]
    assert {row["error_class"] for row in failed} == {"damaged_input"}
    wrong = "cut short" if broken == "cut" else "not a readable tar, at byte"
    assert all(f"videos.tar is {wrong}" in row["error_message"] for row in failed)
    clips = made_of(path, tmp_path / "clips")
    assert [row["status"] for row in clips] == [row["status"] for row in rows]


def made_of(path, output):
    recipe = {"source": {"path": str(path)}, "split": {"detector": "whole"}}
    run_recipe(load_recipe({**recipe, "write": {"to": str(output)}}), quiet=True)
    return clipmill.open(output).sources().to_pylist()


def test_media_of_a_peers_shard_that_are_lost_are_so_for_their_rows_alone(media, tmp_path):
    """Its table does not tell where media lie; rows are not fetched again behind one's back."""
    path = tmp_path / "00000.tar"
    place = bare_tar(path, media, "abcde")["d.mp4"]
    data = bytearray(path.read_bytes())
    data[place + 150] ^= 1
    path.write_bytes(data)
    columns = {"key": list("abcde"), "url": [f"http://localhost:9/{key}" for key in "abcde"]}
    pq.write_table(pa.table({**columns, "status": ["success"] * 5}), tmp_path / "00000.parquet")
    rows = clipmill.download(tmp_path, tmp_path / "out", **HERE).table().to_pylist()
    classes = [row["error_class"] for row in rows]
    assert classes == [None, None, None, "damaged_input", None]


def test_a_tar_of_which_nothing_can_be_read_is_refused(media, tmp_path):
    path = tmp_path / "videos.tar"
    bare_tar(path, media, "a")
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(InputError, match="cut short"):
        clipmill.download(path, tmp_path / "out", **HERE)


def test_every_broken_file_of_many_is_told_before_anything_is_written(urls, tmp_path):
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "a.csv").write_text("url\n" + "\n".join(urls))
    for name in ("b", "c"):
        (folder / f"{name}.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match=r"^2 of 3 input files .*b\.parquet.*c\.parquet.*glob"):
        clipmill.download(folder, tmp_path / "out", **HERE)
    assert not (tmp_path / "out").exists()
    data = clipmill.download(folder / "*.csv", tmp_path / "out", **HERE)
    assert len(data) == len(urls)


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
@pytest.mark.parametrize("rows", [50, 50_000])
def test_a_compressed_table_that_was_cut_short_is_told_before_anything_is_written(
    tmp_path, codec, rows
):
    noise = random.Random(0)
    text = "url\n" + "".join(f"https://a.org/{noise.random()}.mp4\n" for _ in range(rows))
    path = tmp_path / f"videos.csv.{'gz' if codec == 'gzip' else 'zst'}"
    path.write_bytes(pa.compress(text.encode(), codec, asbytes=True)[:-9])
    with pytest.raises(InputError, match=r"videos\.csv\.\w+ cannot be read: Truncated"):
        clipmill.download(path, tmp_path / "out", **HERE)
    assert not (tmp_path / "out").exists()
