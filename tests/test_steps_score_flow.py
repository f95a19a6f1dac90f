"""Dense flow as video2dataset keeps it, and the scripts' two motion scores."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from clipmill.core.errors import InputError, RecipeError
from clipmill.core.request import Frames, Want
from clipmill.media.decode import MediaFile
from clipmill.steps.load import StepOrder, make_step
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


@pytest.mark.parametrize("sides", [(96, 160), (None, None)], ids=["fixed", "open"])
def test_raft_gives_its_flow_at_the_size_looked_at(pan: Path, tmp_path: Path, sides) -> None:
    weights = str(write_network(tmp_path / "tiny.onnx", *sides))
    said = said_of(pan, "flow", detector="raft", weights=weights, fps=5, resize=128, dtype="fp32")
    flow = np.load(io.BytesIO(said["npy"]), allow_pickle=False)
    assert flow.shape == (14, 128, 228, 2)
    # A tenth of the short side each second, a fifth of a second; the network knows whole pixels.
    pixel = 228 / (sides[1] or 232)
    assert np.median(flow[..., 0]) == pytest.approx(-0.1 * 128 / 5, abs=pixel)
    assert np.all(flow[..., 1] == 0)
    assert said["optical_flow_downsample_size"] == [128, 228]


def test_raft_sees_nothing_in_tiny_pictures(pan: Path) -> None:
    with pytest.raises(RecipeError, match="say resize=360"):
        said_of(pan, "flow", detector="raft")


def test_weights_that_are_none_are_told(pan: Path, tmp_path: Path) -> None:
    settings = {"detector": "raft", "resize": 128}
    with pytest.raises(InputError, match=r"there is no file .*gone\.onnx"):
        said_of(pan, "flow", weights=str(tmp_path / "gone.onnx"), **settings)
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(InputError, match=r"text\.onnx cannot be loaded"):
        said_of(pan, "flow", weights=str(tmp_path / "text.onnx"), **settings)
    with pytest.raises(InputError, match="must be hf://OWNER/NAME/FILE"):
        said_of(pan, "flow", weights="hf://raft.onnx", **settings)


def test_weights_of_the_hub_are_taken_from_where_its_library_keeps_them(tmp_path: Path) -> None:
    held = tmp_path / "models--owner--name"
    for place, text in (("refs/v1", "abc"), ("snapshots/abc/raft.onnx", "weights")):
        (held / place).parent.mkdir(parents=True)
        (held / place).write_text(text)
    asked = (
        "import sys; from clipmill.steps.weights import weights_file; "
        "print(weights_file(sys.argv[1], extra='raft', used_by='raft').read_text())"
    )
    environment = {**os.environ, "HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"}

    def told(place: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", asked, place]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert told("hf://owner/name@v1/raft.onnx").stdout == "weights\n"
    assert (
        "raft cannot download its weights hf://owner/name/raft"
        in told("hf://owner/name/raft.onnx").stderr
    )


def test_weights_decide_nothing_where_none_are_used() -> None:
    plain, other = (make_step(StepOrder("flow", {"weights": name})) for name in "ab")
    assert plain.identity() == other.identity()


def write_network(path: Path, height: int | None, width: int | None) -> Path:
    """A network with the inputs and outputs of RAFT: the best of eight shifts to the left.

    Differences to the second picture, shifted by 0 to 7 pixels, are averaged over 15 pixels around
    each, and the place of the least one is the flow. The other output is an eighth as large.
    """
    kind, shifts = TensorProto.FLOAT, 8
    nodes, means = [], []
    for shift in range(shifts):
        pads = numpy_helper.from_array(np.array([0, 0, 0, shift, 0, 0, 0, -shift]), f"pads{shift}")
        nodes += [
            helper.make_node("Constant", [], [pads.name], value=pads),
            helper.make_node("Pad", ["1", pads.name], [f"moved{shift}"]),
            helper.make_node("Sub", ["0", f"moved{shift}"], [f"less{shift}"]),
            helper.make_node("Abs", [f"less{shift}"], [f"off{shift}"]),
            helper.make_node("ReduceMean", [f"off{shift}", "axes"], [f"gray{shift}"], keepdims=1),
            helper.make_node(
                "AveragePool", [f"gray{shift}"], [f"mean{shift}"],
                kernel_shape=[15, 15], pads=[7, 7, 7, 7],
            ),
        ]  # fmt: skip
        means.append(f"mean{shift}")
    constants = {"axes": np.array([1]), "minus": np.float32(-1), "none": np.float32(0)}
    nodes = [
        *(
            helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(one)))
            for name, one in constants.items()
        ),
        *nodes,
        helper.make_node("Concat", means, ["all"], axis=1),
        helper.make_node("ArgMin", ["all"], ["place"], axis=1, keepdims=1),
        helper.make_node("Cast", ["place"], ["number"], to=kind),
        helper.make_node("Mul", ["number", "minus"], ["x"]),
        helper.make_node("Mul", ["number", "none"], ["y"]),
        helper.make_node("Concat", ["x", "y"], ["flow"], axis=1),
        helper.make_node("AveragePool", ["flow"], ["coarse"], kernel_shape=[8, 8], strides=[8, 8]),
    ]
    inputs = [
        helper.make_tensor_value_info(name, kind, [1, 3, height or "H", width or "W"])
        for name in "01"
    ]
    outputs = [helper.make_tensor_value_info(name, kind, None) for name in ("flow", "coarse")]
    graph = helper.make_graph(nodes, "raft", inputs, outputs)
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    return path


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
