"""Dense flow as video2dataset keeps it, and the scripts' two motion scores."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from clipmill.core.errors import RecipeError
from clipmill.core.request import Frames, Want
from clipmill.media.decode import MediaFile
from motion_media import View, film
from scene_media import write_pictures
from step_results import repeated, said_of


@pytest.fixture(scope="module")
def pan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A camera that pans to the right by a tenth of the short side each second."""
    return film(tmp_path_factory.mktemp("pan"), lambda t: View(x=0.1 * t), seconds=3)


@pytest.mark.parametrize(("dtype", "kind"), [("fp16", np.float16), ("fp32", np.float32)])
def test_flow_is_an_array_of_what_moved_where(pan: Path, dtype: str, kind: type) -> None:
    said = said_of(pan, "flow", fps=2, resize=64, dtype=dtype)
    flow = np.load(io.BytesIO(said["npy"]), allow_pickle=False)
    assert flow.shape == (5, 64, 114, 2)
    assert flow.dtype == kind
    # What is seen goes to the left: 0.1 short sides/s, 64 pixels, half a second.
    assert np.median(flow[..., 0]) == pytest.approx(-0.1 * 64 / 2, rel=0.05)
    assert np.median(flow[..., 1]) == pytest.approx(0, abs=0.05)
    lengths = np.hypot(*np.moveaxis(flow.astype(np.float32), -1, 0)).mean(axis=(1, 2))
    assert said["mean_optical_flow_magnitude_per_frame"] == pytest.approx(lengths, rel=0.01)
    assert said["mean_optical_flow_magnitude"] == pytest.approx(lengths.mean(), rel=0.01)
    assert said["optical_flow_fps"] == 2
    assert said["optical_flow_downsample_size"] == [64, 114]
    assert said["optical_flow_dtype"] == dtype


def test_the_default_is_the_size_and_rate_of_video2dataset(pan: Path) -> None:
    said = said_of(pan, "flow")
    assert np.load(io.BytesIO(said["npy"])).shape == (5, 16, 28, 2)
    assert said["optical_flow_dtype"] == "fp16"


def test_a_frame_that_is_held_does_not_move(tmp_path: Path) -> None:
    said = said_of(film(tmp_path, lambda t: View(x=t), seconds=3, fps=1), "flow")
    lengths = said["mean_optical_flow_magnitude_per_frame"]
    assert [length > 0.1 for length in lengths] == [False, True, False, True, False]


def test_one_frame_has_no_flow(tmp_path: Path) -> None:
    said = said_of(film(tmp_path, seconds=0.04, fps=25), "flow")
    assert np.load(io.BytesIO(said["npy"])).shape == (0, 16, 28, 2)
    assert said["mean_optical_flow_magnitude"] is None


def test_raft_is_refused_by_name(pan: Path) -> None:
    with pytest.raises(RecipeError, match="raft is not built"):
        said_of(pan, "flow", detector="raft")


def test_the_scripts_scores_are_those_of_key_frames(tmp_path: Path) -> None:
    path = film(tmp_path, lambda t: View(x=0.02 * t), seconds=3, options={"g": "25"})
    with MediaFile(path) as media:
        wants = [Want(Frames(keyframes=True))]
        frames = [piece.pixels for piece in media.decode(wants)]  # type: ignore[union-attr]
    gray = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in frames]
    assert len(gray) == 4
    means = []
    for before, after in pairwise(gray):
        flow = cv2.calcOpticalFlowFarneback(before, after, None, 0.5, 3, 15, 3, 5, 1.2, 0)
        means.append(cv2.resize(flow, (16, 9), interpolation=cv2.INTER_AREA).mean())
    said = said_of(path, "motion_legacy")
    assert said["motion_fb"] == pytest.approx(np.mean(means), rel=1e-4)
    assert said["motion_fb"] < 0  # a pan to the right, over both components
    assert 0 < said["motion_lk"] < 20
    assert said == said_of(path, "motion_legacy")


def test_one_key_frame_or_no_corner_is_no_error(pan: Path, tmp_path: Path) -> None:
    assert said_of(pan, "motion_legacy") == {"motion_fb": 0, "motion_lk": 0}
    plain = repeated(np.full((90, 160, 3), 70, np.uint8), 10)
    path = write_pictures(tmp_path / "plain.mp4", plain, options={"g": "5"})
    assert said_of(path, "motion_legacy")["motion_lk"] == 0
