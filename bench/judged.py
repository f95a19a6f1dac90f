"""Cuts, scores, conditions and clips of 360 pixels: in one pass, step after step, and the limit.

    python bench/judged.py
    python bench/judged.py --videos 24 --rounds 3

Whole programs take turns on the made videos of chain.py, of whose scenes the first three are kept.
*in turn* are the commands split, annotate, select and export; the limit decodes all once, encodes
the frames of these scenes, and does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import av
import numpy as np
from chain import SCENES_SECONDS, count_clips, make_dataset
from measured import measure

LIMIT_SECONDS = 1200
STEPS = ["motion", "picture", "fingerprint"]
SCENES = 3
WHERE = f"clip_index < {SCENES} and picture.luminance.mean > 0"
SHORT_SIDE = 360
PRESET = "medium"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--inner", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inner:
        bare(options.inner)
        return
    with tempfile.TemporaryDirectory() as name:
        compare(Path(name), options)


def compare(work: Path, options: argparse.Namespace) -> None:
    videos = make_dataset(work / "source", options.videos) / "videos"
    seconds = options.videos * sum(SCENES_SECONDS)
    found: dict[str, list[tuple[float, ...]]] = {}
    for _ in range(options.rounds):
        for name, command in commands(work, videos).items():
            folder = work / "run"
            folder.mkdir()
            usage = measure(command, folder, LIMIT_SECONDS)
            told = usage.cpu_seconds, usage.seconds, usage.pss_mb, count_clips(folder)
            found.setdefault(name, []).append(told)
            shutil.rmtree(folder)
    print(f"{seconds} s of video, {options.rounds} rounds, medians")
    print(f"{'':8} {'CPU ms/video s':>14} {'seconds':>8} {'PSS MB':>7} {'clips':>6}"
          f" {'/ limit':>8}")  # fmt: skip
    middle = {
        name: [statistics.median(column) for column in zip(*rows, strict=True)]
        for name, rows in found.items()
    }
    for name, (cpu, wall, memory, clips) in middle.items():
        print(f"{name:8} {1000 * cpu / seconds:14.1f} {wall:8.1f} {memory:7.0f}"
              f" {clips:6.0f} {cpu / middle['limit'][0]:8.2f}")  # fmt: skip


def commands(work: Path, videos: Path) -> dict[str, list[str]]:
    """What is compared; each leaves its clips in the folder ``out`` that it is started in."""
    recipe = work / "recipe.json"
    steps = [{"split": {}}, {"annotate": STEPS}, {"where": WHERE}]
    steps.append({"render": {"short_side": SHORT_SIDE, "preset": PRESET}})
    given = {"source": {"path": str(videos)}, "steps": steps, "write": {"to": "out"}}
    run = {"workers": 1, "media_processes": os.cpu_count()}
    recipe.write_text(json.dumps({**given, "run": run}))
    program = str(Path(sys.executable).with_name("clipmill"))
    same = f"--workers 1 --media-processes {os.cpu_count()} --quiet"
    in_turn = (
        f"{program} split {videos} clips {same}",
        f"{program} annotate clips {' '.join(STEPS)} {same}",
        f"{program} select clips kept '{WHERE}' > told",
        f"{program} export clips out --selection kept --short-side {SHORT_SIDE} "
        f"--preset {PRESET} {same}",
    )
    return {
        "one pass": [program, "run", str(recipe), "--quiet"],
        "in turn": ["bash", "-c", " && ".join(in_turn)],
        "limit": [sys.executable, __file__, "--inner", str(videos)],
    }


def bare(videos: Path) -> None:
    """Decode every frame, and encode those of the first scenes; one process per core."""
    paths = sorted(videos.glob("*.mp4"))
    half = len(paths) // 2
    child = os.fork()
    for path in paths[half:] if child else paths[:half]:
        decode_and_encode(path)
    if not child:
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit("a process of the limit failed")


def decode_and_encode(path: Path) -> None:
    with av.open(str(path)) as reader, av.open(os.devnull, "w", format="mp4") as writer:
        stream = reader.streams.video[0]
        stream.thread_type, stream.codec_context.thread_count = "NONE", 1
        target = writer.add_stream("libx264", rate=30, options={"crf": "23", "preset": PRESET})
        target.width, target.height, target.pix_fmt = 640, SHORT_SIDE, "yuv420p"  # of 854x480
        target.codec_context.thread_count = 1
        shaper = av.video.reformatter.VideoReformatter()
        scenes = np.random.default_rng(int(path.stem)).permutation(SCENES_SECONDS)
        for frame in reader.decode(stream):
            if frame.time < scenes[:SCENES].sum():
                small = shaper.reformat(frame, width=640, height=SHORT_SIDE, threads=1)
                small.pict_type = 0
                writer.mux(target.encode(small))
        writer.mux(target.encode(None))


if __name__ == "__main__":
    main()
