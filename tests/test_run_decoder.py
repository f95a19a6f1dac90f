"""Another decoder than PyAV, chosen for steps and for loaders."""

import sys

import numpy as np
import pytest

import clipmill
from clipmill.core.errors import MissingExtra
from clipmill.dataset.columns import column_groups, newest_groups
from clipmill.demo.media import read_frame_number
from clipmill.run.recipe_file import load_recipe
from clipmill.run.runner import run_recipe
from clipmill.run.trial import can_be_kept
from clipmill.steps.load import StepOrder, group_name, make_step
from decode_cases import make_kind

pytestmark = pytest.mark.usefixtures("torchcodec")
ALONE = {"workers": 1, "media_processes": 1}  # since each process loads torch


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """A dataset of two videos: one that torchcodec decodes, and one that it must not."""
    videos = tmp_path_factory.mktemp("videos")
    for name in ("h264.mp4", "interlaced.mp4"):
        make_kind(videos, name)
    output = tmp_path_factory.mktemp("raw")
    return clipmill.download(str(videos), output, allow_local_paths=True, quiet=True)


STEP = """
import sys

import clipmill
from clipmill.demo.media import read_frame_number

COLUMNS = {"numbers": "list<int64>", "mean": "float64", "is_loaded": "bool"}


@clipmill.step(wants=clipmill.Frames(fps=5, short_side=64), columns=COLUMNS)
def colours(seen):
    "Runs beside the decoder."
    return {
        "numbers": [read_frame_number(frame) for frame in seen.frames],
        "mean": seen.frames.mean(),
        "is_loaded": "torchcodec" in sys.modules,
    }
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    """A file with a step that tells what it saw, and whether torchcodec was there."""
    path = tmp_path_factory.mktemp("step") / "colours.py"
    path.write_text(STEP)
    return str(path)


def test_what_is_said_of_its_pictures_is_a_group_of_its_own(raw, module):
    said = {}
    for decoder in ("pyav", "torchcodec"):
        raw.annotate("colours", modules=[module], decoder=decoder, quiet=True, **ALONE)
        group = newest_groups(raw.folder)["colours"]
        assert group.info["decoder"] == decoder
        said[decoder] = group.shard_table("00000").to_pylist()
    assert len(column_groups(raw.folder)) == 2
    for ours, theirs in zip(said["pyav"], said["torchcodec"], strict=True):
        assert ours["numbers"] == theirs["numbers"] == list(range(0, 24, 2))
        assert theirs["mean"] == pytest.approx(ours["mean"], abs=2)
    assert not any(row["is_loaded"] for row in said["pyav"])
    assert any(row["is_loaded"] for row in said["torchcodec"])


def test_it_decodes_for_steps_that_want_rgb_beside_others(raw, module):
    said = []
    for steps in (["colours"], ["colours", "motion"]):
        how = {"modules": [module], "decoder": "torchcodec", "force": True, "quiet": True}
        raw.annotate(*steps, **how, **ALONE)
        said.append(newest_groups(raw.folder)["colours"].shard_table("00000").to_pylist())
    assert said[1][0]["is_loaded"]
    assert [row["mean"] for row in said[1]] == [row["mean"] for row in said[0]]


def test_recipes_choose_it_too(raw, module, tmp_path):
    recipe = {
        "source": {"path": raw.folder.url},
        "modules": [module],
        "steps": [{"split": {"detector": "stride", "stride_seconds": 1}}, {"annotate": "colours"}],
        "write": {"to": str(tmp_path / "clips")},
    }
    groups = []
    for decoder in ("pyav", "torchcodec"):
        made = load_recipe({**recipe, "run": {"decoder": decoder, **ALONE}})
        run_recipe(made, mode="overwrite", quiet=True)
        clips = clipmill.open(tmp_path / "clips")
        groups.append(newest_groups(clips.folder)["colours"])
        rows = groups[-1].shard_table("00000").to_pylist()
        assert rows[0]["numbers"] == list(range(0, 10, 2))
        assert rows[0]["is_loaded"] == (decoder == "torchcodec")
    assert groups[0].name != groups[1].name


def test_what_sees_no_colours_is_the_same_whatever_decodes_others_pictures():
    step = make_step(StepOrder("fingerprint"))
    assert group_name(step, "torchcodec") == group_name(step, "pyav")


def test_what_sees_colours_is_not_judged_by_the_decode_that_finds_clips():
    colours, luma = make_step(StepOrder("cut")), make_step(StepOrder("fingerprint"))
    assert can_be_kept(colours, "pyav")
    assert not can_be_kept(colours, "torchcodec")
    assert can_be_kept(luma, "torchcodec")


def test_loaded_frames_are_the_right_ones(raw):
    (ours,) = raw.loader(frames=4)
    (theirs,) = raw.loader(frames=4, decoder="torchcodec")
    for one, other in zip(ours["frames"], theirs["frames"], strict=True):
        assert list(map(read_frame_number, other)) == list(map(read_frame_number, one))
    assert np.array_equal(ours["pts_seconds"], theirs["pts_seconds"])


def test_without_the_extra_it_says_how_to_install_it(raw, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchcodec", None)
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    for use in (
        lambda: raw.annotate("picture", decoder="torchcodec", quiet=True),
        lambda: raw.loader(decoder="torchcodec"),
    ):
        with pytest.raises(MissingExtra, match=r'pip install "clipmill\[torchcodec\]"'):
            use()
