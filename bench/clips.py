"""Clips of a long source: ours in one process against one ffmpeg process per clip, and the limit.

    python bench/clips.py --source long.mp4        # default: a synthetic source of 90 s, 854x480
    python bench/clips.py --rounds 9 --cases 'copy,ffmpeg copy,bare copy'      # these alone

Needs the system's ffmpeg. Programs take turns; a clip counts when it holds the frames it should.
``bare copy`` and ``bare exact`` are libav itself in one process: it seeks in the open source, and
moves packets or codes anew, and neither hashes nor reads again what it wrote.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

CLIP_SECONDS = 4
# As media processes run: frame buffers stay with the allocator.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "33554432", "MALLOC_TRIM_THRESHOLD_": "33554432"}
X264 = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-threads", "1"]
ENCODE = [*X264, "-c:a", "aac", "-b:a", "192k"]
COPY = ["-c", "copy"]
CASES = ["exact", "ffmpeg exact", "bare exact", "copy", "ffmpeg copy", "bare copy", "smart"]
PICTURE = "testsrc2=s=854x480:r=30,noise=alls=12:allf=t,zoompan=z=1.2:d=1:s=854x480:fps=30"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", type=Path)
    parser.add_argument("--rate", help="of the synthetic source's pictures, such as 1500k")
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", default=",".join(CASES), help="which of them, in this order")
    parser.add_argument("--inner")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.inner:
        run = BARE.get(options.inner, ours)
        print(json.dumps(run(options.source, options.clips, options.inner, options.out)))
        return
    if not shutil.which("ffmpeg"):
        sys.exit("bench/clips.py needs the program ffmpeg")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        source = options.source or make_source(work / "source.mp4", options.rate)
        compare(source, options.clips, options.rounds, work, options.cases.split(","))


def compare(source: Path, clips: int, rounds: int, work: Path, cases: list[str]) -> None:
    found: dict[str, list[dict[str, float]]] = {case: [] for case in cases}
    for _ in range(rounds):
        for case in cases:
            out = work / case.replace(" ", "-")
            out.mkdir()
            command, _, precision = case.rpartition(" ")
            run = ffmpeg if command == "ffmpeg" else inner
            found[case].append(run(source, clips, case if command == "bare" else precision, out))
            shutil.rmtree(out)  # writing over files costs more than writing new ones
    print(f"{'':14} {'CPU ms/clip':>12} {'spread':>14} {'frames':>7} {'KB':>8}")
    middle = {}
    for case in cases:
        costs = [result["cpu_ms"] for result in found[case]]
        middle[case] = statistics.median(costs)
        last = found[case][-1]
        print(
            f"{case:14} {middle[case]:12.1f} {min(costs):6.1f}-{max(costs):6.1f}"
            f" {last['frames']:8.0f} {last['bytes'] / 1000:8.0f}"
        )
    for case, other in (("exact", "ffmpeg exact"), ("copy", "ffmpeg copy")):
        if case in middle and other in middle:
            ratio = middle[other] / middle[case]
            print(f"{case}: {ratio:.2f} times less CPU than one ffmpeg process per clip")
    for case in ("exact", "copy"):
        if case in middle and f"bare {case}" in middle:
            ratio = middle[case] / middle[f"bare {case}"]
            print(f"{case}: {ratio:.2f} times the CPU of bare libav")


def spans(source: Path, count: int) -> list[tuple[Fraction, Fraction]]:
    """As many spans as asked for, evenly spread, none of them on a round time."""
    from clipmill.media.probe import probe

    seconds = Fraction(str(probe(source).duration_seconds))
    step = (seconds - CLIP_SECONDS) / count
    return [(n * step + Fraction(7, 100), n * step + CLIP_SECONDS) for n in range(count)]


def inner(source: Path, clips: int, precision: str, out: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--source", str(source), "--clips", str(clips)]
    command += ["--inner", precision, "--out", str(out)]
    environment = {**os.environ, **ALLOCATOR}
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return json.loads(told.stdout)


def cpu_seconds(whose: int = resource.RUSAGE_SELF) -> float:
    spent = resource.getrusage(whose)
    return spent.ru_utime + spent.ru_stime


def ours(source: Path, clips: int, precision: str, out: Path) -> dict[str, float]:
    from clipmill.core.edit import Edit
    from clipmill.core.time import Span
    from clipmill.media.order import ClipOrder
    from clipmill.media.render import render_clips

    orders = [ClipOrder(str(n), Span(*span)) for n, span in enumerate(spans(source, clips))]
    before = cpu_seconds()
    made = render_clips(source, orders, Edit(precision=precision), {"video": "mp4"}, out)
    cpu = cpu_seconds() - before
    failed = [clip for clip in made if isinstance(clip, Exception)]
    if failed:
        raise failed[0]
    return {
        "cpu_ms": 1000 * cpu / clips,
        "frames": sum(clip.frame_count for clip in made),
        "bytes": sum(clip.members["mp4"].size for clip in made),
    }


def bare_copy(source: Path, clips: int, _: str, out: Path) -> dict[str, float]:
    """The packets of each clip from the key frame before it on, by PyAV alone."""
    import av

    times = spans(source, clips)
    before = cpu_seconds()
    frames = 0
    with av.open(str(source)) as reader:
        picture = reader.streams.video[0]
        streams = [picture, *reader.streams.audio[:1]]
        for number, (start, end) in enumerate(times):
            reader.seek(int(start * av.time_base))
            with av.open(str(out / f"{number}.mp4"), "w") as writer:
                outputs = {one.index: writer.add_stream_from_template(one) for one in streams}
                for packet in reader.demux(*streams):
                    if packet.dts is None or packet.dts * packet.time_base >= end:
                        break
                    frames += packet.stream is picture
                    packet.stream = outputs[packet.stream.index]
                    writer.mux_one(packet)
    cpu = cpu_seconds() - before
    size = sum(path.stat().st_size for path in out.iterdir())
    return {"cpu_ms": 1000 * cpu / clips, "frames": frames, "bytes": size}


def bare_exact(source: Path, clips: int, _: str, out: Path) -> dict[str, float]:
    """The frames and the sound of each clip, decoded from the key frame before it and coded."""
    import av

    times = spans(source, clips)
    before = cpu_seconds()
    frames = 0
    with av.open(str(source)) as reader:
        streams = [reader.streams.video[0], *reader.streams.audio[:1]]
        streams[0].thread_type, streams[0].codec_context.thread_count = "NONE", 1
        for number, (start, end) in enumerate(times):
            reader.seek(int(start * av.time_base))
            with av.open(str(out / f"{number}.mp4"), "w") as writer:
                outputs = {one.index: encoder_of(writer, one) for one in streams}
                ended: set[int] = set()
                for packet in reader.demux(*streams):
                    for frame in packet.decode() if packet.stream_index not in ended else ():
                        if frame.pts * frame.time_base >= end:
                            ended.add(packet.stream_index)
                        elif frame.pts * frame.time_base >= start:
                            if packet.stream is streams[0]:
                                frames += 1
                                frame.pict_type = 0  # the encoder chooses
                            writer.mux(outputs[packet.stream_index].encode(frame))
                    if len(ended) == len(streams):
                        break
                for output in outputs.values():
                    writer.mux(output.encode())
    cpu = cpu_seconds() - before
    size = sum(path.stat().st_size for path in out.iterdir())
    return {"cpu_ms": 1000 * cpu / clips, "frames": frames, "bytes": size}


def encoder_of(writer: Any, stream: Any) -> Any:
    """As clipmill's are set: x264 veryfast at crf 23 in one thread, AAC at 192 kbit/s."""
    if stream.type == "audio":
        return writer.add_stream(
            "aac", rate=stream.rate, layout=stream.layout.name, bit_rate=192_000
        )
    coder = writer.add_stream("libx264", rate=stream.average_rate)
    coder.width, coder.height = stream.width, stream.height
    coder.options = {"preset": "veryfast", "crf": "23", "threads": "1"}
    return coder


BARE = {"bare copy": bare_copy, "bare exact": bare_exact}


def ffmpeg(source: Path, clips: int, precision: str, out: Path) -> dict[str, float]:
    before = cpu_seconds(resource.RUSAGE_CHILDREN)
    codecs = COPY if precision == "copy" else ENCODE
    for number, (start, end) in enumerate(spans(source, clips)):
        command = ["ffmpeg", "-v", "error", "-y", "-threads", "1", "-ss", f"{float(start):.3f}"]
        command += ["-i", str(source), "-t", f"{float(end - start):.3f}", *codecs]
        subprocess.run([*command, str(out / f"{number}.mp4")], check=True)
    cpu = cpu_seconds(resource.RUSAGE_CHILDREN) - before
    from clipmill.media.probe import probe

    made = [out / f"{number}.mp4" for number in range(clips)]
    return {
        "cpu_ms": 1000 * cpu / clips,
        "frames": sum(probe(path).video.frame_count for path in made),
        "bytes": sum(path.stat().st_size for path in made),
    }


def make_source(path: Path, rate: str | None) -> Path:
    inputs = ["-f", "lavfi", "-i", PICTURE, "-f", "lavfi", "-i", "sine=frequency=330"]
    coded = [
        "-t",
        "90",
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-pix_fmt",
        "yuv420p",
        *(["-b:v", rate] if rate else []),
        "-c:a",
        "aac",
        "-y",
    ]
    subprocess.run(["ffmpeg", "-v", "error", *inputs, *coded, str(path)], check=True)
    return path


if __name__ == "__main__":
    main()
