"""What tests of loading load: short videos whose frames tell which video they are of."""

import numpy as np

import clipmill
from clipmill.demo.media import make_video, read_frame_number

FIRST = 40
"""Frame n of video v carries the number ``v * FIRST + n``."""


def make_videos(folder, count, *, seconds=1.0, fps=12, **options):
    """Videos 00.mp4, 01.mp4 and so on, with captions beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    for video in range(count):
        path = folder / f"{video:02}.mp4"
        make_video(path, seconds=seconds, fps=fps, first_number=video * FIRST, **options)
        path.with_suffix(".txt").write_text(f"video number {video}")
    return folder


def download(videos, output, **settings):
    """A dataset of them."""
    return clipmill.download(str(videos), output, allow_local_paths=True, quiet=True, **settings)


def videos_in(batches):
    """Which videos the samples of some batches are of, in order."""
    firsts = [np.asarray(frames[0]) for batch in batches for frames in batch["frames"]]
    return [read_frame_number(frame) // FIRST for frame in firsts]
