"""What decoding for consumers costs beyond decoding: CPU milliseconds per second of video.

Run as ``python bench/decode.py VIDEO...``; each case runs in turn with all others, in a process of
its own, and the best of the rounds counts, since other work on the machine only ever adds.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from clipmill.core.request import Audio, Frames, Want
from clipmill.media.decode import MediaFile, Picture
from clipmill.media.pyav import main_video, open_media


def bare(path: Path) -> int:
    """PyAV's own loop over every frame, which does nothing with it."""
    with open_media(path) as container:
        return sum(1 for _ in container.decode(main_video(container)))


def wanted(*requests: Frames | Audio, look: bool = True) -> Callable[[Path], int]:
    """A case that takes all that some requests yield, and looks at the pictures or not."""

    def run(path: Path) -> int:
        count = 0
        with MediaFile(path) as file:
            for piece in file.decode([Want(request) for request in requests]):
                if look and isinstance(piece, Picture):
                    _ = piece.frame
                count += 1
        return count

    return run


def index(path: Path) -> int:
    """The walk over the packets alone."""
    with MediaFile(path) as file:
        return len(file.frames or ())


CASES: dict[str, Callable[[Path], int]] = {
    "PyAV loop, no-op": bare,
    "index alone": index,
    "every frame, not looked at": wanted(Frames(), look=False),
    "every frame, gray 64x36": wanted(Frames(size=(64, 36), pixel_format="gray")),
    "2 fps, 224 short side, rgb": wanted(Frames(fps=2, short_side=224)),
    "2 fps, 224, nearest, no loop filter": wanted(
        Frames(fps=2, short_side=224, nearest=True, loop_filter=False)
    ),
    "every frame + 2 fps": wanted(
        Frames(size=(64, 36), pixel_format="gray"), Frames(fps=2, short_side=224)
    ),
    "key frames, 224, rgb": wanted(Frames(keyframes=True, short_side=224)),
    "8 frames, 224, rgb": wanted(Frames(count=8, short_side=224)),
    "sound, 16 kHz mono": wanted(Audio(rate=16_000, channels=1)),
}


def measure(case: str, path: Path) -> float:
    """CPU seconds of one run of a case, in a fresh process; imports do not count."""
    command = [sys.executable, __file__, "--case", case, str(path)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def run_one(case: str, path: Path) -> None:
    started = time.process_time()
    CASES[case](path)
    print(time.process_time() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", choices=CASES, help="run this case once and print its seconds")
    arguments = parser.parse_args()
    if arguments.case:
        run_one(arguments.case, arguments.videos[0])
        return
    for path in arguments.videos:
        with MediaFile(path) as file:
            seconds = float(file.frames.end_seconds) if file.frames else 0
        best = dict.fromkeys(CASES, float("inf"))
        for _ in range(arguments.rounds):
            for case in CASES:
                best[case] = min(best[case], measure(case, path))
        print(f"{path.name}, {seconds:.1f} s")
        for case, cpu in best.items():
            ratio = cpu / best["PyAV loop, no-op"]
            print(f"  {case:38} {cpu * 1000 / seconds:8.2f} ms/s {ratio:6.2f} x")


if __name__ == "__main__":
    main()
