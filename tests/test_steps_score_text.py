"""How much text `text` finds, and what it takes for overlay: drawn text of known size and place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from motion_media import View, camera, ground
from scene_media import Array, write_pictures
from step_results import repeated, said_of

pytest.importorskip("rapidocr")

SIZE = WIDTH, HEIGHT = 320, 180
FPS = 5
LINES = "GRAND HOTEL"


def written(picture: Array, text: str = LINES, at: tuple[int, int] = (60, 150)) -> Array:
    """White letters with a black rim, a tenth of the picture high; ``at`` is their lower left."""
    picture = picture.copy()
    for color, thickness in (((0, 0, 0), 5), ((255, 255, 255), 2)):
        cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.8, color, thickness, cv2.LINE_AA)
    return picture


def pan(seconds: float, speed: float = 0.3, seed: int = 1) -> Iterator[Array]:
    """What a camera sees that goes to the right by so many short sides each second."""
    times = [number / FPS for number in range(round(seconds * FPS))]
    return camera(lambda time: View(x=speed * time), times, SIZE, seed=seed)


def hoarding(seconds: float, *, shift: float = 0.0, growth: float = 0.0) -> Iterator[Array]:
    """A wall with letters on it, seen by a camera that goes right (short sides/s) or comes near."""
    wall = written(ground(3, 600), at=(250, 300))
    for number in range(round(seconds * FPS)):
        time = number / FPS
        zoom = np.exp(growth * time)
        x, y = 300 + shift * HEIGHT * time, 300
        onto = np.array([[zoom, 0, WIDTH / 2 - zoom * x], [0, zoom, HEIGHT / 2 - zoom * y]])
        yield cv2.warpAffine(wall, onto, SIZE, flags=cv2.INTER_LINEAR)


def said(tmp_path: Path, pictures: Iterable[Array], **settings: Any) -> Mapping[str, Any]:
    path = write_pictures(tmp_path / "a.mp4", pictures, fps=FPS, options={"crf": "18"})
    return said_of(path, "text", **{"short_side": 180, **settings})


def kinds(values: Mapping[str, Any]) -> list[str | None]:
    return [text["kind"] for text in values["texts"]]


def test_pictures_without_text_have_none(tmp_path: Path) -> None:
    values = said(tmp_path, pan(2))
    assert values["area_share"]["max"] == 0
    assert values["box_count"]["max"] == 0
    assert (values["overlay_share"], values["scene_share"]) == (0, 0)
    assert values["texts"] == []


@pytest.mark.parametrize(("scale", "least", "most"), [(2.4, 1.2, 1.5), (0.5, 1.6, 2.1)])
def test_the_area_is_that_of_boxes_around_the_letters(
    tmp_path: Path, scale: float, least: float, most: float
) -> None:
    """As the step says: more by half for large letters, twice as much for small ones."""
    plain = cv2.resize(next(pan(1)), (640, 360))
    picture = plain.copy()
    for color, more in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        thickness = round(2 * scale * more)
        cv2.putText(picture, LINES, (80, 200), cv2.FONT_HERSHEY_SIMPLEX, scale, color, thickness)
    rows, columns = np.nonzero((picture != plain).any(axis=2))
    top, bottom, left, right = min(rows), max(rows) + 1, min(columns), max(columns) + 1
    values = said(tmp_path, [picture], short_side=360)
    letters = (bottom - top) * (right - left) / (640 * 360)
    assert least < values["area_share"]["first"] / letters < most
    assert values["box_count"]["first"] == 1
    (text,) = values["texts"]
    assert text["x"] + text["width"] / 2 == pytest.approx((left + right) / 2 / 640, abs=0.01)
    assert text["y"] + text["height"] / 2 == pytest.approx((top + bottom) / 2 / 360, abs=0.01)


@pytest.mark.parametrize("size", [(2000, 16), (16, 2000)])
def test_strips_are_looked_at_too(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    strip = np.full((height, width, 3), 40, np.uint8)
    at = (4, height // 2 + 5)
    cv2.putText(strip, "N E W S", at, cv2.FONT_HERSHEY_SIMPLEX, 0.3, (255, 255, 255))
    values = said(tmp_path, [strip] * 2)
    assert 0 <= values["area_share"]["mean"] <= 1
    for text in values["texts"]:
        assert text["x"] + text["width"] <= 1.01
        assert text["y"] + text["height"] <= 1.01


def test_values_are_told_frame_by_frame(tmp_path: Path) -> None:
    lines = [(), (150,), (60, 150)]
    pictures = []
    for heights in lines:
        picture = next(pan(1))
        for height in heights:
            picture = written(picture, at=(60, height))
        pictures += [picture] * FPS
    values = said(tmp_path, pictures)
    assert values["box_count"]["values"] == pytest.approx([0, 1, 2])
    assert values["area_share"]["values"][2] == pytest.approx(
        2 * values["area_share"]["values"][1], rel=0.1
    )
    assert values["pts_seconds"] == pytest.approx([0, 1, 2])


@pytest.mark.parametrize("joined", ["pan", "cut"])
def test_what_stays_in_place_while_the_view_does_not_is_overlay(
    tmp_path: Path, joined: str
) -> None:
    pictures = list(pan(2)) if joined == "pan" else [*pan(1, 0, seed=1), *pan(1, 0, seed=2)]
    values = said(tmp_path, map(written, pictures))
    assert kinds(values) == ["overlay"]
    assert values["overlay_share"] == pytest.approx(values["area_share"]["mean"], rel=1e-4)
    assert values["scene_share"] == 0


@pytest.mark.parametrize(
    "move", [{"shift": 0.2}, {"shift": 0.02}, {"shift": 0.75}, {"growth": 0.1}]
)
def test_what_moves_with_the_view_is_text_of_the_scene(
    tmp_path: Path, move: Mapping[str, float]
) -> None:
    values = said(tmp_path, hoarding(2, **move))
    assert set(kinds(values)) == {"scene"}
    assert values["scene_share"] == pytest.approx(values["area_share"]["mean"], rel=1e-4)
    assert values["overlay_share"] == 0


def test_both_are_told_apart(tmp_path: Path) -> None:
    pictures = (written(picture, "LOGO", (230, 35)) for picture in hoarding(2, shift=0.2))
    values = said(tmp_path, pictures)
    overlay = [text for text in values["texts"] if text["kind"] == "overlay"]
    assert sorted(kinds(values)) == ["overlay", "scene", "scene"]
    assert overlay[0]["x"] + overlay[0]["width"] / 2 == pytest.approx(263 / WIDTH, abs=0.03)
    assert (overlay[0]["start_seconds"], overlay[0]["end_seconds"]) == (0, 1)
    assert values["overlay_share"] + values["scene_share"] == pytest.approx(
        values["area_share"]["mean"], rel=1e-4
    )


def test_subtitles_come_and_go_while_the_view_stands(tmp_path: Path) -> None:
    lines = ["Where are we?", "Nobody knows", None]
    (still,) = pan(1 / FPS)
    shown = [still if line is None else written(still, line) for line in lines]
    values = said(tmp_path, [picture for one in shown for picture in repeated(one, FPS)])
    assert kinds(values) == ["overlay", "overlay"]
    assert values["box_count"]["values"] == pytest.approx([1, 1, 0])


def test_text_of_a_view_that_stands_cannot_be_told(tmp_path: Path) -> None:
    values = said(tmp_path, repeated(written(next(pan(1))), 2 * FPS))
    assert values["area_share"]["min"] > 0
    assert kinds(values) == [None]
    assert (values["overlay_share"], values["scene_share"]) == (None, None)
    assert said(tmp_path, [written(next(pan(1)))])["overlay_share"] is None
