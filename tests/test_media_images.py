"""Images of clips: the frames that were meant, as real JPEG and PNG files."""

import pytest

from clipmill.core.sample import Subtitle
from clipmill.demo.media import make_video
from media_clips import numbers, render

LINES = (
    Subtitle("en", 0.1, 0.3, "before"),
    Subtitle("en", 0.2, 0.6, "x"),
    Subtitle("en", 1.5, 1.9, "y"),
    Subtitle("de", 1.5, 3, "z"),
)


@pytest.mark.parametrize(
    ("images", "meant"),
    [
        ("first", {"jpg": 4}),
        (1, {"jpg": 13}),
        (3, {"000.jpg": 7, "001.jpg": 13, "002.jpg": 19}),
        ("keyframes", {"000.jpg": 7, "001.jpg": 14, "002.jpg": 21}),
        ("subtitles", {"000.jpg": 4, "001.jpg": 15}),
    ],
)
def test_the_images_of_a_clip_lie_beside_it(tmp_path, images, meant):
    source = make_video(tmp_path / "a.mp4", seconds=3, gop=7, audio=None)
    (clip,) = render(source, [(0.35, 2.21)], tmp_path, subtitles=LINES, images=images)
    members = {name: file.path for name, file in clip.members.items()}
    assert members.pop("mp4").exists()
    assert {name: numbers(path)[0] for name, path in members.items()} == meant
    assert all(path.read_bytes().startswith(b"\xff\xd8\xff\xe0") for path in members.values())


def test_images_without_a_clip(tmp_path):
    source = make_video(tmp_path / "a.mp4", seconds=2, audio=None)
    (clip,) = render(source, [(0, 1)], tmp_path, {}, images=2, image_format="png", short_side=48)
    assert {name: numbers(file.path) for name, file in clip.members.items()} == {
        "000.png": [2],
        "001.png": [7],
    }
    assert clip.members["000.png"].path.read_bytes().startswith(b"\x89PNG")
    assert clip.probe is None


def test_lines_that_ended_before_a_clip_give_no_image_of_it(tmp_path):
    source = make_video(tmp_path / "a.mp4", seconds=2, audio=None)
    (clip,) = render(source, [(1.2, 1.8)], tmp_path, {}, subtitles=LINES, images="subtitles")
    assert {name: numbers(file.path) for name, file in clip.members.items()} == {"000.jpg": [15]}
    (none,) = render(source, [(1, 1.4)], tmp_path, {}, subtitles=LINES, images="subtitles")
    assert (none.members, none.notes) == (
        {},
        ("it has no image, since no subtitle lies within it",),
    )


def test_a_span_without_a_frame_has_no_image_and_one_without_a_key_frame_says_so(tmp_path):
    source = make_video(tmp_path / "a.mp4", seconds=2, gop=7, audio=None)
    (empty,) = render(source, [(1.02, 1.08)], tmp_path, {}, images="first")
    assert empty.error_class == "empty_span"
    (none,) = render(source, [(1, 1.3)], tmp_path, images="keyframes")
    assert set(none.members) == {"mp4"}
    assert none.notes == ("it has no image, since no key frame lies within it",)


def test_quality_has_its_price(tmp_path):
    source = make_video(tmp_path / "a.mp4", seconds=1, audio=None)
    sizes = []
    for quality in (20, 60, 100):
        (clip,) = render(source, [(0, 1)], tmp_path, {}, images="first", image_quality=quality)
        sizes.append(clip.members["jpg"].size)
    assert sizes == sorted(set(sizes))
