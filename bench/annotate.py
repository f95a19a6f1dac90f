"""What steps that measure cost, alone and together, and how well the default motion score ranks.

    python bench/annotate.py VIDEO...      # real footage; it is cut into clips of 2 to 6 s

CPU milliseconds per second of video against PyAV's own loop over every frame; frames decoded are
counted. ``scripts`` is the motion score of video-dataset-scripts, written anew from its
description: key frames decoded in full size, all frames too for clips that have one only, and
Farneback's flow in full size. The motion score is then ranked against that flow between neighbours.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np

STEPS = ("motion", "picture", "fingerprint")
FARNEBACK = (0.5, 3, 15, 3, 5, 1.2, 0)


def bare(path: Path) -> int:
    """Decode every frame, and do nothing with it."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type, stream.codec_context.thread_count = "NONE", 1
        return sum(1 for _ in container.decode(stream))


def ours(*steps: str) -> Callable[[Path], int]:
    def run(path: Path) -> int:
        from clipmill.media import decode
        from clipmill.steps.load import StepOrder
        from clipmill.steps.look import Showing
        from clipmill.steps.observe import observe

        opened = []
        enter = decode.MediaFile.__enter__
        decode.MediaFile.__enter__ = lambda media: opened.append(media) or enter(media)  # type: ignore[method-assign]
        try:
            showing = Showing("a", None, {}, tuple(range(len(steps))))
            cells = observe(path, [showing], [StepOrder(step) for step in steps]).cells[0]
        finally:
            decode.MediaFile.__enter__ = enter  # type: ignore[method-assign]
        if any(cell.status != "success" for cell in cells):  # type: ignore[union-attr]
            sys.exit(f"{path}: {cells}")
        return sum(media.decoded_frames for media in opened)

    return run


def scripts(path: Path) -> int:
    import cv2

    cv2.setNumThreads(1)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.skip_frame = "NONKEY"
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    decoded = len(frames)
    if len(frames) == 1:
        with av.open(str(path)) as container:
            everything = list(container.decode(video=0))
        decoded += len(everything)
        frames.insert(0, everything[0].to_ndarray(format="rgb24"))
    gray = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in frames]
    for before, after in pairwise(gray):
        cv2.calcOpticalFlowFarneback(before, after, None, *FARNEBACK)
    return decoded


CASES: dict[str, Callable[[Path], int]] = {
    "bare decoding": bare,
    **{step: ours(step) for step in STEPS},
    "all three": ours(*STEPS),
    "scripts": scripts,
}


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def run_here(case: str, clips: Sequence[Path]) -> dict[str, float]:
    """Cost of a case over all clips; what is loaded once is loaded before."""
    CASES[case](clips[0])
    before = cpu()
    decoded = sum(CASES[case](path) for path in clips)
    return {"cpu_seconds": cpu() - before, "decoded": decoded}


def run_apart(case: str, clips: Sequence[Path]) -> dict[str, float]:
    command = [sys.executable, __file__, "--run", case, *map(str, clips)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def rank(clips: Sequence[Path]) -> None:
    """Compare the mean of the motion score with full-size Farneback between the same neighbours."""
    import cv2

    from clipmill.core.request import Frames, Want
    from clipmill.core.seen import Cell
    from clipmill.media.decode import MediaFile, Picture
    from clipmill.steps.load import StepOrder
    from clipmill.steps.look import Showing
    from clipmill.steps.observe import observe

    cv2.setNumThreads(1)
    full, score, flow_seconds, pairs = [], [], 0.0, 0
    for path in clips:
        speeds, last = [], None
        with MediaFile(path) as media:
            wants = [Want(Frames(fps=2, burst=2, pixel_format="gray"))]
            for picture in media.decode(wants):
                assert isinstance(picture, Picture)
                here = (picture.number, picture.pts_seconds, picture.pixels)
                if last and last[0] + 1 == here[0]:
                    started = cpu()
                    flow = cv2.calcOpticalFlowFarneback(last[2], here[2], None, *FARNEBACK)
                    flow_seconds, pairs = flow_seconds + cpu() - started, pairs + 1
                    length = np.hypot(flow[..., 0], flow[..., 1]).mean()
                    speeds.append(length / min(flow.shape[:2]) / (here[1] - last[1]))
                last = here
        full.append(np.mean(speeds))
        cell = observe(path, [Showing("a", None, {}, (0,))], [StepOrder("motion")]).cells[0][0]
        assert isinstance(cell, Cell)
        score.append((cell.values["mean"], cell.seconds))
    ranks = [np.argsort(np.argsort(values)) for values in (full, [mean for mean, _ in score])]
    step_seconds = sum(seconds for _, seconds in score)
    print(
        f"\nrank correlation of motion with full-size Farneback over {len(clips)} clips: "
        f"{np.corrcoef(ranks)[0, 1]:.3f}; {pairs} pairs, full size "
        f"{flow_seconds / pairs * 1e3:.1f} ms a pair, the whole step "
        f"{step_seconds / pairs * 1e3:.2f}: {flow_seconds / step_seconds:.0f} times less"
    )


def cut(videos: Sequence[Path], folder: Path) -> list[Path]:
    """Clips of 2 to 6 s, one beginning every 2.1 s, coded as `clipmill export` does."""
    from clipmill.core.edit import Edit
    from clipmill.core.time import Span
    from clipmill.media.decode import MediaFile
    from clipmill.media.order import ClipOrder
    from clipmill.media.render import render_clips

    for number, path in enumerate(videos):
        with MediaFile(path) as media:
            end = media.frames.end_seconds if media.frames else Fraction(0)
        spans, start = [], Fraction(0)
        while start + (length := Fraction(2 + 3 * len(spans) % 5)) <= end:
            spans.append(Span(start, start + length))
            start += Fraction(21, 10)
        orders = [ClipOrder(f"{number}_{place:03}", span) for place, span in enumerate(spans)]
        render_clips(path, orders, Edit(audio_codec="none"), {"video": "mp4"}, folder)
    return sorted(folder.glob("*.mp4"))


def length_of(path: Path) -> float:
    with av.open(str(path)) as container:
        stream: Any = container.streams.video[0]
        return float(stream.duration * stream.time_base)


def report(clips: Sequence[Path], rounds: int) -> None:
    runs: dict[str, list[dict[str, float]]] = {case: [] for case in CASES}
    for _ in range(rounds):
        for case in CASES:
            runs[case].append(run_apart(case, clips))
    seconds = sum(map(length_of, clips))
    cost = {case: statistics.median(run["cpu_seconds"] for run in runs[case]) for case in CASES}
    print(f"{len(clips)} clips, {seconds:.0f} s; CPU ms per video second, medians of {rounds}\n")
    print("| | ms/vs | bare x | scripts x | frames decoded |")
    print("|---|---|---|---|---|")
    for case, cpu_seconds in cost.items():
        to_bare = cpu_seconds / cost["bare decoding"]
        to_scripts = cost["scripts"] / cpu_seconds
        decoded = runs[case][0]["decoded"]
        row = [case, f"{cpu_seconds / seconds * 1e3:.1f}", f"{to_bare:.2f}", f"{to_scripts:.2f}"]
        print("|", " | ".join([*row, f"{decoded:.0f}"]), "|", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", choices=CASES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(run_here(arguments.run, arguments.videos)))
        return
    with tempfile.TemporaryDirectory() as folder:
        clips = cut(arguments.videos, Path(folder))
        report(clips, arguments.rounds)
        rank(clips)


if __name__ == "__main__":
    main()
