"""Where the pixels go: every resize mode, landscape and portrait, odd sizes, boxes."""

from fractions import Fraction

import numpy as np
import pytest

from clipmill.core.config import parse_config
from clipmill.core.edit import Edit
from clipmill.core.errors import ProcessError, RecipeError
from clipmill.demo.media import make_video
from clipmill.media.framing import plan_framing
from clipmill.media.letterbox import box_within_bars
from media_clips import numbers, render

LANDSCAPE, PORTRAIT = (1920, 1080), (1080, 1920)
THREE = "scale,crop,pad"


def plan(size, mode="scale", **edit):
    return plan_framing(*size, Edit(resize_mode=mode, **edit))


@pytest.mark.parametrize(
    ("size", "mode", "wanted", "crop", "scaled", "full", "at"),
    [
        (LANDSCAPE, "scale", (640, 640), (0, 0, 1920, 1080), (640, 360), (640, 360), (0, 0)),
        (PORTRAIT, "scale", (640, 640), (0, 0, 1080, 1920), (360, 640), (360, 640), (0, 0)),
        (LANDSCAPE, "scale,crop", (360, 360), (420, 0, 1080, 1080), (360, 360), (360, 360), (0, 0)),
        (PORTRAIT, "scale,crop", (360, 360), (0, 420, 1080, 1080), (360, 360), (360, 360), (0, 0)),
        (LANDSCAPE, "scale,pad", (640, 640), (0, 0, 1920, 1080), (640, 360), (640, 640), (0, 140)),
        (PORTRAIT, "scale,pad", (640, 640), (0, 0, 1080, 1920), (360, 640), (640, 640), (140, 0)),
        (LANDSCAPE, "crop", (640, 360), (640, 360, 640, 360), (640, 360), (640, 360), (0, 0)),
        (PORTRAIT, "crop", (1200, 360), (0, 780, 1080, 360), (1080, 360), (1080, 360), (0, 0)),
        (LANDSCAPE, "pad", (2000, 1200), (0, 0, 1920, 1080), LANDSCAPE, (2000, 1200), (40, 60)),
        (PORTRAIT, "pad", (640, 360), (0, 0, 1080, 1920), PORTRAIT, PORTRAIT, (0, 0)),
        (LANDSCAPE, "stretch", (300, 300), (0, 0, 1920, 1080), (300, 300), (300, 300), (0, 0)),
        # the peer's ffmpeg refused this one in portrait, and the sample was lost
        (PORTRAIT, THREE, (640, 360), (0, 0, *PORTRAIT), (202, 360), (640, 360), (218, 0)),
        (LANDSCAPE, THREE, (360, 360), (420, 0, 1080, 1080), (360, 360), (360, 360), (0, 0)),
    ],
)  # fmt: skip
def test_resize_modes_in_landscape_and_portrait(size, mode, wanted, crop, scaled, full, at):
    found = plan(size, mode, width=wanted[0], height=wanted[1])
    assert found.crop == crop
    assert (found.scaled_width, found.scaled_height) == scaled
    assert (found.width, found.height) == full
    assert (found.pad_left, found.pad_top) == at


@pytest.mark.parametrize(
    ("edit", "size"),
    [
        ({}, (1920, 1080)),
        ({"short_side": 360}, (640, 360)),
        ({"height": 361}, (642, 360)),
        ({"width": 100}, (100, 56)),
        ({"short_side": 2160}, (1920, 1080)),
        ({"short_side": 2160, "upscale": True}, (3840, 2160)),
        ({"crop": "10:20:301:201"}, (300, 200)),
        ({"crop": "10:20:301:201", "short_side": 100}, (150, 100)),
    ],
)
def test_sizes_are_even_and_grow_only_when_asked(edit, size):
    found = plan(LANDSCAPE, **edit)
    assert (found.width, found.height) == size


@pytest.mark.parametrize("wanted", [(96, 64), (97, 63), (640, 360)])
def test_scale_and_crop_give_exactly_the_size_asked_for(wanted):
    """Also of pictures so small that a whole pixel of the source is many of the clip."""
    edit = Edit(resize_mode="scale,crop", width=wanted[0], height=wanted[1])
    sizes = [(362, 640), (480, 270), (270, 480), (320, 240), (96, 63), (37, 23), (5, 90)]
    made = {(one.width, one.height) for one in (plan_framing(*size, edit) for size in sizes)}
    assert made == {(wanted[0] // 2 * 2, (wanted[1] + 1) // 2 * 2)}


def test_an_odd_picture_loses_a_line_rather_than_its_sharpness():
    found = plan((321, 241))
    assert found.crop == (0, 0, 320, 240)
    assert plan_framing(321, 241, Edit(video_codec="ffv1"), even=False).is_identity


def test_a_box_outside_of_the_picture_costs_the_clip():
    with pytest.raises(ProcessError, match="100x100"):
        plan((100, 100), crop="10:10:91:20")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"resize_mode": "crop"}, "needs width and height"),
        ({"short_side": 3, "width": 4}, "not both"),
        ({"crop": "1:2:3"}, "x:y:width:height"),
        ({"images": "all"}, "how many"),
        ({"precision": "copy", "short_side": 100}, "keeps pictures as they are"),
    ],
)
def test_edits_that_contradict_themselves_are_refused(settings, words):
    with pytest.raises(RecipeError, match=words):
        parse_config(Edit, settings, "")


@pytest.mark.parametrize("shape", [(160, 90), (90, 160), (101, 77)])
@pytest.mark.parametrize(
    "mode", ["scale", "scale,crop", "scale,pad", "scale,crop,pad", "crop", "pad", "stretch"]
)
def test_every_mode_makes_clips_that_say_where_their_pixels_come_from(tmp_path, shape, mode):
    width, height = shape
    source = make_video(tmp_path / "a.mkv", seconds=0.5, width=width, height=height,
                        audio=None, pixel_format="yuv444p")  # fmt: skip
    (clip,) = render(source, [(0, 1)], tmp_path, resize_mode=mode, width=120, height=64)
    facts, row = clip.probe["video"], clip.geometry
    assert (facts["width"], facts["height"]) == (row["width"], row["height"])
    if mode in ("scale,crop", "scale,pad", "scale,crop,pad", "stretch"):
        assert (facts["width"], facts["height"]) == (120, 64)
    if mode in ("scale", "stretch"):
        assert numbers(clip.members["mp4"].path) == list(range(5))


def test_rotation_and_pixel_shape_are_made_plain(tmp_path):
    source = make_video(
        tmp_path / "a.mp4",
        seconds=0.5,
        rotation_degrees=-90,
        sample_aspect_ratio=Fraction(2),
        audio=None,
    )
    (clip,) = render(source, [(0, 1)], tmp_path)
    facts = clip.probe["video"]
    assert (facts["width"], facts["height"], facts["rotation_degrees"]) == (96, 256, 0)
    assert facts["sample_aspect_ratio"] in (None, 1)


@pytest.mark.parametrize(
    ("bars", "box"),
    [
        ((0, 0, 0, 0), None),
        ((0, 12, 0, 12), (0, 12, 160, 72)),
        ((20, 0, 20, 0), (20, 0, 120, 96)),
        ((9, 7, 9, 5), (10, 8, 140, 82)),
        ((78, 46, 78, 46), None),
    ],
)
def test_black_bars_are_found_and_nothing_else(bars, box):
    left, top, right, bottom = bars
    luma = np.full((96, 160), 9, np.uint8)
    luma[top : 96 - bottom, left : 160 - right] = 130
    luma[2, 3] = 255  # a speck is no picture
    assert box_within_bars(luma) == box


def test_letterboxed_clips_lose_their_bars(tmp_path):
    wide = make_video(tmp_path / "wide.mp4", seconds=1, width=160, height=64, audio=None)
    padded, *_ = render(wide, [(0, 1)], tmp_path, resize_mode="pad", width=160, height=96)
    source = padded.members["mp4"].path.rename(tmp_path / "boxed.mp4")
    (clip,) = render(source, [(0, 1)], tmp_path, crop="letterbox", images="first")
    assert clip.geometry["crop"] == {"x": 0, "y": 16, "width": 160, "height": 64}
    assert numbers(clip.members["mp4"].path) == list(range(10))
    assert numbers(clip.members["jpg"].path) == [0]
