"""The programs in ``examples/`` are run as a user runs them."""

import csv
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import clipmill
from scene_media import write_pictures

EXAMPLES = Path(__file__).parent.parent / "examples"
WAYS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
SIDE, SQUARE, STEP, FRAMES = 48, 12, 3, 12


def moving_square(way, random):
    """A square of some colour that goes one way, from somewhere, and comes in again at the edge."""
    place = random.integers(SIDE, size=2)
    colour = random.integers(96, 256, size=3)
    for frame in range(FRAMES):
        x, y = place + frame * STEP * np.array(WAYS[way])
        picture = np.full((SIDE, SIDE, 3), 30, np.uint8)
        picture[:SQUARE, :SQUARE] = colour
        yield np.roll(picture, (y, x), axis=(0, 1))


@pytest.fixture(scope="module")
def motions(tmp_path_factory):
    """A dataset of squares: the class of each, the way it goes, is the column ``label``."""
    folder = tmp_path_factory.mktemp("motions")
    random = np.random.default_rng(0)
    with (folder / "motions.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["url", "label"])
        for number in range(32):
            way = [*WAYS][number % len(WAYS)]
            path = write_pictures(folder / f"{number}.mp4", moving_square(way, random), fps=12)
            table.writerow([path, way])
    clipmill.download(folder / "motions.csv", folder / "data", allow_local_paths=True, quiet=True)
    return folder / "data"


def test_a_network_learns_which_way_things_go(motions):
    pytest.importorskip("torch")
    program = EXAMPLES / "train.py"
    assert len(program.read_text().splitlines()) < 40
    ended = subprocess.run(
        [sys.executable, "-W", "error", program, motions], capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    losses = [float(loss) for loss in re.findall(r"loss (\S+),", ended.stdout)]
    assert losses[-1] < losses[0] / 10
    right, samples = re.findall(r"(\d+) of (\d+)", ended.stdout)[-1]
    assert int(right) == int(samples) == 32
