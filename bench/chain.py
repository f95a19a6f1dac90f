"""The downsampling chain: cuts, clips of 4-10 s, 224x224, 5 frames/s; ours, the limit, the peer.

    python bench/chain.py                                  # ours and the limit
    python bench/chain.py --peer-python PEER/bin/python    # and video2dataset 1.3.0

Whole programs take turns on a webdataset of made videos. The limit decodes the same videos and
encodes the same frames with the same encoder, and does nothing else: no cuts, no tables, no checks.
*steady* is what the videos beyond the first two cost: start-up is taken out of it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tarfile
import tempfile
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from measured import measure

FPS, SIZE = 30, (854, 480)
SCENES_SECONDS = (4, 6, 9, 5, 6)
LIMIT_SECONDS = 1200
SPLIT = {
    "detector": "content",
    "detector_options": {"threshold": 11.5, "min_scene_frames": 15},
    "min_seconds": 4,
    "max_seconds": 10,
}
RENDER = {"width": 224, "height": 224, "resize_mode": "scale,crop,pad", "fps": 5}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--preset", default="medium", help="x264 preset of ours and of the limit")
    parser.add_argument(
        "--precision", default="exact", help="of the peer: exact, keyframe_adjusted"
    )
    parser.add_argument("--peer-python", type=Path)
    parser.add_argument("--inner", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inner:
        bare(options.inner, options.preset)
        return
    with tempfile.TemporaryDirectory() as name:
        compare(Path(name), options)


def compare(work: Path, options: argparse.Namespace) -> None:
    sources = {
        videos: make_dataset(work / f"source-{videos}", videos) for videos in (2, options.videos)
    }
    found: dict[tuple[str, int], list[Row]] = {}
    for _ in range(options.rounds):
        for videos, source in sources.items():
            for name, command in commands(source, work, options).items():
                found.setdefault((name, videos), []).append(run(command, work / "run"))
    seconds = {videos: videos * sum(SCENES_SECONDS) for videos in sources}
    few, many = sources
    print(f"{seconds[many]} s of video, {options.rounds} rounds, medians")
    print(f"{'':8} {'CPU ms/video s':>14} {'seconds':>8} {'PSS MB':>7} {'clips':>6} {'/ limit':>8}"
          f" {'steady':>8} {'/ limit':>8}")  # fmt: skip
    middle = {
        key: [statistics.median(column) for column in zip(*rows, strict=True)]
        for key, rows in found.items()
    }
    costs = {}
    for name in dict.fromkeys(name for name, _ in middle):
        cpu, wall, memory, clips = middle[name, many]
        steady = (cpu - middle[name, few][0]) / (seconds[many] - seconds[few])
        costs[name] = 1000 * cpu / seconds[many], 1000 * steady, wall, memory, clips
    limits = [row[0] for row in found["limit", many]]
    for name, (whole, steady, wall, memory, clips) in costs.items():
        # Neighbours in time are compared: other work on the machine comes and goes.
        ratios = [row[0] / limit for row, limit in zip(found[name, many], limits, strict=True)]
        print(f"{name:8} {whole:14.1f} {wall:8.1f} {memory:7.0f} {clips:6.0f}"
              f" {statistics.median(ratios):8.2f}"
              f" {steady:8.1f} {steady / costs['limit'][1]:8.2f}")  # fmt: skip


Row = tuple[float, float, float, int]
"""CPU seconds, seconds, PSS in MB, clips."""


def run(command: list[str], folder: Path) -> Row:
    """Run a whole program on an empty folder."""
    folder.mkdir()
    usage = measure(
        [part.replace("OUT", str(folder / "out")) for part in command], folder, LIMIT_SECONDS
    )
    clips = count_clips(folder / "out")
    shutil.rmtree(folder)
    return usage.cpu_seconds, usage.seconds, usage.pss_mb, clips


def commands(source: Path, work: Path, options: argparse.Namespace) -> dict[str, list[str]]:
    recipe = work / "recipe.json"
    steps = {"split": SPLIT, "render": {**RENDER, "preset": options.preset, "audio_codec": "none"}}
    run = {"workers": 1, "media_processes": os.cpu_count()}
    recipe.write_text(
        json.dumps({"source": {"shards": str(source)}, **steps, "run": run, "write": {"to": "x"}})
    )
    clipmill = str(Path(sys.executable).with_name("clipmill"))
    made = {
        "ours": [clipmill, "run", str(recipe), str(source), "OUT", "--quiet"],
        "limit": [sys.executable, __file__, "--inner", str(source), "--preset", options.preset],
    }
    if options.peer_python:
        made["peer"] = [
            str(options.peer_python),
            str(write_peer(work, source, options.precision)),
            "OUT",
        ]
    return made


def write_peer(work: Path, source: Path, precision: str) -> Path:
    """A program that calls video2dataset with its configuration of that name, on two processes."""
    config: dict[str, Any] = {
        "subsampling": {
            "ResolutionSubsampler": {"args": {"video_size": 224, "resize_mode": "scale,crop,pad"}},
            "FrameSubsampler": {"args": {"frame_rate": 5}},
            "CutDetectionSubsampler": {
                "cuts_are_clips": True,
                "args": {
                    "cut_detection_mode": "all",
                    "framerates": None,
                    "threshold": 11.5,
                    "min_scene_len": 15,
                },
            },
            "ClippingSubsampler": {
                "args": {
                    "min_length": 4.0,
                    "max_length": 10.0,
                    "max_length_strategy": "all",
                    "precision": precision,
                }
            },
            "FFProbeSubsampler": {"args": {"extract_keyframes": False}},
        },
        "reading": {
            "yt_args": {
                "download_size": 360,
                "download_audio_rate": 44100,
                "yt_metadata_args": None,
            },
            "timeout": 60,
            "sampler": None,
        },
        "storage": {
            "number_sample_per_shard": 1000,
            "oom_shard_count": 5,
            "captions_are_subtitles": False,
        },
        "distribution": {
            "processes_count": 2,
            "thread_count": 2,
            "subjob_size": 1000,
            "distributor": "multiprocessing",
        },
    }
    program = work / "peer.py"
    program.write_text(
        "import sys\nfrom video2dataset import video2dataset\n"
        "if __name__ == '__main__':\n"
        f"    video2dataset(url_list={str(source / '{00000..00001}.tar')!r},\n"
        "        output_folder=sys.argv[1], input_format='webdataset',\n"
        "        output_format='webdataset', stage='subset',\n"
        f"        encode_formats={{'video': 'mp4'}}, enable_wandb=False, config={config!r})\n"
    )
    return program


def bare(source: Path, preset: str) -> None:
    """Decode every frame, and encode every sixth of them at 224x224; one process per core."""
    paths = sorted((source / "videos").glob("*.mp4"))
    half = len(paths) // 2
    child = os.fork()
    for path in paths[half:] if child else paths[:half]:
        decode_and_encode(path, preset)
    if not child:
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit("a process of the limit failed")


def decode_and_encode(path: Path, preset: str) -> None:
    with av.open(str(path)) as reader, av.open(os.devnull, "w", format="mp4") as writer:
        stream = reader.streams.video[0]
        stream.thread_type, stream.codec_context.thread_count = "NONE", 1
        target = writer.add_stream("libx264", rate=5, options={"crf": "23", "preset": preset})
        target.width, target.height, target.pix_fmt = 224, 224, "yuv420p"
        target.codec_context.thread_count, target.codec_context.gop_size = 1, 10
        shaper = av.video.reformatter.VideoReformatter()
        for number, frame in enumerate(reader.decode(stream)):
            if number % 6:
                continue
            small = shaper.reformat(frame, width=224, height=224, threads=1, interpolation="AREA")
            small.pts, small.time_base = number // 6, Fraction(1, 5)
            small.pict_type = 0
            writer.mux(target.encode(small))
        writer.mux(target.encode(None))


def count_clips(output: Path) -> int:
    count = 0
    for path in output.rglob("*.tar"):
        with tarfile.open(path) as tar:
            count += sum(name.endswith(".mp4") for name in tar.getnames())
    return count


def make_dataset(folder: Path, videos: int) -> Path:
    """Two tars of videos with cuts, and the same videos as files."""
    (folder / "videos").mkdir(parents=True)
    with ExitStack() as stack:
        tars = [
            stack.enter_context(tarfile.open(folder / f"{number:05d}.tar", "w"))
            for number in range(2)
        ]
        fill(folder, videos, tars)
    return folder


def fill(folder: Path, videos: int, tars: list[tarfile.TarFile]) -> None:
    for number in range(videos):
        path = make_video(folder / "videos" / f"{number:03d}.mp4", seed=number)
        shard = number * 2 // videos
        key = f"{shard:05d}{number:04d}"
        description = folder / "description.json"
        told = {"key": key, "url": path.name, "status": "success", "error_message": None}
        description.write_text(json.dumps(told))  # the peer stumbles where one is missing
        tars[shard].add(path, f"{key}.mp4")
        tars[shard].add(description, f"{key}.json")
        description.unlink()


def make_video(path: Path, seed: int) -> Path:
    """Scenes of different lengths: a camera that pans over grainy textures."""
    random = np.random.default_rng(seed)
    with av.open(str(path), "w") as writer:
        stream = writer.add_stream("libx264", rate=FPS, options={"preset": "medium", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        number = 0
        for seconds in random.permutation(SCENES_SECONDS):
            wide = texture(random, SIZE[0] + 400, SIZE[1] + 400)
            speed = random.uniform(0.3, 1.2)
            for step in range(int(seconds) * FPS):
                x = int(step * speed)
                picture = wide[x // 2 : x // 2 + SIZE[1], x : x + SIZE[0]]
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, FPS)
                writer.mux(stream.encode(frame))
                number += 1
        writer.mux(stream.encode(None))
    return path


def texture(random: np.random.Generator, width: int, height: int) -> np.ndarray[Any, Any]:
    picture = np.zeros((height, width, 3), np.float32)
    for cells, strength in ((3, 1.0), (11, 0.5), (60, 0.3), (300, 0.15)):
        patches = random.uniform(-1, 1, (cells, cells, 3)).astype(np.float32)
        picture += strength * cv2.resize(patches, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(random.uniform(30, 220, 3) + 60 * picture, 0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
