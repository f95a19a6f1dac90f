"""What lies in the files that video2dataset's users know, and who writes and reads them."""

from __future__ import annotations

import asyncio
import base64
import datetime
import json
import os
import subprocess
import sys
from itertools import pairwise

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import clipmill
from clipmill.compat import video2dataset
from clipmill.core.errors import DownloadError
from clipmill.core.outcome import Counts
from clipmill.fetch.base import FetchRequest
from clipmill.fetch.options import FetchOptions
from clipmill.fetch.router import Router
from clipmill.formats.webdataset import WebDatasetFormat
from clipmill.io.tar import TarReader
from clipmill.run.events import Progress
from clipmill.run.progress import progress_line
from clipmill.run.staging import Result
from clipmill.run.stats import MAX_MESSAGES, shard_stats
from clipmill.run.tally import Tally
from compat_runs import HERE, again, names, run
from fetch_server import Budget


@pytest.fixture
def kept(origin, tmp_path):
    """A shard of one link with an empty caption and a column of every kind of value."""
    rows = {
        "url": [origin.url("a.mp4")],
        "title": pa.array([None], pa.string()),
        "scores": pa.array([[1.5, 2.0]], pa.list_(pa.float32())),
        "day": [datetime.date(2020, 1, 2)],
        "raw": [b"\x00\x01"],
    }
    pq.write_table(pa.table(rows), tmp_path / "list.parquet")
    kinds = {"input_format": "parquet", "save_additional_columns": ["scores", "day", "raw"]}
    video2dataset(tmp_path / "list.parquet", tmp_path / "out", caption_col="title", **kinds, **HERE)
    return tmp_path / "out"


# <key>.json and <key>.txt


def test_json_is_one_line_in_which_arrays_are_lists_and_every_value_has_a_text(kept):
    text = (kept / "00000/00000000.json").read_text()
    assert "\n" not in text
    told = json.loads(text)
    assert told["scores"] == [1.5, 2.0]
    assert told["day"] == "2020-01-02"
    assert base64.b64decode(told["raw"]) == b"\x00\x01"


def test_a_caption_that_is_missing_is_an_empty_text(kept):
    assert (kept / "00000/00000000.txt").read_text() == ""
    assert json.loads((kept / "00000/00000000.json").read_text())["caption"] == ""


def test_stage_subset_writes_texts_where_there_are_captions_and_nowhere_else(
    kept, origin, tmp_path
):
    (tmp_path / "list.txt").write_text(origin.url("b.mp4"))
    video2dataset(tmp_path / "list.txt", tmp_path / "bare", input_format="txt", **HERE)
    for shards, ends in ((kept, {"mp4", "json", "txt"}), (tmp_path / "bare", {"mp4", "json"})):
        output = tmp_path / f"again-{shards.name}"
        again(shards, output, {"Clipping": {"args": {}}})
        assert {name.rpartition(".")[2] for name in names(output / "00000")} == ends


def test_images_of_subtitle_lines_are_told_by_the_lines_of_their_sample(origin, media, tmp_path):
    pytest.importorskip("yt_dlp")
    (media / "page.html").write_text(
        '<html><body><video src="a.mp4"><track kind="subtitles" srclang="en" src="en.vtt"></video>'
    )
    cues = "WEBVTT\n\n00:00.100 --> 00:00.200\none\n\n00:00.300 --> 00:00.400\ntwo\n"
    (media / "en.vtt").write_text(cues)
    site = {"yt_args": {"yt_metadata_args": {"writesubtitles": "all", "subtitleslangs": ["en"]}}}
    args = {"frame_rate": 1, "downsample_method": "yt_subtitle"}
    config = {
        "subsampling": {"FrameSubsampler": {"args": args}},
        "reading": site,
        "distribution": {"processes_count": 1},
    }
    table = run(origin, tmp_path / "out", [{"url": "page.html"}], {}, config=config)
    lines = [(round(line["start_seconds"], 3), line["text"]) for line in table["subtitles"][0]]
    assert lines == [(0.1, "one"), (0.3, "two")]
    images = [name for name in names(tmp_path / "out/00000") if name.endswith(".jpg")]
    assert images == ["00000000.000.jpg", "00000000.001.jpg"]


# Tables, folders and statistics


def test_tables_have_large_row_groups_and_are_compressed_with_zstd(kept):
    stored = pq.read_metadata(kept / "00000.parquet")
    assert stored.num_row_groups == 1
    assert stored.row_group(0).column(0).compression == "ZSTD"


def test_work_in_hand_lies_in_run_and_no_copy_of_the_input_is_made(kept):
    assert not (kept / "_tmp").exists()
    left = sorted(path.name for path in (kept / "_run").iterdir())
    assert left == ["lock", "log.jsonl", "plan-0.npz"]


def test_clips_leave_what_is_told_of_their_source_to_the_source(origin, tmp_path):
    spans = [[0, 0.5], [0.5, 1]]
    run(origin, tmp_path / "out", [{"url": "a.mp4", "spans": spans}], {}, clip_col="spans")
    data = clipmill.open(tmp_path / "out")
    assert len(data) == 2
    assert {"fetch", "info"} <= set(data.sources().column_names)
    assert not {"fetch", "info"} & set(data.table().column_names)


def test_messages_are_counted_up_to_a_limit_and_classes_without_one():
    failed = {"status": "failed_to_process", "error_class": "odd", "retryable": False}
    rows = [{**failed, "error_message": f"odd {number}"} for number in range(MAX_MESSAGES + 9)]
    stats = shard_stats([Result([row]) for row in rows], 0.0, "", 1)
    assert len(stats["status_dict"]) == MAX_MESSAGES
    assert stats["error_classes"] == {"odd": MAX_MESSAGES + 9}


# What is told while a run goes on


def test_a_line_tells_how_far_the_run_is():
    tally = Tally(rows=4, shards=2)
    counts = Counts(count=3, successes=2, failed_to_download=1, error_classes={"dns": 1})
    tally.take(Progress(counts, {"fetch": 1, "probe": 0, "write": 0, "disk": 0}, {0: 3}))
    line = progress_line(tally)
    for part in ("0/2 shards", "3/4 samples", "66.7% ok", "dns 1", "waiting for network"):
        assert part in line
    assert "MB/s" not in line  # what lies on a disk is not downloaded
    tally.take(Progress(Counts(count=1, successes=1, bytes_downloaded=10**9), {}, {1: 1}))
    assert "MB/s" in progress_line(tally)


def test_a_shard_that_another_worker_takes_up_is_counted_once():
    tally = Tally(rows=10, shards=1)
    tally.take(Progress(Counts(), {}, {0: 3}, found_done={0: 2}))
    assert "3/8 samples" in progress_line(tally)
    # that worker dies, before it can tell of its last sample
    tally.take(Progress(Counts(), {}, {0: 1}, found_done={0: 6}))
    assert "4/7 samples" in progress_line(tally)
    tally.take(Progress(Counts(), {}, {0: 3}))
    assert "7/7 samples" in progress_line(tally)


def test_a_line_tells_what_a_run_waits_for_before_the_first_sample_is_done():
    tally = Tally(rows=4, shards=2)
    tally.take(Progress(Counts(), {"fetch": 0, "probe": 2, "write": 0, "disk": 0}))
    assert progress_line(tally).endswith("100.0% ok | waiting for media processes")


def test_wandb_is_told_the_recipe_without_secrets_and_is_not_asked_for_anonymity(origin, tmp_path):
    pytest.importorskip("wandb")
    (tmp_path / "list.txt").write_text(origin.url("a.mp4"))
    config = tmp_path / "config.yaml"
    config.write_text("reading: {yt_args: {yt_metadata_args: {password: s3cret}}}")
    offline = {**os.environ, "WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path)}
    words = [
        *(tmp_path / "list.txt", tmp_path / "out", "--input_format=txt", "--enable_wandb"),
        *("--allow_private_addresses", f"--config={config}"),
    ]
    command = [sys.executable, "-m", "clipmill", "video2dataset", *map(str, words)]
    done = subprocess.run(command, env=offline, check=True, capture_output=True, text=True)
    assert "anonymous" not in done.stderr
    (log,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    told = log.read_bytes()
    assert str(tmp_path / "list.txt").encode() in told
    assert b"allow_private_addresses" in told
    assert b"s3cret" not in told


# Contracts of what writes and reads


def test_a_writer_takes_members_by_their_extensions_and_can_go_back(tmp_path):
    writer = WebDatasetFormat().writer(tmp_path, "00042")
    members = {"mp4": b"video", "txt": b"caption", "json": b"{}"}
    places = [writer.add(f"0004200{number}", members)["mp4"] for number in range(2)]
    assert all(after.offset > before.offset for before, after in pairwise(places))
    position = writer.tell()
    writer.add("00042002", members)
    writer.truncate(position)
    table = pa.table({"key": ["00042000", "00042001"]})
    assert writer.finish(table) == ["00042.tar", "00042.parquet"]
    with TarReader(tmp_path / "00042.tar") as tar:
        assert [member.name for member in tar][:2] == ["00042000.mp4", "00042000.txt"]
    assert list(pd.read_parquet(tmp_path / "00042.parquet")["key"]) == ["00042000", "00042001"]


def test_a_reader_gives_a_file_and_what_was_learnt_or_raises_the_reason(origin, media, tmp_path):
    async def read(url):
        router = Router(FetchOptions(allow_private_addresses=True, retries=0))
        try:
            return await router.fetch(FetchRequest(url, tmp_path / "target"), Budget())
        finally:
            await router.close()

    fetched = asyncio.run(read(origin.url("a.mp4")))
    assert fetched.path.read_bytes() == (media / "a.mp4").read_bytes()
    assert (fetched.fetcher, fetched.http_status) == ("http", 200)
    with pytest.raises(DownloadError, match="404") as failed:
        asyncio.run(read(origin.url("a.mp4", "missing")))
    assert failed.value.error_class == "http_status"
