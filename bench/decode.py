"""What decoding for consumers costs beyond decoding: CPU milliseconds per second of video.

Run as ``python bench/decode.py VIDEO...``; each case runs in turn with all others, in a process of
its own, and the best of the rounds counts, since other work on the machine only ever adds.
``--decoder pyav --decoder torchcodec`` measures both, side by side.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from clipmill.core.request import Audio, DecoderName, Frames, Want
from clipmill.media.decode import MediaFile, Picture
from clipmill.media.pyav import main_video, open_media
from clipmill.media.torchcodec_reader import check_decoder

Case = Callable[[Path, DecoderName], int]


def bare(path: Path, decoder: DecoderName) -> int:
    """PyAV's own loop over every frame, which does nothing with it."""
    with open_media(path) as container:
        return sum(1 for _ in container.decode(main_video(container)))


def wanted(*requests: Frames | Audio, look: bool = True) -> Case:
    """A case that takes all that some requests yield, and looks at the pictures or not."""

    def run(path: Path, decoder: DecoderName) -> int:
        count = 0
        with MediaFile(path, decoder=decoder) as file:
            for piece in file.decode([Want(request) for request in requests]):
                if look and isinstance(piece, Picture):
                    _ = piece.frame
                count += 1
        return count

    return run


def index(path: Path, decoder: DecoderName) -> int:
    """The walk over the packets alone."""
    with MediaFile(path) as file:
        return len(file.frames or ())


CASES: dict[str, Case] = {
    "PyAV loop, no-op": bare,
    "index alone": index,
    "every frame, not looked at": wanted(Frames(), look=False),
    "every frame, gray 64x36": wanted(Frames(size=(64, 36), pixel_format="gray")),
    "every frame, 224, rgb": wanted(Frames(short_side=224)),
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


def measure(case: str, path: Path, decoder: DecoderName) -> float:
    """CPU seconds of one run of a case, in a fresh process; imports do not count."""
    command = [sys.executable, __file__, "--decoder", decoder, "--case", case, str(path)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def run_one(case: str, path: Path, decoder: DecoderName) -> None:
    check_decoder(decoder)  # imports it
    started = time.process_time()
    CASES[case](path, decoder)
    print(time.process_time() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--decoder", action="append", choices=get_args(DecoderName))
    parser.add_argument("--case", choices=CASES, help="run this case once and print its seconds")
    arguments = parser.parse_args()
    decoders = arguments.decoder or ["pyav"]
    if arguments.case:
        run_one(arguments.case, arguments.videos[0], decoders[0])
        return
    for path in arguments.videos:
        with MediaFile(path) as file:
            seconds = float(file.frames.end_seconds) if file.frames else 0
        best = {(case, decoder): float("inf") for case in CASES for decoder in decoders}
        for _ in range(arguments.rounds):
            for case, decoder in best:
                cpu = measure(case, path, decoder)
                best[case, decoder] = min(best[case, decoder], cpu)
        print(f"{path.name}, {seconds:.1f} s; {', '.join(decoders)}")
        for case in CASES:
            told = ""
            for decoder in decoders:
                cpu = best[case, decoder]
                ratio = cpu / best["PyAV loop, no-op", decoder]
                told += f"{cpu * 1000 / seconds:10.2f} ms/s {ratio:6.2f} x"
            print(f"  {case:38} {told}")


if __name__ == "__main__":
    main()
