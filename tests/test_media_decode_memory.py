"""An hour of video takes no more memory than a minute."""

import subprocess
import sys

import pytest

from clipmill.demo.media import make_audio, make_video

DECODE = """
import resource, sys
from clipmill.core.request import Audio, Frames, Want
from clipmill.media.decode import MediaFile
wants = [Want(Frames()), Want(Frames(fps=1, short_side=48)), Want(Audio(rate=16_000, channels=1))]
with MediaFile(sys.argv[1]) as file:
    for piece in file.decode(wants):
        getattr(piece, "frame", None)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(path):
    """Peak of a fresh process's memory over a decode, in bytes."""
    done = subprocess.run(
        [sys.executable, "-c", DECODE, str(path)], check=True, capture_output=True, text=True
    )
    return int(done.stdout) * (1 if sys.platform == "darwin" else 1024)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length_of_a_video(tmp_path):
    short, long = (
        make_video(tmp_path / f"{seconds}.mp4", seconds=seconds, fps=1, gop=30, audio=None)
        for seconds in (60, 3600)
    )
    assert peak(long) - peak(short) < 8_000_000


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length_of_sound(tmp_path):
    short, long = (
        make_audio(tmp_path / f"{seconds}.flac", seconds=seconds, codec="flac")
        for seconds in (20, 300)
    )
    assert peak(long) - peak(short) < 8_000_000
