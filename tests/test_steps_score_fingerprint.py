"""What `fingerprint` says of a video and its copies, and of others."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from motion_media import View, camera
from scene_media import Array, write_pictures
from step_results import said_of

SIZE, FPS = (320, 180), 25
SECONDS = 5


def original(seed: int) -> Iterator[Array]:
    """A camera that wanders over a ground of its own, with something in front of it."""
    random = np.random.default_rng(seed)
    x, y, zoom = random.uniform(-0.2, 0.2, 3)
    times = [number / FPS for number in range(FPS * SECONDS)]
    return camera(
        lambda t: View(x * t, y * t, zoom * t),
        times,
        SIZE,
        seed=seed,
        thing=lambda t: (0.5 * np.sin(t + seed), 0.2 * np.cos(t)),
        thing_side=0.3,
    )


def cropped(picture: Array) -> Array:
    """5 % off: 2.5 at each edge."""
    height, width = picture.shape[:2]
    y, x = round(height * 0.025), round(width * 0.025)
    return cv2.resize(picture[y : height - y, x : width - x], (width, height))


def with_logo(picture: Array) -> Array:
    marked = picture.copy()
    cv2.rectangle(marked, (250, 10), (310, 34), (255, 255, 255), -1)
    cv2.putText(marked, "LOGO", (253, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.65, (200, 0, 0), 2)
    return marked


def small(picture: Array) -> Array:
    return cv2.resize(picture, (160, 90), interpolation=cv2.INTER_AREA)


def squeezed(picture: Array) -> Array:
    return cv2.resize(picture, (240, 180), interpolation=cv2.INTER_AREA)


def darker(picture: Array) -> Array:
    return (picture * 0.8).astype(np.uint8)


COPIES = {
    "re-encoded": (lambda picture: picture, {"crf": "36"}, 6),
    "half the size": (small, {"crf": "24"}, 6),
    "another shape": (squeezed, {"crf": "24"}, 6),
    "darker": (darker, {"crf": "24"}, 6),
    "with a logo": (with_logo, {"crf": "24"}, 18),
    "cut by 5 %": (cropped, {"crf": "24"}, 14),
}
"""How each copy was made, and by how many bits of 64 its frames differ from the original's."""


def hashes(path: Path) -> Array:
    return np.array(said_of(path, "fingerprint")["hashes"], np.uint64)


def distances(left: Array, right: Array) -> Array:
    return np.bitwise_count(left ^ right)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Path]:
    folder = tmp_path_factory.mktemp("films")
    return [write_pictures(folder / f"{seed}.mp4", original(seed), fps=FPS) for seed in range(1, 7)]


@pytest.fixture(scope="module")
def apart(films: Sequence[Path]) -> Array:
    """Distances between frames of different videos."""
    pairs = itertools.combinations([hashes(path) for path in films], 2)
    return np.concatenate([distances(*pair) for pair in pairs])


def test_frames_of_different_videos_differ_by_half_of_the_bits(apart: Array) -> None:
    assert np.mean(apart) == pytest.approx(32, abs=2)
    assert np.percentile(apart, 1) > 20


@pytest.mark.parametrize("copy", COPIES)
def test_copies_stay_below_what_is_between_different_videos(
    tmp_path: Path, films: Sequence[Path], apart: Array, copy: str
) -> None:
    change, options, limit = COPIES[copy]
    near = []
    for seed in (1, 2, 3):
        pictures = (change(picture) for picture in original(seed))
        path = write_pictures(tmp_path / f"{seed}.mp4", pictures, fps=FPS, options=options)
        near.append(distances(hashes(films[seed - 1]), hashes(path)))
    assert np.max(near) <= limit
    # Over a whole video there is no doubt at all.
    means = [np.mean(one) for one in near]
    by_video = apart.reshape(-1, SECONDS).mean(axis=1)
    assert max(means) < by_video.min() - 8


def test_flat_frames_are_left_out(tmp_path: Path) -> None:
    black = [np.zeros((180, 320, 3), np.uint8)] * FPS
    path = write_pictures(tmp_path / "a.mp4", [*black, *original(1)], fps=FPS)
    said = said_of(path, "fingerprint")
    assert said["pts_seconds"] == pytest.approx([1, 2, 3, 4, 5])
    assert len(said["hashes"]) == 5


def test_the_files_own_hash_comes_from_its_row(films: Sequence[Path]) -> None:
    member = {"offset": 512, "size": 10, "sha256": "ab" * 32}
    row = {"media": {"json": None, "mp4": member}}
    assert said_of(films[0], "fingerprint", row=row)["file_sha256"] == "ab" * 32
    assert said_of(films[0], "fingerprint")["file_sha256"] is None


def test_hashes_are_what_the_words_say() -> None:
    from clipmill.steps.score.fingerprint import perceptual_hashes

    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (32, 32), dtype=np.uint8)
    low = cv2.dct(picture.astype(np.float64))[:8, :8]
    # OpenCV scales the first row and column by sqrt(1/2) more.
    low[0] *= np.sqrt(2)
    low[:, 0] *= np.sqrt(2)
    bits = (low > np.median(low.ravel()[1:])).ravel()
    value = sum(int(bit) << (63 - place) for place, bit in enumerate(bits))
    assert perceptual_hashes(picture[None])[0] == value
