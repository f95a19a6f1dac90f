"""Annotating survives kills: the columns are those of an undisturbed run."""

import re
import signal
import subprocess
import sys
import time

import pytest

import clipmill
from clipmill.dataset.columns import newest_groups
from clipmill.demo.media import make_video
from test_run_faults import Killer

STEP = """
import os, time
import clipmill

@clipmill.step(wants=clipmill.Frames(fps=2, short_side=32, pixel_format="gray"),
               columns={"means": "list<float32>"})
def means(seen, log: str = ""):
    with open(log, "a") as file:
        file.write(seen.key + "\\n")
    time.sleep(0.05)
    return seen.frames.mean(axis=(1, 2))
"""
SOURCES = 24
KILLS = 8
MEDIA_PROCESSES = 2
ROWS_OF_A_SOURCE = 3


@pytest.fixture
def clips(tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    for number in range(SOURCES):
        make_video(videos / f"{number:02d}.mp4", seconds=3, fps=25, first_number=100 * number)
    raw = clipmill.download(videos, tmp_path / "raw", samples_per_shard=8, quiet=True)
    stride = {"detector": "stride", "stride_seconds": 1}
    return raw.split(tmp_path / "clips", samples_per_shard=8, **stride, quiet=True)


def command(dataset, log):
    path = log.with_suffix(".py")
    path.write_text(STEP.replace('log: str = ""', f'log: str = "{log}"'))
    step = [sys.executable, "-m", "clipmill", "annotate", dataset.folder.root, "means"]
    return [*step, "--module", str(path), "--quiet", "--workers", "1"]


def rows_of(dataset):
    group = newest_groups(dataset.folder)["means"]
    tables = [group.shard_table(shard) for shard in dataset.shards]
    return [{**row, "seconds": None} for table in tables for row in table.to_pylist()]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_columns_survive_random_kills_and_nothing_is_looked_at_twice_in_vain(clips, tmp_path):
    log = tmp_path / "log"
    killer, deadline = Killer(5), time.monotonic() + 200
    while True:
        run = subprocess.Popen(command(clips, log), stderr=subprocess.DEVNULL)
        while run.poll() is None:
            killer.pause(*((0.2, 0.9) if killer.kills < KILLS else (5, 5)))
            if run.poll() is None and killer.kills < KILLS:
                killer.kill_one(run.pid)
        assert time.monotonic() < deadline
        if run.returncode == 0:
            break
    wild, looked = rows_of(clips), log.read_text().split()
    assert killer.kills >= 3
    assert len(wild) == SOURCES * ROWS_OF_A_SOURCE == len(set(looked))
    # what is lost with a process is what it had in hand: one source, or those of a whole worker
    assert len(looked) - len(wild) <= killer.kills * MEDIA_PROCESSES * ROWS_OF_A_SOURCE
    subprocess.run([*command(clips, tmp_path / "log"), "--force"], check=True, timeout=120)
    assert rows_of(clips) == wild


def test_what_an_interrupted_run_says_is_kept_is_not_looked_at_again(clips, tmp_path):
    log = tmp_path / "log"
    run = subprocess.Popen(command(clips, log), stdout=subprocess.PIPE, text=True)
    while not log.exists() or len(log.read_text().split()) < 10:
        time.sleep(0.05)
        assert run.poll() is None
    run.send_signal(signal.SIGINT)
    told, _ = run.communicate(timeout=60)
    assert run.returncode == 130
    kept = int(re.search(r"Interrupted after (\d+) sample", told)[1])
    looked = len(log.read_text().split())
    assert 0 < kept <= looked
    subprocess.run(command(clips, log), check=True, timeout=120, stdout=subprocess.DEVNULL)
    assert len(log.read_text().split()) - looked == SOURCES * ROWS_OF_A_SOURCE - kept
