"""Loading for training: clips/s and CPU time for eight frames of each clip at 224 x 224.

    python bench/load.py --work FOLDER --clips 400 --peer-python PEER_ENV/bin/python \
        --torchcodec-python OTHER_ENV/bin/python

A dataset of webdataset tars is made once from the files that bench/download.py serves (640x360,
half a second to fifteen seconds, a key frame every half second). Every case runs in a fresh
process, by turns; an epoch to warm up is left out, three are counted. ``bare`` is what a program
written for this alone must do: open, seek to the key frame before each wanted frame, decode, cut
and scale.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import origin

FRAMES, SIZE, BATCH, EPOCHS = 8, 224, 8, 3
SHARES = {"5 %": 20, "20 %": 5}
OURS = ("ours", "ours, 2 workers", *(f"ours, {share} selected" for share in SHARES))
CASES = (*OURS, "bare, 2 processes", "bare")
PEER = """
import json, os, resource, sys, time
started = time.perf_counter()
from video2dataset.dataloader import get_video_dataset
from webdataset import WebLoader

def cpu():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)

folder, frames, size, batch, epochs = sys.argv[1], *map(int, sys.argv[2:])
told = []
for epoch in range(epochs + 1):
    made = get_video_dataset(
        urls=sorted(f"{folder}/{name}" for name in os.listdir(folder) if name.endswith(".tar")),
        batch_size=batch, decoder_kwargs={"n_frames": frames, "uniformly_sample": True,
        "pad_frames": True}, resize_size=size, crop_size=size, enforce_additional_keys=[])
    at, used = time.perf_counter(), cpu()
    clips = sum(len(one["mp4"]) for one in WebLoader(made, batch_size=None, num_workers=2))
    told.append([clips, time.perf_counter() - at, cpu() - used])
print(json.dumps({"epochs": told, "first": None}))
"""

TORCHCODEC = """
import json, os, resource, sys, time
import webdataset
from torch.nn.functional import interpolate
from torchcodec.decoders import VideoDecoder

def cpu():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)

folder, frames, size, batch, epochs = sys.argv[1], *map(int, sys.argv[2:])

def clip(sample):
    decoder = VideoDecoder(sample["mp4"], num_ffmpeg_threads=1)
    count = decoder.metadata.num_frames
    seen = decoder.get_frames_at([int((k + 0.5) / frames * count) for k in range(frames)]).data
    height, width = seen.shape[2:]
    scale = size / min(height, width)
    sides = round(height * scale), round(width * scale)
    seen = interpolate(seen, sides, mode="bilinear", antialias=True)
    top, left = (sides[0] - size) // 2, (sides[1] - size) // 2
    return (seen[:, :, top:top + size, left:left + size],)

urls = sorted(f"{folder}/{name}" for name in os.listdir(folder) if name.endswith(".tar"))
told = []
for epoch in range(epochs + 1):
    made = webdataset.WebDataset(urls, shardshuffle=len(urls)).shuffle(100).map(clip)
    at, used = time.perf_counter(), cpu()
    loader = webdataset.WebLoader(made.batched(batch), batch_size=None, num_workers=2)
    clips = sum(len(one) for one, in loader)
    told.append([clips, time.perf_counter() - at, cpu() - used])
print(json.dumps({"epochs": told, "first": None}))
"""
OTHERS = {"peer, 2 workers": PEER, "torchcodec with webdataset, 2 workers": TORCHCODEC}


def cpu_seconds() -> float:
    """User and system time of this process and of those it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def make_dataset(work: Path, clips: int) -> Path:
    """The dataset, made when it is not there."""
    import clipmill

    folder = work / f"load-{clips}"
    media = origin.make_media(work / "media")
    urls = [str(media[number * 77 % len(media)]) for number in range(clips)]
    clipmill.download(urls, folder, allow_local_paths=True, samples_per_shard=100, quiet=True)
    return folder


def ours(folder: Path, case: str):
    """Our loader for a case."""
    import clipmill

    data = clipmill.open(folder)
    settings = {"frames": FRAMES, "size": SIZE, "batch_size": BATCH, "shuffle": True}
    share = next((every for share, every in SHARES.items() if share in case), None)
    if share:
        found = data.select(f"hash(key) % {share} = 0")
        return found.loader(**settings)
    loader = data.loader(**settings)
    return loader.torch(num_workers=2) if "workers" in case else loader


def bare(place: tuple[str, int, int]) -> int:
    """What must be done for one clip, by hand."""
    import io

    import av
    import numpy as np
    from av.video.reformatter import Interpolation

    path, offset, size = place
    with open(path, "rb") as file:
        file.seek(offset)
        data = io.BytesIO(file.read(size))
    made = []
    with av.open(data) as container:
        stream = container.streams.video[0]
        times = [int((k + 0.5) / FRAMES * stream.duration) for k in range(FRAMES)]
        last = None
        frames = iter(())
        for at in times:
            if last is None or at >= last.pts + last.duration:
                container.seek(at, stream=stream)
                frames = container.decode(stream)
                for last in frames:
                    if last.pts + last.duration > at:
                        break
            side = min(last.width, last.height)
            small = last.reformat(
                width=SIZE * last.width // side,
                height=SIZE * last.height // side,
                format="rgb24",
                interpolation=Interpolation.AREA,
            ).to_ndarray()
            made.append(small[:SIZE, :SIZE])
    return len(np.stack(made))


def bare_places(folder: Path) -> list[tuple[str, int, int]]:
    """Where every clip lies."""
    import clipmill

    data = clipmill.open(folder)
    found = []
    for shard in data.shards:
        for row in data.shard_table(shard, ["media"]).column(0).to_pylist():
            place = row["mp4"]
            found.append((f"{folder}/{shard}.tar", place["offset"], place["size"]))
    return found


def run(folder: Path, case: str) -> dict[str, object]:
    """One case in this process: clips, seconds and CPU seconds of every epoch."""
    import clipmill.dataset.load.loader  # noqa: F401  # start-up counts from here

    if "workers" in case:
        import torch  # noqa: F401
    began = time.perf_counter()
    told, first = [], None
    if case.startswith("bare"):
        from multiprocessing import Pool

        places = bare_places(folder)
        for _ in range(EPOCHS + 1):
            at, used = time.perf_counter(), cpu_seconds()
            if "processes" in case:
                with Pool(2) as pool:
                    clips = len(pool.map(bare, places, chunksize=10))
                    pool.close()
                    pool.join()
            else:
                clips = len([*map(bare, places)])
            told.append([clips, time.perf_counter() - at, cpu_seconds() - used])
        return {"epochs": told, "first": None}
    loader = ours(folder, case)
    for _ in range(EPOCHS + 1):
        at, used, clips = time.perf_counter(), cpu_seconds(), 0
        for batch in loader:
            first = first or time.perf_counter() - began
            clips += len(batch["key"])
        told.append([clips, time.perf_counter() - at, cpu_seconds() - used])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return {"epochs": told, "first": first, "peak_mb": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("/tmp/clipmill-bench"))
    parser.add_argument("--clips", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-python")
    parser.add_argument("--torchcodec-python")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(run(options.work, options.case)))
        return
    options.work.mkdir(parents=True, exist_ok=True)
    folder = make_dataset(options.work, options.clips)
    commands = {
        case: [sys.executable, __file__, "--work", str(folder), "--case", case] for case in CASES
    }
    numbers = [*map(str, (FRAMES, SIZE, BATCH, EPOCHS))]
    pythons = (options.peer_python, options.torchcodec_python)
    for python, (case, program) in zip(pythons, OTHERS.items(), strict=True):
        if python:
            commands[case] = [python, "-c", program, str(folder), *numbers]
    found: dict[str, list[dict[str, object]]] = {}
    for _ in range(options.rounds):
        for case, command in commands.items():
            ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found.setdefault(case, []).append(json.loads(ended.stdout.splitlines()[-1]))
    report(found)


def report(found: dict[str, list[dict[str, object]]]) -> None:
    """Medians over rounds and epochs, and what they are of the bare loop's."""
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}\n")
    names = ("case", "clips", "clips/s", "frames/s", "CPU ms/clip", "CPU of bare", "first batch s")
    print(f"| {' | '.join(names)} | peak MB |")
    print("|---|---|---|---|---|---|---|---|")
    middle = {}
    for case, runs in found.items():
        epochs = [epoch for one in runs for epoch in one["epochs"][1:]]
        clips = epochs[0][0]
        rate = statistics.median(count / seconds for count, seconds, _ in epochs)
        cpu = statistics.median(1000 * used / count for count, _, used in epochs)
        middle[case] = (clips, rate, cpu)
    for case, (clips, rate, cpu) in middle.items():
        firsts = [one["first"] for one in found[case] if one["first"]]
        peaks = [one["peak_mb"] for one in found[case] if "peak_mb" in one]
        first = f"{statistics.median(firsts):.2f}" if firsts else ""
        peak = f"{max(peaks):.0f}" if peaks else ""
        share = middle["bare"][2] / cpu
        cells = (case, clips, f"{rate:.1f}", f"{rate * FRAMES:.0f}", f"{cpu:.1f}")
        print(f"| {' | '.join(map(str, cells))} | {share:.2f} | {first} | {peak} |")


if __name__ == "__main__":
    main()
