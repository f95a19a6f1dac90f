"""Precision and recall of cuts, dissolves, wipes, irises and fades whose places are known.

python bench/transitions.py                          # made scenes
python bench/transitions.py --shots a.mp4 b.mp4 ...  # joins of files that hold one shot each
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from clipmill.steps.split.find import find_spans
from clipmill.steps.split.options import SplitOptions
from scene_media import KINDS, blend, texture, write_pictures

WIDTH, HEIGHT = 320, 180
TOLERANCE = 3  # frames by which a cut may miss its transition
Array = np.ndarray[Any, Any]


@dataclass
class Join:
    kind: str
    start: int  # first frame that shows both
    end: int  # first frame that shows the new scene alone


def made_scene(seed: int, frames: int) -> list[Array]:
    """A camera that pans and zooms over a texture; things cross it, or its light breathes."""
    chance = np.random.default_rng(seed)
    wide = texture(seed, 3 * WIDTH, 3 * HEIGHT)
    direction = chance.uniform(0, 6.28)
    step = chance.uniform(0, 5) * np.array([np.cos(direction), np.sin(direction)])
    zoom, grow = chance.uniform(1, 1.6), chance.choice([0, 0, 0.004, -0.003])
    extra = chance.integers(0, 4)
    place, drift = chance.uniform(20, 160, 2), chance.uniform(-4, 4, 2)
    color = chance.uniform(0, 255, 3).tolist()
    pictures = []
    for number in range(frames):
        scale = 1 / max(0.6, zoom * (1 + grow * number))
        center = np.array([1.5 * WIDTH, 1.5 * HEIGHT]) + step * number * 0.6
        x, y = np.array([WIDTH, HEIGHT]) / 2 - center * scale
        matrix = np.array([[scale, 0, x], [0, scale, y]], np.float32)
        picture = cv2.warpAffine(wide, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
        if extra == 1:
            where = (place + drift * number) % (WIDTH, HEIGHT)
            cv2.circle(picture, where.astype(int).tolist(), 36, color, -1)
        elif extra == 2:
            light = 1 + 0.25 * np.sin(number / 15)
            picture = np.clip(picture * light, 0, 255).astype(np.uint8)
        pictures.append(picture)
    return pictures


def joined(scenes: Iterator[list[Array]], seed: int) -> tuple[list[Array], list[Join]]:
    """One film of scenes, each joined to the next in some way for 8 to 40 frames."""
    chance = random.Random(seed)
    film, joins = next(scenes), []
    for scene in scenes:
        kind = chance.choice(KINDS)
        length = 0 if kind == "hard" else chance.randint(8, min(40, len(scene) - 25))
        start = len(film) - length
        film[start:] = blend(kind, film[start:], scene[:length])
        film += scene[length:]
        joins.append(Join(kind, start, start + length))
    return film, joins


def ssim(one: Array, other: Array) -> float:
    """Mean structural similarity of two gray pictures (Wang et al., 2004)."""
    one, other = one.astype(np.float32), other.astype(np.float32)

    def blur(picture: Array) -> Array:
        return cv2.GaussianBlur(picture, (11, 11), 1.5)

    mean, mean2 = blur(one), blur(other)
    spread, spread2 = blur(one * one) - mean**2, blur(other * other) - mean2**2
    common = blur(one * other) - mean * mean2
    top = (2 * mean * mean2 + 6.5025) * (2 * common + 58.5225)
    return float((top / ((mean**2 + mean2**2 + 6.5025) * (spread + spread2 + 58.5225))).mean())


def koala(film: list[Array]) -> list[int]:
    """Koala-36M's test as published: histogram correlation and SSIM, weighed by a linear SVM."""
    scores, last = [1.0], None
    for picture in film:
        small = cv2.resize(picture, (256, 144))
        counts = [cv2.calcHist([small], [channel], None, [256], [0, 256]) for channel in range(3)]
        gray = cv2.cvtColor(cv2.resize(picture, (128, 72)), cv2.COLOR_RGB2GRAY)
        edges = np.maximum(gray, cv2.Canny(gray, 100, 200))
        if last:
            pairs = zip(last[0], counts, strict=True)
            alike = np.mean([cv2.compareHist(a, b, cv2.HISTCMP_CORREL) for a, b in pairs])
            scores.append(4.61 * alike + 3.75 * ssim(last[1], edges) - 5.49)
        last = counts, edges
    smooth = np.convolve(scores, np.ones(3) / 3, "same")
    flagged = [number for number, score in enumerate(scores) if score < 0]
    for number in range(8, len(scores)):
        before = smooth[number - 8 : number]
        low = before.mean() - 3 * max(0.2, before.std())
        if smooth[number] < min(low, 0.75):
            flagged.append(number)
    runs: list[list[int]] = []
    for number in sorted(set(flagged)):
        if runs and number - runs[-1][-1] <= 4:
            runs[-1].append(number)
        else:
            runs.append([number])
    return [(run[0] + run[-1]) // 2 for run in runs]


def ours(detector: str) -> Callable[[list[Array]], list[int]]:
    def detect(film: list[Array]) -> list[int]:
        with tempfile.TemporaryDirectory() as folder:
            path = write_pictures(Path(folder) / "film.mp4", film)
            return [
                cut.number for cut in find_spans(path, SplitOptions(detector=detector)).cuts[None]
            ]

    return detect


def files(paths: list[Path], seed: int, count: int) -> Iterator[list[Array]]:
    """Pieces of files that hold one shot each, no file twice in a row."""
    chance, last = random.Random(seed), None
    for _ in range(count):
        last = chance.choice([path for path in paths if path != last])
        with av.open(str(last)) as container:
            frames = container.decode(video=0)
            start = chance.randint(0, 40)
            piece = itertools.islice(frames, start, start + chance.randint(70, 140))
            pictures = [frame.to_ndarray(format="rgb24") for frame in piece]
        yield [cv2.resize(picture, (WIDTH, HEIGHT)) for picture in pictures]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=int, default=6)
    parser.add_argument("--scenes", type=int, default=12, help="in each film")
    parser.add_argument("--seed", type=int, default=500)
    parser.add_argument("--shots", nargs="*", type=Path)
    arguments = parser.parse_args()
    ways = {name: ours(name) for name in ("transition", "content", "adaptive")} | {"koala": koala}
    found = {name: dict.fromkeys(KINDS, 0) for name in ways}
    extra, total = dict.fromkeys(ways, 0), dict.fromkeys(KINDS, 0)
    for film_number in range(arguments.films):
        seed = arguments.seed + film_number
        lengths = np.random.default_rng(seed).integers(70, 140, arguments.scenes)
        scenes = (
            files(arguments.shots, seed, arguments.scenes)
            if arguments.shots
            else (made_scene(100 * seed + n, int(length)) for n, length in enumerate(lengths))
        )
        film, joins = joined(scenes, seed)
        for join in joins:
            total[join.kind] += 1
        for name, detect in ways.items():
            cuts = set(detect(film))
            for join in joins:
                near = range(join.start - TOLERANCE, join.end + TOLERANCE + 1)
                hit = sorted(cuts.intersection(near))
                found[name][join.kind] += bool(hit)
                cuts.discard(hit[len(hit) // 2] if hit else -1)
            extra[name] += len(cuts)
    print("| detector | precision | recall |", " | ".join(KINDS), "|")
    print("|---" * (3 + len(KINDS)) + "|")
    for name in ways:
        right = sum(found[name].values())
        cells = [f"{found[name][kind]}/{total[kind]}" for kind in KINDS]
        precision, recall = right / max(right + extra[name], 1), right / sum(total.values())
        print(f"| {name} | {precision:.2f} | {recall:.2f} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
