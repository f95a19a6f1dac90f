"""Cuts without clips: sources stay whole, their cuts are kept, and later runs split by these."""

from __future__ import annotations

import pytest

import clipmill
from clipmill.core.errors import RecipeError
from clipmill.demo.media import make_video
from clipmill.run.recipe_file import load_recipe
from clipmill.run.runner import run_recipe
from scene_media import scenes, write_pictures

CUTS = [1.2, 3.0]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """One source of three scenes, kept whole with its cuts, in another container."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "in").mkdir()
    write_pictures(folder / "in" / "a.mkv", scenes([30, 45, 20]))
    recipe = {
        "source": {"path": str(folder / "in")},
        "split": {"keep_whole": True},
        "render": {"precision": "copy"},
        "write": {"to": str(folder / "out")},
    }
    run_recipe(load_recipe(recipe), quiet=True)
    return clipmill.open(folder / "out")


def test_sources_stay_whole_under_their_own_keys_with_their_cuts(whole):
    (row,) = whole.table().to_pylist()
    assert (row["key"], row["status"], row["rendered"]["frame_count"]) == (
        "00000000",
        "success",
        95,
    )
    assert [cut["seconds"] for cut in row["cuts"]] == CUTS
    assert [cut["number"] for cut in row["cuts"]] == [30, 75]
    assert row["media"]["mp4"]["size"]


def test_a_later_run_splits_by_the_cuts_without_looking_again(whole, tmp_path):
    clips = whole.split(tmp_path / "clips", detector="cuts", min_seconds=1, quiet=True)
    spans = [
        (row["key"], row["span"]["start_seconds"], row["span"]["end_seconds"])
        for row in clips.table().to_pylist()
    ]
    assert spans == [("00000000_00000", 0.0, 1.2), ("00000000_00001", 1.2, 3.0)]


def test_cuts_of_other_frames_are_not_taken_for_those_of_this_file(whole, tmp_path):
    fewer = whole.export(tmp_path / "fewer", fps=5, quiet=True)
    assert "cuts" not in fewer.table().column_names
    with pytest.raises(RecipeError, match="no kept cuts"):
        fewer.split(tmp_path / "clips", detector="cuts", quiet=True)


def test_a_source_without_a_cut_keeps_none_and_is_one_clip(tmp_path):
    (tmp_path / "in").mkdir()
    make_video(tmp_path / "in" / "a.mp4", seconds=1)
    raw = clipmill.download(tmp_path / "in", tmp_path / "raw", quiet=True)
    whole = raw.split(tmp_path / "whole", keep_whole=True, quiet=True)
    assert [row["cuts"] for row in whole.table().to_pylist()] == [[]]
    clips = whole.split(tmp_path / "clips", detector="cuts", quiet=True)
    assert [row["key"] for row in clips.table().to_pylist()] == ["00000000_00000"]


@pytest.mark.parametrize(
    ("split", "told"),
    [
        ({"min_seconds": 2}, "min_seconds has no effect"),
        ({"longest_only": True}, "longest_only has no effect"),
        ({"detector": "keyframes"}, "finds no cuts"),
    ],
)
def test_keeping_whole_goes_with_cuts_alone(split, told):
    with pytest.raises(RecipeError, match=told):
        load_recipe({"split": {"keep_whole": True, **split}})
