"""What `cut` says of clips with and without a cut in them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from scenedetect import ContentDetector, SceneManager, StatsManager, open_video

from clipmill.core.time import Span
from scene_media import flashed, scene, scenes, write_pictures
from step_results import said_of


@pytest.mark.parametrize("size", [(320, 180), (640, 360), (180, 320)])
def test_a_cut_is_found_when_it_is_shown(tmp_path: Path, size: tuple[int, int]) -> None:
    path = write_pictures(tmp_path / "cut.mp4", scenes([30, 45], size))
    said = said_of(path, "cut")
    assert said["score"] > 40
    assert said["ratio"] > 10
    assert said["at_seconds"] == pytest.approx(30 / 25)
    assert said["cuts_seconds"] == pytest.approx([30 / 25])


def test_every_cut_is_listed(tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "cuts.mp4", scenes([20, 20, 20, 20]))
    assert said_of(path, "cut")["cuts_seconds"] == pytest.approx([0.8, 1.6, 2.4])


def test_the_score_is_nearly_that_of_pyscenedetect(tmp_path: Path) -> None:
    """Seen small it is less by a level or two, so thresholds that people publish hold."""
    path = write_pictures(tmp_path / "cut.mp4", scenes([30, 45], (640, 360)))
    stats = StatsManager()
    manager = SceneManager(stats)
    manager.add_detector(ContentDetector())
    manager.detect_scenes(open_video(str(path), backend="pyav"))
    (theirs,) = stats.get_metrics(30, ["content_val"])
    assert said_of(path, "cut")["score"] == pytest.approx(theirs, abs=2.5)


def test_fast_motion_is_no_cut(tmp_path: Path) -> None:
    said = said_of(write_pictures(tmp_path / "pan.mp4", scene(3, 50, speed=25)), "cut")
    assert said["cuts_seconds"] == []
    assert said["ratio"] < 2


def test_a_flash_is_no_cut(tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "flash.mp4", flashed(scene(3, 50), [20]))
    said = said_of(path, "cut")
    assert said["score"] > 27
    assert said["cuts_seconds"] == []


def test_a_still_changes_by_nothing(tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "still.mp4", [next(scene(3, 1))] * 10, options={"crf": "0"})
    said = said_of(path, "cut")
    assert (said["score"], said["ratio"], said["cuts_seconds"]) == (0, 0, [])


def test_a_clip_up_to_the_cut_has_none_and_one_frame_further_has_it(tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "cut.mp4", scenes([30, 30]))
    tight = said_of(path, "cut", span=Span(Fraction(0), Fraction(30, 25)))
    loose = said_of(path, "cut", span=Span(Fraction(0), Fraction(31, 25)))
    assert tight["cuts_seconds"] == []
    assert loose["cuts_seconds"] == pytest.approx([30 / 25])


def test_a_single_frame_has_no_score(tmp_path: Path) -> None:
    said = said_of(write_pictures(tmp_path / "one.mp4", scene(3, 1)), "cut")
    assert said == {"score": None, "ratio": None, "at_seconds": None, "cuts_seconds": []}


def test_thresholds_are_settings(tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "cut.mp4", scenes([30, 30]))
    assert said_of(path, "cut", threshold=200)["cuts_seconds"] == []
