"""video2dataset's commands, given again and told about: going on, reports, exit statuses."""

from __future__ import annotations

import os
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from clipmill.cli import main
from clipmill.compat import video2dataset
from clipmill.core.errors import OutputError
from compat_runs import HERE, names, sharded, three_links


@pytest.fixture
def table(origin, write_csv):
    return write_csv(three_links(origin))


# Going on


def test_incremental_does_nothing_twice(origin, table, tmp_path):
    video2dataset(table, tmp_path / "out", **HERE)
    before = len(origin.requests)
    video2dataset(table, tmp_path / "out", incremental_mode="incremental", **HERE)
    assert len(origin.requests) == before


def test_incremental_goes_on_with_shards_that_are_missing_from_several_files(origin, tmp_path):
    folder = tmp_path / "lists"
    folder.mkdir()
    for part in ("0", "1"):
        urls = [origin.url("a.mp4", n=f"{part}{row}") for row in range(4)]
        (folder / f"{part}.txt").write_text("\n".join(urls))
    settings = {"input_format": "txt", "output_format": "webdataset", **sharded(2)}
    first = video2dataset(folder, tmp_path / "out", **settings).table()
    for shard in ("00001", "00002"):
        (tmp_path / "out" / f"{shard}_stats.json").unlink()
    again = video2dataset(folder, tmp_path / "out", **settings).table()
    assert again.column("url").equals(first.column("url"))
    assert len(set(again.column("url").to_pylist())) == 8


def test_incremental_with_other_settings_is_refused(table, tmp_path):
    video2dataset(table, tmp_path / "out", **HERE)
    with pytest.raises(OutputError, match="format"):
        video2dataset(table, tmp_path / "out", "webdataset", **HERE)


def test_output_of_another_tool_is_left_alone(table, tmp_path):
    theirs = tmp_path / "out" / "00000_stats.json"
    theirs.parent.mkdir()
    theirs.write_text('{"count": 1}')
    with pytest.raises(OutputError, match="did not write"):
        video2dataset(table, tmp_path / "out", **HERE)
    assert names(tmp_path / "out") == ["00000_stats.json"]


def test_overwrite_starts_over(table, tmp_path):
    video2dataset(table, tmp_path / "out", **HERE)
    video2dataset(table, tmp_path / "out", "webdataset", incremental_mode="overwrite", **HERE)
    assert names(tmp_path / "out") == ["00000.parquet", "00000.tar", "00000_stats.json"]


def test_extend_adds_rows_that_are_new(origin, tmp_path):
    path = tmp_path / "list.txt"
    path.write_text(origin.url("a.mp4"))
    settings = {"input_format": "txt", **HERE}
    video2dataset(path, tmp_path / "out", **settings)
    path.write_text(f"{origin.url('a.mp4')}\n{origin.url('b.mp4')}\n")
    data = video2dataset(path, tmp_path / "out", incremental_mode="extend", **settings)
    assert data.table().column("key").to_pylist() == ["00000000", "00001000"]
    assert origin.count("a.mp4") == 1


# Reports


def test_wandb_is_told_under_the_peers_metric_names(table, tmp_path):
    pytest.importorskip("wandb")
    offline = {**os.environ, "WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path)}
    words = [table, tmp_path / "out", "--enable_wandb", "--allow_private_addresses"]
    command = [sys.executable, "-m", "clipmill", "video2dataset", *map(str, words)]
    subprocess.run(command, env=offline, check=True, capture_output=True)
    (log,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    for name in ("vid_per_sec", "bytes_per_sec", "success", "failed_to_download", "count"):
        assert f"total/{name}".encode() in log.read_bytes()


# The command


def test_command_does_what_the_function_does(table, tmp_path, monkeypatch, capsys):
    (tmp_path / "config.yaml").write_text("distribution: {processes_count: 1}")
    words = [
        f"--url_list={table}", f"--output_folder={tmp_path / 'out'}", "--output-format=webdataset",
        "--caption_col=title", "--save_additional_columns=[licence,year]",
        '--encode_formats={"video":"mp4"}', f"--config={tmp_path / 'config.yaml'}",
        "--allow_private_addresses",
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["clipmill", "video2dataset", *words])
    with pytest.raises(SystemExit) as ending:
        main.main()
    assert ending.value.code == 0
    assert "3 samples" in capsys.readouterr().out
    assert names(tmp_path / "out") == ["00000.parquet", "00000.tar", "00000_stats.json"]
    assert {"licence", "year"} <= set(pq.read_schema(tmp_path / "out/00000.parquet").names)


def test_command_exits_with_3_when_most_rows_failed(origin, tmp_path, monkeypatch):
    (tmp_path / "list.txt").write_text(origin.url("a.mp4", "missing"))
    words = ["list.txt", "out", "--input_format=txt", "--allow_private_addresses"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["clipmill", "video2dataset", *words])
    with pytest.raises(SystemExit) as ending:
        main.main()
    assert ending.value.code == 3
