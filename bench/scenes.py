"""Cut detection: CPU time and agreement, ours against PySceneDetect and against bare decoding.

python bench/scenes.py                      # a made 720p video
python bench/scenes.py --rounds 5 a.mp4 ... # your own
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av

ROOT = Path(__file__).parent.parent
Cuts = list[int]


def bare(path: Path) -> Cuts:
    """Decode every frame with PyAV, and do nothing with it."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type, stream.codec_context.thread_count = "NONE", 1
        for _ in container.decode(stream):
            pass
    return []


def ours(path: Path, detector: str, *, fast: bool = False) -> Cuts:
    from clipmill.steps.split.find import find_spans
    from clipmill.steps.split.options import SplitOptions

    result = find_spans(path, SplitOptions(detector=detector, fast=fast))
    return [cut.number for cut in result.cuts[None]]


def peer(path: Path, detector: str, backend: str) -> Cuts:
    import scenedetect

    manager = scenedetect.SceneManager()
    manager.add_detector(getattr(scenedetect, f"{detector.title()}Detector")())
    manager.detect_scenes(scenedetect.open_video(str(path), backend=backend))
    return [start.frame_num for start, _ in manager.get_scene_list(start_in_scene=True)[1:]]


DETECTORS = ("content", "adaptive", "threshold", "histogram", "hash")
WAYS: dict[str, Callable[[Path], Cuts]] = {"bare decoding": bare}
for _name in DETECTORS:
    WAYS |= {
        f"ours {_name}": lambda path, name=_name: ours(path, name),
        f"ours {_name} fast": lambda path, name=_name: ours(path, name, fast=True),
        f"peer {_name} pyav": lambda path, name=_name: peer(path, name, "pyav"),
        f"peer {_name} opencv": lambda path, name=_name: peer(path, name, "opencv"),
    }
WAYS["ours transition"] = lambda path: ours(path, "transition")
DEFAULT = ("bare decoding", *(way for way in WAYS if "content" in way or "adaptive" in way))


def run_here(way: str, path: Path) -> dict[str, Any]:
    """What one way finds and costs in this process; imports are done before the clock starts."""
    import cv2  # noqa: F401
    import scenedetect  # noqa: F401

    import clipmill.steps.split.find  # noqa: F401

    before = resource.getrusage(resource.RUSAGE_SELF)
    cuts = WAYS[way](path)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu_seconds": cpu, "cuts": cuts, "rss_mb": after.ru_maxrss / 1000}


def run_apart(way: str, path: Path) -> dict[str, Any]:
    """The same in a fresh process."""
    command = [sys.executable, __file__, "--run", way, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def seconds_of(path: Path) -> float:
    with av.open(str(path)) as container:
        return container.duration / av.time_base


def make_video(path: Path, seconds: int = 60) -> Path:
    """A 720p video with a cut every two to five seconds, grainy as cameras are."""
    sys.path.insert(0, str(ROOT / "tests"))
    import numpy as np

    from scene_media import scenes, write_pictures

    random = np.random.default_rng(3)
    lengths: list[int] = []
    while sum(lengths) < seconds * 30:
        lengths.append(int(random.integers(60, 150)))
    grain = [random.normal(0, 3, (720, 1280, 1)).astype(np.int16) for _ in range(7)]
    pictures = (
        np.clip(picture + grain[number % 7], 0, 255).astype(np.uint8)
        for number, picture in enumerate(scenes(lengths, (1280, 720), speed=2.5))
    )
    return write_pictures(path, pictures, fps=30, options={"preset": "medium", "crf": "26"})


def report(path: Path, ways: list[str], rounds: int) -> None:
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            runs[way].append(run_apart(way, path))
    length = seconds_of(path)
    cost = {way: statistics.median(run["cpu_seconds"] for run in runs[way]) for way in ways}
    print(f"\n{path.name}: {length:.1f} s; CPU ms per video second, medians of {rounds}\n")
    print("| way | ms/vs | bare x | peer x | MB | cuts | of the peer's | extra |")
    print("|---|---|---|---|---|---|---|---|")
    for way in ways:
        name = way.split()[1]
        twin = f"peer {name} pyav"
        found = set(runs[way][0]["cuts"])
        expected = set(runs[twin][0]["cuts"]) if twin in runs else None
        to_bare = f"{cost[way] / cost['bare decoding']:.2f}" if "bare decoding" in cost else ""
        to_peer = f"{cost[twin] / cost[way]:.2f}" if twin in cost else ""
        same = "" if expected is None else f"{len(found & expected)}/{len(expected)}"
        extra = "" if expected is None else len(found - expected)
        memory = max(run["rss_mb"] for run in runs[way])
        row = [way, f"{cost[way] / length * 1000:.1f}", to_bare, to_peer, f"{memory:.0f}"]
        print("|", " | ".join(map(str, [*row, len(found), same, extra])), "|", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ways", default=",".join(DEFAULT), help=f"of: {', '.join(WAYS)}")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(run_here(arguments.run, arguments.videos[0])))
        return
    with tempfile.TemporaryDirectory() as folder:
        for path in arguments.videos or [make_video(Path(folder) / "made.mp4")]:
            report(path, arguments.ways.split(","), arguments.rounds)


if __name__ == "__main__":
    main()
