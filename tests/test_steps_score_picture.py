"""What `picture` says of videos whose looks are known, after encoding and decoding them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from scene_media import Array, scene, texture, write_pictures
from step_results import cell_of, repeated, said_of

SIZE = (320, 180)
LOSSLESS = {"crf": "0"}


def film(path: Path, *pictures: Array, options: dict[str, str] | None = None) -> Path:
    """Each picture is shown for a second."""
    shown = (same for picture in pictures for same in repeated(picture, 5))
    return write_pictures(path / "film.mp4", shown, fps=5, options=options or LOSSLESS)


def plain(red: int, green: int, blue: int, size: tuple[int, int] = SIZE) -> Array:
    return np.full((size[1], size[0], 3), (red, green, blue), np.uint8)


def halves(left: Array, right: Array) -> Array:
    middle = left.shape[1] // 2
    return np.concatenate([left[:, :middle], right[:, middle:]], axis=1)


BLACK, WHITE = plain(0, 0, 0), plain(255, 255, 255)
RED, GREEN = plain(255, 0, 0), plain(0, 255, 0)

PLANTED: list[tuple[str, Array, str, float, float]] = [
    ("grey", plain(128, 128, 128), "luminance", 128, 1),
    ("grey", plain(128, 128, 128), "contrast", 0, 0.1),
    ("grey", plain(128, 128, 128), "colorfulness", 0, 1),
    ("grey", plain(128, 128, 128), "sharpness", 0, 0.1),
    ("grey", plain(128, 128, 128), "blockiness", 1, 0.01),
    ("red", RED, "luminance", 0.299 * 255, 2),
    # rg = 255 and yb = 127.5 everywhere
    ("red", RED, "colorfulness", 0.3 * np.hypot(255, 127.5), 2),
    # rg is 255 or -255, yb 127.5: var(rg) = 255^2, mean(rg) = 0
    ("red and green", halves(RED, GREEN), "colorfulness", 255 + 0.3 * 127.5, 6),
    ("black and white", halves(BLACK, WHITE), "luminance", 127.5, 1),
    ("black and white", halves(BLACK, WHITE), "contrast", 127.5, 1),
    ("black and white", halves(BLACK, WHITE), "black_share", 0.5, 0.01),
    ("black and white", halves(BLACK, WHITE), "white_share", 0.5, 0.01),
    ("dark grey", plain(40, 40, 40), "black_share", 0, 0),
    ("light grey", plain(235, 235, 235), "white_share", 0, 0),
]


@pytest.mark.parametrize(
    ("name", "picture", "score", "value", "tolerance"),
    PLANTED,
    ids=[f"{name}-{score}" for name, _, score, *_ in PLANTED],
)
def test_a_known_picture_has_the_value_worked_out_by_hand(
    tmp_path: Path, name: str, picture: Array, score: str, value: float, tolerance: float
) -> None:
    said = said_of(film(tmp_path, picture), "picture")
    assert said[score]["mean"] == pytest.approx(value, abs=tolerance)


def test_each_second_has_a_value_of_its_own(tmp_path: Path) -> None:
    greys = [plain(level, level, level) for level in (200, 50, 100)]
    said = said_of(film(tmp_path, *greys), "picture")
    assert said["pts_seconds"] == pytest.approx([0, 1, 2])
    assert said["luminance"]["values"] == pytest.approx([200, 50, 100], abs=1)
    assert said["luminance"]["first"] == pytest.approx(200, abs=1)
    assert said["luminance"]["min"] == pytest.approx(50, abs=1)
    assert said["luminance"]["p10"] == pytest.approx(60, abs=1)


def test_twice_the_exposure_is_twice_the_luminance_and_contrast(tmp_path: Path) -> None:
    base = texture(3, *SIZE).astype(np.float32) / 4
    said = said_of(
        film(tmp_path, *((base * gain).astype(np.uint8) for gain in (1, 2, 4))), "picture"
    )
    for score in ("luminance", "contrast"):
        dim, middle, bright = said[score]["values"]
        assert middle == pytest.approx(2 * dim, rel=0.03)
        assert bright == pytest.approx(2 * middle, rel=0.03)


def test_overexposure_is_a_growing_share_of_white(tmp_path: Path) -> None:
    ramp = np.repeat(np.linspace(0, 250, SIZE[0]), 3).reshape(1, -1, 3).repeat(SIZE[1], axis=0)
    over = (np.clip(ramp * gain, 0, 255).astype(np.uint8) for gain in (0.5, 1.25, 2))
    said = said_of(film(tmp_path, *over), "picture")
    # 245 is reached at 1 - 245 / (250 * gain) of the width from the right
    assert said["white_share"]["values"] == pytest.approx([0, 0.216, 0.51], abs=0.015)


def test_the_more_blur_the_less_sharpness(tmp_path: Path) -> None:
    sharp = noisy_texture((428, 240))
    blurred = [cv2.GaussianBlur(sharp, (0, 0), sigma) for sigma in (0.6, 1, 1.5, 2)]
    values = said_of(film(tmp_path, sharp, *blurred), "picture")["sharpness"]["values"]
    assert all(later < 0.7 * before for before, later in pairwise(values))


def noisy_texture(size: tuple[int, int]) -> Array:
    """A texture with detail as fine as its pixels."""
    rng = np.random.default_rng(5)
    fine = texture(5, *size).astype(int) + rng.integers(-30, 30, (size[1], size[0], 1))
    return np.clip(fine, 0, 255).astype(np.uint8)


def test_values_are_the_same_at_every_size(tmp_path: Path) -> None:
    large = cv2.GaussianBlur(noisy_texture((1280, 720)), (0, 0), 2)
    by_size = []
    for width, height in ((1280, 720), (960, 540), (640, 360)):
        folder = tmp_path / str(width)
        folder.mkdir()
        picture = cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA)
        by_size.append(said_of(film(folder, picture), "picture"))
    for score, tolerance in {
        "luminance": 0.01,
        "contrast": 0.01,
        "colorfulness": 0.02,
        "sharpness": 0.25,
        "blockiness": 0.05,
    }.items():
        first, *others = (said[score]["mean"] for said in by_size)
        assert others == pytest.approx([first, first], rel=tolerance), score


@pytest.mark.parametrize("shift", [(0, 0), (3, 5)])
def test_blocks_of_jpeg_are_seen_wherever_the_picture_is_cut(
    tmp_path: Path, shift: tuple[int, int]
) -> None:
    picture = cv2.GaussianBlur(noisy_texture((336, 192)), (0, 0), 1)
    coded = [picture, *(jpeg(picture, quality) for quality in (75, 30, 10))]
    x, y = shift
    cut = [one[y : y + 180, x : x + 320] for one in coded]
    values = said_of(film(tmp_path, *cut), "picture")["blockiness"]["values"]
    assert values[0] < 1.15
    assert values == sorted(values)
    assert values[-1] > 1.8


def test_scaling_hides_the_blocks(tmp_path: Path) -> None:
    coded = jpeg(cv2.GaussianBlur(noisy_texture((400, 224)), (0, 0), 1), 10)
    said = said_of(film(tmp_path, cv2.resize(coded, SIZE)), "picture")
    assert said["blockiness"]["mean"] < 1.25


def jpeg(picture: Array, quality: int) -> Array:
    ok, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert ok
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


@pytest.mark.parametrize(
    ("box", "share"),
    [((0, 24, 320, 132), 48 / 180), ((40, 0, 240, 180), 0.25), ((0, 0, 320, 180), 0)],
    ids=["letterbox", "pillarbox", "none"],
)
def test_bars_of_a_known_height_are_found_to_the_pixel(
    tmp_path: Path, box: tuple[int, int, int, int], share: float
) -> None:
    x, y, width, height = box
    pictures = []
    for picture in scene(7, 15, SIZE):
        barred = BLACK.copy()
        barred[y : y + height, x : x + width] = np.maximum(picture, 60)[:height, :width]
        pictures.append(barred)
    path = write_pictures(tmp_path / "bars.mp4", pictures, fps=5)
    said = said_of(path, "picture")
    assert said["letterbox"] == dict(zip(("x", "y", "width", "height"), box, strict=True))
    assert said["bars_share"] == pytest.approx(share, abs=1e-6)
    assert said["black_share"]["mean"] == pytest.approx(share, abs=0.015)


def test_a_scene_that_is_dark_at_first_has_no_bars(tmp_path: Path) -> None:
    night = WHITE.copy()
    night[:60] = 0
    said = said_of(film(tmp_path, night, WHITE), "picture")
    assert said["bars_share"] == 0
    assert said["black_share"]["values"] == pytest.approx([1 / 3, 0], abs=0.01)


def test_levels_of_black_and_white_are_settings(tmp_path: Path) -> None:
    path = film(tmp_path, halves(plain(40, 40, 40), plain(200, 200, 200)))
    said = said_of(path, "picture", black_level=50, white_level=190)
    assert said["black_share"]["mean"] == pytest.approx(0.5, abs=0.01)
    assert said["white_share"]["mean"] == pytest.approx(0.5, abs=0.01)


def test_frames_are_as_many_as_asked_for(tmp_path: Path) -> None:
    path = film(tmp_path, BLACK, WHITE)
    assert len(said_of(path, "picture", fps=2)["pts_seconds"]) == 4


def test_a_source_that_changes_size_is_seen_to_its_end(tmp_path: Path) -> None:
    said = said_of(two_sizes(tmp_path), "picture")
    assert said["luminance"]["values"] == pytest.approx([50, 50, 200, 200], abs=2)
    assert said["letterbox"] == {"x": 0, "y": 0, "width": 320, "height": 180}


def test_a_step_that_sees_all_at_once_cannot_be_shown_two_sizes(tmp_path: Path) -> None:
    module = tmp_path / "mine.py"
    module.write_text(
        "import clipmill\n"
        "@clipmill.step(wants=clipmill.Frames(fps=1), columns={'light': 'float32'})\n"
        "def light(seen):\n    return seen.frames.mean()\n"
    )
    cell = cell_of(two_sizes(tmp_path), "light", module=module)
    assert (cell.status, cell.error_class) == ("failed", "size_changes")


def two_sizes(folder: Path) -> Path:
    """Two seconds of dark pictures, then two of bright and smaller ones."""
    parts = []
    for level, size in ((50, SIZE), (200, (160, 120))):
        pictures = repeated(plain(level, level, level, size), 10)
        parts.append(write_pictures(folder / f"{level}.ts", pictures, fps=5).read_bytes())
    both = folder / "both.ts"
    both.write_bytes(b"".join(parts))
    return both
