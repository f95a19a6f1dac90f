"""Clips survive kills: what comes out is what an undisturbed run gives, byte for byte."""

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

import clipmill
from clipmill.dataset.columns import newest_groups
from clipmill.demo.media import make_video
from scene_media import scenes, write_pictures
from test_run_faults import Killer

RECIPE = {
    "split": {"detector": "content"},
    "render": {"short_side": 64, "fps": 10},
    "run": {"workers": 1},
}
VIDEOS = 10
STEPS = """
import clipmill, pyarrow as pa
from clipmill.steps.base import InBatches

@clipmill.step(wants=clipmill.Frames(fps=4, short_side=32, pixel_format="gray"),
               columns={"mean": "float64"}, reads=["clip_index"])
def light(seen):
    "The mean of all pixels; fails on dark clips of an even number."
    mean = seen.frames.mean()
    if mean < 120 and seen.row["clip_index"] % 2 == 0:
        raise ValueError("too dark")
    return mean

class Model(InBatches):
    "The first pixel; judged in the worker, after all other conditions."
    name = "model"
    wants = clipmill.Frames(count=1, size=(8, 8))
    columns = pa.schema([("first", pa.int64())])

    def annotate(self, batch):
        return [{"first": int(seen.frames[0, 0, 0, 0])} for seen in batch]
"""
JUDGED = {
    "modules": "steps.py",
    "annotate": ["light", "model"],
    "where": ["clip_index < 2", "light.mean > 80 and model.first > 50"],
}


@pytest.fixture
def videos(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    for number in range(VIDEOS):
        write_pictures(folder / f"{number}.mp4", scenes([20, 30, 25], seed=number))
    make_video(folder / "with-sound.mp4", seconds=2, fps=25)
    (tmp_path / "steps.py").write_text(STEPS)
    return folder


def command(videos: Path, output: Path, judged: dict) -> list[str]:
    recipe = output.with_suffix(".yaml")
    source, write = {"path": str(videos)}, {"to": str(output), "samples_per_shard": 4}
    recipe.write_text(json.dumps({**RECIPE, **judged, "source": source, "write": write}))
    return [sys.executable, "-m", "clipmill", "run", str(recipe), "--quiet"]


def bytes_of(output: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in output.glob("*.tar")
    }


def rows_of(output: Path) -> list[dict]:
    rows = [
        *clipmill.open(output).table().to_pylist(),
        *clipmill.open(output).sources().to_pylist(),
    ]
    for row in rows:
        for name in ("seconds", "fetched_at"):
            (row.get("fetch") or {}).pop(name, None)
    return rows


def cells_of(output: Path) -> dict[str, list[dict]]:
    data = clipmill.open(output)
    return {
        f"{name} {shard}": [{**row, "seconds": None} for row in table.to_pylist()]
        for name, group in newest_groups(data.folder).items()
        for shard in data.shards
        if (table := group.shard_table(shard)) is not None
    }


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("judged", [{}, JUDGED], ids=["made", "judged"])
def test_a_run_of_clips_survives_random_kills(videos, tmp_path, judged, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where the module of steps lies
    calm, wild = tmp_path / "calm", tmp_path / "wild"
    subprocess.run(command(videos, calm, judged), check=True, timeout=120)
    killer, deadline = Killer(3), time.monotonic() + 200
    while True:
        run = subprocess.Popen(command(videos, wild, judged), stderr=subprocess.DEVNULL)
        while run.poll() is None:
            killer.pause(*((0.1, 0.8) if killer.kills < 8 else (5, 5)))
            if run.poll() is None and killer.kills < 8:
                killer.kill_one(run.pid)
        assert time.monotonic() < deadline
        if run.returncode == 0:
            break
    assert killer.kills >= 3
    assert bytes_of(wild) == bytes_of(calm) != {}
    assert rows_of(wild) == rows_of(calm)
    assert cells_of(wild) == cells_of(calm)
    if judged:
        ends = {
            (row["status"], row["error_class"]) for row in clipmill.open(calm).table().to_pylist()
        }
        assert ends == {("success", None), ("dropped", "where"), ("dropped", "unknown")}
        assert len(cells_of(calm)) == 2 * len(clipmill.open(calm).shards)


def test_a_decoder_that_dies_fails_its_source_alone(videos, tmp_path, monkeypatch):
    """A source whose decoding kills the process twice is one failed row."""
    bomb = tmp_path / "bomb"
    bomb.mkdir()
    (bomb / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'clipmill.media.process' in ' '.join(sys.orig_argv):\n"
        "    from clipmill.media import decode\n"
        "    real = decode.MediaFile.decode\n"
        "    def decode_or_die(self, wants):\n"
        "        if self.frames is not None and len(self.frames) == 50:\n"
        "            os.kill(os.getpid(), 11)\n"
        "        return real(self, wants)\n"
        "    decode.MediaFile.decode = decode_or_die\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(bomb))
    for number in range(2, VIDEOS):
        (videos / f"{number}.mp4").unlink()
    output = tmp_path / "out"
    subprocess.run(command(videos, output, {}), check=True, timeout=120)
    rows = clipmill.open(output).table(["status", "error_class"]).to_pylist()
    failed = [row for row in rows if row["status"] != "success"]
    assert [row["error_class"] for row in failed] == ["decoder_crashed"]
    assert len(rows) == 7
