"""What `motion` says of cameras, things, freezes and repeated frames whose truth is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipmill.core.time import Span
from motion_media import View, camera, film
from scene_media import write_pictures
from step_results import cell_of, said_of

Planted = tuple[str, Callable[[float], View], dict[str, Any], dict[str, float]]

ABOUT = 0.06
"""A value is right within this share of it,"""
NOUGHT = {"motion": 0.01, "subject": 0.02, "pan_x": 0.01, "pan_y": 0.01, "zoom": 0.01, "roll": 0.5}
"""or within this, in its own unit."""

CAMERA: list[Planted] = [
    ("still", lambda t: View(), {}, {"motion": 0}),
    ("slow pan", lambda t: View(x=0.02 * t), {}, {"motion": 0.02, "pan_x": 0.02}),
    ("pan right", lambda t: View(x=0.3 * t), {}, {"motion": 0.3, "pan_x": 0.3}),
    ("pan left", lambda t: View(x=-0.3 * t), {}, {"motion": 0.3, "pan_x": -0.3}),
    ("pan down", lambda t: View(y=0.3 * t), {}, {"motion": 0.3, "pan_y": 0.3}),
    ("aslant", lambda t: View(x=0.3 * t, y=-0.4 * t), {}, {"pan_x": 0.3, "pan_y": -0.4}),
    ("fast pan", lambda t: View(x=1.0 * t), {}, {"motion": 1.0, "pan_x": 1.0}),
    ("zoom in", lambda t: View(zoom=0.3 * t), {}, {"zoom": 0.3}),
    ("zoom out", lambda t: View(zoom=-0.2 * t), {}, {"zoom": -0.2}),
    ("roll", lambda t: View(roll=20 * t), {}, {"roll": 20}),
    ("roll back", lambda t: View(roll=-60 * t), {}, {"roll": -60}),
    ("zoom and pan", lambda t: View(x=0.3 * t, zoom=0.2 * t), {"seconds": 2}, {"zoom": 0.2}),
    ("twice the size", lambda t: View(x=0.3 * t), {"size": (640, 360)}, {"motion": 0.3}),
    ("upright", lambda t: View(x=0.3 * t), {"size": (180, 320)}, {"motion": 0.3, "pan_x": 0.3}),
    ("4:3", lambda t: View(x=0.3 * t), {"size": (240, 180)}, {"motion": 0.3}),
    ("15 frames/s", lambda t: View(x=0.3 * t), {"fps": 15}, {"motion": 0.3, "pan_x": 0.3}),
    ("25 frames/s", lambda t: View(x=0.3 * t), {"fps": 25}, {"motion": 0.3, "pan_x": 0.3}),
    ("60 frames/s", lambda t: View(x=0.3 * t), {"fps": 60}, {"motion": 0.3, "pan_x": 0.3}),
]


def mean(said: Any, score: str) -> float:
    return float(said["mean"] if score == "motion" else said[score]["mean"])


@pytest.mark.parametrize(
    ("view", "how", "truth"), [one[1:] for one in CAMERA], ids=[one[0] for one in CAMERA]
)
def test_a_camera_has_the_speed_it_was_given(
    tmp_path: Path, view: Callable[[float], View], how: dict[str, Any], truth: dict[str, float]
) -> None:
    said = said_of(film(tmp_path, view, **{"seconds": 2, **how}), "motion")
    for score, value in truth.items():
        assert mean(said, score) == pytest.approx(value, rel=ABOUT, abs=NOUGHT[score])
    # What it does not do, it is not said to do, and nothing moves by itself.
    others = NOUGHT.keys() - truth.keys() - {"motion"}
    if "pan" not in " ".join(truth):
        others -= {"pan_x", "pan_y"}
    for score in others:
        assert mean(said, score) == pytest.approx(0, abs=2 * NOUGHT[score])
    assert len(said["values"]) == 4
    assert said["pts_seconds"] == pytest.approx([0, 0.5, 1, 1.5], abs=0.04)


SPEED, SIDE = 0.3, 0.5
SHARE = SIDE * SIDE / (320 / 180)
THINGS = [
    ("before a still camera", 0.0, SPEED, SPEED * SHARE),
    ("against a panning camera", 0.2, SPEED, (SPEED + 0.2) * SHARE),
    ("that the camera follows", 0.2, 0.0, 0.2 * SHARE),
]


@pytest.mark.parametrize(
    ("pan", "speed", "truth"), [one[1:] for one in THINGS], ids=[one[0] for one in THINGS]
)
def test_a_thing_counts_by_its_size_and_speed_against_the_ground(
    tmp_path: Path, pan: float, speed: float, truth: float
) -> None:
    path = film(
        tmp_path,
        lambda t: View(x=pan * t),
        thing=lambda t: (-0.4 + speed * t, 0.1),
        thing_side=SIDE,
    )
    said = said_of(path, "motion")
    assert said["pan_x"]["mean"] == pytest.approx(pan, rel=ABOUT, abs=0.01)
    assert said["subject"]["mean"] == pytest.approx(truth, rel=0.25)


@pytest.mark.parametrize(("fps", "real"), [(24, 12), (50, 25), (60, 30), (30, 10), (30, 24)])
def test_repeated_frames_are_seen_through(tmp_path: Path, fps: int, real: int) -> None:
    path = film(tmp_path, lambda t: View(x=0.3 * math.floor(t * real + 1e-6) / real), fps=fps)
    said = said_of(path, "motion")
    assert said["mean"] == pytest.approx(0.3, rel=ABOUT)
    assert said["duplicate_share"] == pytest.approx(1 - real / fps, abs=0.02)
    assert said["freeze_share"] == 0


@pytest.mark.parametrize(("begin", "end"), [(1.0, 3.0), (0.0, 2.2), (2.3, 4.0), (0.0, 4.0)])
def test_freezes_are_found_where_they_are(tmp_path: Path, begin: float, end: float) -> None:
    def view(time: float) -> View:
        return View(x=0.2 * (time - min(max(time - begin, 0), end - begin)))

    said = said_of(film(tmp_path, view, seconds=4), "motion")
    # A freeze ends somewhere between two looks, half a second apart.
    assert said["freeze_share"] == pytest.approx((end - begin) / 4, abs=0.5 / 4)
    assert said["mean"] == pytest.approx(0.2 * (1 - (end - begin) / 4), abs=0.04)


def test_slow_motion_is_no_freeze(tmp_path: Path) -> None:
    said = said_of(film(tmp_path, lambda t: View(zoom=0.03 * t)), "motion")
    assert said["freeze_share"] == 0
    assert said["zoom"]["mean"] == pytest.approx(0.03, rel=0.15)


def test_slides_stand_still(tmp_path: Path) -> None:
    path = film(tmp_path, lambda t: View(x=3.0 * math.floor(t / 2)), seconds=6)
    assert said_of(path, "motion")["freeze_share"] > 0.85


def test_a_frame_that_is_held_counts_as_long_as_it_is_shown(tmp_path: Path) -> None:
    times = [Fraction(number, 10) for number in range(10)]
    times += [Fraction(3) + time for time in times]  # nothing new for two seconds
    views = camera(lambda t: View(x=0.2 * t), [float(time) for time in times])
    path = write_pictures(tmp_path / "held.mp4", views, fps=10, frame_times=times)
    said = said_of(path, "motion")
    assert said["freeze_share"] == pytest.approx(2 / 4, abs=0.1)


def test_an_unsteady_hand_shakes_and_a_swing_does_not(tmp_path: Path) -> None:
    places = np.random.default_rng(7).normal(0, 0.004, (301, 2))

    def hand(time: float) -> View:
        x, y = places[round(30 * time)]
        return View(x=0.1 * time + x, y=y)

    # The view's speed at each look, that is, at every fifteenth frame.
    speeds = (places[1::15] - places[:-1:15])[:20] * 30
    bends = np.diff(speeds[:, 0] + 1j * speeds[:, 1], 2)
    truth = np.median(np.abs(bends)) / math.sqrt(12 * math.log(2))
    said = said_of(film(tmp_path, hand, seconds=10), "motion")
    assert said["shake"] == pytest.approx(truth, rel=0.15)
    assert said["pan_x"]["mean"] == pytest.approx(0.1 + speeds[:, 0].mean(), abs=0.02)
    swing = film(tmp_path, lambda t: View(0.1 * t * t), seconds=5)
    assert said_of(swing, "motion")["shake"] < 0.01


def test_coding_and_clips_do_not_matter(tmp_path: Path) -> None:
    values = []
    for crf in ("18", "28"):
        path = film(tmp_path, lambda t: View(x=0.3 * t), seconds=4, options={"crf": crf})
        values.append(said_of(path, "motion")["mean"])
        clip = Span(Fraction(1), Fraction(3))
        values.append(said_of(path, "motion", span=clip)["mean"])
    assert values == pytest.approx([0.3] * 4, rel=ABOUT)


def test_less_than_two_frames_have_no_motion(tmp_path: Path) -> None:
    said = said_of(film(tmp_path, seconds=0.04, fps=25), "motion")
    assert said["mean"] is None
    assert said["values"] == []
    assert said["shake"] is None


def test_a_look_more_often_gives_more_values(tmp_path: Path) -> None:
    path = film(tmp_path, lambda t: View(x=0.3 * t), seconds=2)
    assert len(said_of(path, "motion", fps=4)["values"]) == 8


def test_pictures_without_texture_do_not_move(tmp_path: Path) -> None:
    plain = [np.full((180, 320, 3), 90, np.uint8)] * 30
    cell = cell_of(write_pictures(tmp_path / "plain.mp4", plain), "motion")
    assert cell.values["mean"] == pytest.approx(0, abs=1e-6)
    assert cell.values["pan_x"]["mean"] == 0
