"""Colours of clips and images: those of the source, whatever its matrix, range and pixels."""

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from media_clips import render

BT709, LIMITED, FULL = 1, 1, 2
QUARTERS = np.zeros((96, 128, 3), np.uint8)
QUARTERS[:48, :64], QUARTERS[:48, 64:] = (200, 40, 30), (30, 180, 60)
QUARTERS[48:, :64], QUARTERS[48:, 64:] = (40, 60, 200), (190, 190, 40)


def paint(path, codec, pixels, span=LIMITED, **options):
    """Write three coloured pictures in BT.709, or in RGB."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10, options=options)
        stream.width, stream.height, stream.pix_fmt = 128, 96, pixels
        is_rgb = av.VideoFormat(pixels).is_rgb
        stream.codec_context.colorspace = 0 if is_rgb else BT709
        stream.codec_context.color_range = span
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(QUARTERS, format="rgb24").reformat(
                format=pixels,
                dst_colorspace=None if is_rgb else Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG if span == LIMITED else ColorRange.JPEG,
            )
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def colors(path):
    """The first picture, as RGB: by what the file says of itself, as players show it."""
    with av.open(str(path)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)


def off(picture, meant):
    """By how much the colours in the middle of each quarter are others."""
    height, width = meant.shape[:2]
    places = [(y, x) for y in (height // 4, -height // 4) for x in (width // 4, -width // 4)]
    return max(np.abs(picture[place].astype(int) - meant[place]).max() for place in places)


def test_a_jpeg_is_in_the_colours_that_its_readers_expect(tmp_path):
    source = paint(tmp_path / "a.mp4", "libx264", "yuv420p", crf="1")
    for form in ("jpg", "png"):
        (clip,) = render(source, [(0, 0.3)], tmp_path, {}, images="first", image_format=form)
        assert off(colors(clip.members[form].path), QUARTERS) <= 5


@pytest.mark.parametrize(
    ("codec", "pixels", "span", "kept"),
    [
        ("libx264", "yuv420p", LIMITED, "yuv420p"),
        ("libx264", "yuvj420p", FULL, "yuv420p"),
        ("mjpeg", "yuvj422p", FULL, "yuv422p"),
        ("libx264rgb", "rgb24", FULL, "bgr0"),
        ("rawvideo", "uyvy422", LIMITED, "yuv422p"),
        ("libx265", "yuv420p10le", LIMITED, "yuv420p10le"),
    ],
)
def test_lossless_clips_keep_the_colours_of_every_kind_of_pixel(
    tmp_path, codec, pixels, span, kept
):
    quiet = {"x265-params": "log-level=none:info=0:pools=none"} if codec == "libx265" else {}
    source = paint(tmp_path / "a.mov", codec, pixels, span, **quiet)
    (clip,) = render(source, [(0, 0.3)], tmp_path, {"video": "original"}, video_codec="ffv1")
    with av.open(str(clip.members["mkv"].path)) as made:
        assert made.streams.video[0].pix_fmt == kept
    assert off(colors(clip.members["mkv"].path), colors(source)) <= 4


def test_a_lossless_box_may_begin_within_a_block_of_colour(tmp_path):
    quiet = {"x265-params": "log-level=none:info=0:pools=none"}
    source = paint(tmp_path / "a.mp4", "libx265", "yuv420p10le", **quiet)
    edit = {"video_codec": "ffv1", "crop": "31:15:66:66"}
    (clip,) = render(source, [(0, 0.3)], tmp_path, {"video": "mkv"}, **edit)
    shown = colors(clip.members["mkv"].path)
    assert shown.shape == (66, 66, 3)
    assert off(shown, colors(source)[15:81, 31:97]) <= 4
