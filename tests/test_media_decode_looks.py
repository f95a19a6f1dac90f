"""Pictures as they are wanted: upright, square pixels, cut, scaled, in eight bits."""

from fractions import Fraction

import av
import numpy as np
import pytest

from clipmill.core.errors import ProcessError
from clipmill.core.request import Frames, Want
from clipmill.demo.media import make_video, paint_frame_number, read_frame_number
from clipmill.media.decode import MediaFile
from clipmill.media.probe import probe


def first(path, **look):
    """The first picture of a file, in each of some looks."""
    with MediaFile(path) as file:
        return next(iter(file.decode([Want(Frames(**look))])))


def draw(path, pixels, codec="ffv1", **context):
    """Write one picture, three times over, with some attributes of its frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        frame = av.VideoFrame.from_ndarray(pixels, format=context.pop("source", "rgb24"))
        stream.width, stream.height = frame.width, frame.height
        stream.pix_fmt = context.pop("pix_fmt", "yuv420p")
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        for number in range(3):
            shown = frame.reformat(format=stream.pix_fmt, threads=1)
            shown.pts = number
            for name, value in context.items():
                setattr(shown, name, value)
            container.mux(stream.encode(shown))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize("pixel_format", ["rgb24", "gray", "yuv420p"])
def test_pictures_stand_upright(tmp_path, degrees, pixel_format):
    path = make_video(tmp_path / "a.mp4", seconds=0.3, rotation_degrees=degrees, audio=None)
    picture = first(path, pixel_format=pixel_format, short_side=96)
    upright = picture.frame.to_ndarray(format="rgb24")
    assert upright.shape[:2] == ((128, 96) if degrees != 180 else (96, 128))
    # The file says how far the stored picture is to be turned, counter-clockwise.
    assert read_frame_number(np.rot90(upright, -degrees // 90)) == 0


@pytest.mark.parametrize("ratio", [Fraction(4, 3), Fraction(3, 4)])
def test_pixels_are_square_and_the_size_is_what_the_probe_says(tmp_path, ratio):
    path = make_video(tmp_path / "a.mp4", seconds=0.3, sample_aspect_ratio=ratio, audio=None)
    facts = probe(path).video
    height, width, _ = first(path).pixels.shape
    assert (width, height) == (facts.width, facts.height)
    assert (width, height) in [(171, 96), (128, 128)]


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_crops_are_cut_from_the_picture_as_displayed(tmp_path, degrees):
    width, height = (128, 96) if degrees in (0, 180) else (96, 128)
    path = make_video(
        tmp_path / "a.mkv",
        codec="ffv1",
        audio=None,
        seconds=0.3,
        rotation_degrees=degrees,
        pixel_format="yuv444p",
    )
    whole = first(path).pixels
    for x, y in ((0, 0), (31, 17), (width - 60, height - 50)):
        cut = first(path, crop=(x, y, 60, 50)).pixels
        assert np.array_equal(cut, whole[y : y + 50, x : x + 60])


def test_a_crop_that_begins_within_a_block_of_colour(tmp_path):
    path = make_video(tmp_path / "a.mkv", codec="ffv1", seconds=0.3, audio=None)
    whole, cut = first(path).pixels, first(path, crop=(31, 17, 60, 50)).pixels
    assert np.abs(cut.astype(int) - whole[17:67, 31:91]).mean() < 3


@pytest.mark.parametrize("degrees", [0, 90])
@pytest.mark.parametrize(
    ("place", "box"),
    [((0.5, 0.5), (16, 0, 96, 96)), ((0, 0), (0, 0, 96, 96)), ((1, 1), (32, 0, 96, 96))],
)
def test_what_covers_a_size_is_the_part_of_its_shape(tmp_path, degrees, place, box):
    path = make_video(
        tmp_path / "a.mkv", codec="ffv1", audio=None, seconds=0.3, rotation_degrees=degrees
    )
    x, y, width, height = box if degrees == 0 else (box[1], box[0], *box[2:])
    expected = first(path, crop=(x, y, width, height), size=(32, 32)).pixels
    assert np.array_equal(first(path, size=(32, 32), cover=place).pixels, expected)


def test_cover_goes_with_a_size():
    with pytest.raises(ValueError, match="cover goes with size"):
        Frames(short_side=32, cover=(0.5, 0.5))


def test_a_crop_outside_the_picture_is_refused(tmp_path):
    path = make_video(tmp_path / "a.mp4", seconds=0.3, audio=None)
    with pytest.raises(ProcessError, match="displayed at 128x96"):
        _ = first(path, crop=(100, 0, 60, 50)).frame


@pytest.mark.parametrize(
    ("size", "short_side", "expected"),
    [((128, 96), 48, (64, 48)), ((100, 30), 20, (66, 20)), ((30, 100), 20, (20, 66))],
)
def test_the_long_side_follows_in_proportion_and_is_even(tmp_path, size, short_side, expected):
    options = {"codec": "ffv1", "audio": None, "seconds": 0.3}
    path = make_video(tmp_path / "a.mkv", width=size[0], height=size[1], **options)
    assert first(path, short_side=short_side).pixels.shape[1::-1] == expected


def test_yuv420p_of_an_odd_picture_loses_a_line_and_is_not_blurred(tmp_path):
    odd = {"width": 127, "height": 95, "codec": "ffv1", "audio": None, "seconds": 0.3}
    path = make_video(tmp_path / "a.mkv", **odd)
    planes = first(path, pixel_format="yuv420p").pixels
    assert planes.shape == (94 * 3 // 2, 126)
    with MediaFile(path) as file:
        stored = next(iter(file.decode([Want(Frames())]))).source
    luma = np.frombuffer(stored.planes[0], np.uint8).reshape(95, -1)
    assert np.array_equal(planes[:94], luma[:94, :126])


def test_yuv420p_has_even_sides(tmp_path):
    path = make_video(tmp_path / "a.mp4", seconds=0.3, audio=None)
    frame = first(path, pixel_format="yuv420p", size=(63, 35)).frame
    assert (frame.width, frame.height) == (64, 36)


def test_gray_is_luma_in_full_range_and_yuv420p_stays_limited(tmp_path):
    bars = np.zeros((64, 96, 3), dtype=np.uint8)
    bars[:, 32:64], bars[:, 64:] = 128, 255
    path = draw(tmp_path / "a.mkv", bars)
    gray = first(path, pixel_format="gray").pixels
    assert gray[32, [16, 48, 80]].tolist() == pytest.approx([0, 128, 255], abs=1)
    luma = first(path, pixel_format="yuv420p").pixels
    assert luma[32, [16, 48, 80]].tolist() == pytest.approx([16, 126, 235], abs=1)


def test_full_range_sources_come_out_the_same(tmp_path):
    bars = np.zeros((64, 96, 3), dtype=np.uint8)
    bars[:, 32:64], bars[:, 64:] = 128, 255
    path = draw(tmp_path / "a.mkv", bars, codec="mjpeg", pix_fmt="yuvj420p")
    for pixel_format, shades in {"gray": [0, 128, 255], "yuv420p": [16, 126, 235]}.items():
        pixels = first(path, pixel_format=pixel_format).pixels
        assert pixels[32, [16, 48, 80]].tolist() == pytest.approx(shades, abs=1)


def test_shrinking_looks_at_every_pixel(tmp_path):
    rng = np.random.default_rng(0)
    noise = np.repeat(rng.integers(0, 2, (360, 640, 1), dtype=np.uint8) * 255, 3, axis=2)
    path = draw(tmp_path / "a.mkv", noise)
    small = first(path, size=(64, 36), pixel_format="gray").pixels
    blocks = noise[..., 0].reshape(36, 10, 64, 10).mean(axis=(1, 3))
    assert np.abs(small - blocks).max() <= 2


@pytest.mark.parametrize("pixel_format", ["rgb24", "gray", "yuv420p"])
def test_transparent_pictures_lie_on_black(tmp_path, pixel_format):
    pixels = np.full((64, 96, 4), 200, dtype=np.uint8)
    pixels[..., 3] = 255
    pixels[:, 32:64, 3], pixels[:, 64:, 3] = 128, 0
    path = draw(tmp_path / "a.mov", pixels, codec="png", source="rgba", pix_fmt="rgba")
    shades = first(path, pixel_format=pixel_format).frame.to_ndarray(format="rgb24")
    assert shades[32, [16, 48, 80], 0].tolist() == pytest.approx([200, 100, 0], abs=2)


def test_transparent_pictures_are_cut_anywhere(tmp_path):
    pixels = np.full((64, 96, 4), 200, dtype=np.uint8)
    pixels[..., 3] = np.arange(96) < 48
    pixels[..., 3] *= 255
    options = {"codec": "ffv1", "source": "rgba", "pix_fmt": "yuva420p"}
    path = draw(tmp_path / "a.mkv", pixels, **options)
    cut = first(path, crop=(17, 11, 60, 40)).pixels
    assert cut[20, [5, 55], 0].tolist() == pytest.approx([200, 0], abs=2)


def test_transparent_vp9_keeps_its_alpha(tmp_path):
    path = make_video(
        tmp_path / "a.webm",
        codec="libvpx-vp9",
        pixel_format="yuva420p",
        audio=None,
        seconds=0.3,
    )
    picture = first(path)
    assert picture.source.format.name == "yuva420p"
    assert read_frame_number(picture.pixels) == 0


@pytest.mark.parametrize("hdr", ["hdr10", "hlg"])
def test_high_dynamic_range_becomes_what_eight_bits_can_show(tmp_path, hdr):
    path = make_video(tmp_path / "a.mp4", codec="libx265", hdr=hdr, seconds=0.3, audio=None)
    picture = first(path)
    assert picture.source.format.name == "yuv420p10le"
    light = picture.pixels[:20, :28].mean()
    # Painted as if it were PQ or HLG white, near the peak: it must not burn out nor turn gray.
    assert 225 <= light <= 255
    assert picture.frame.color_trc not in (16, 18)


def test_fields_of_two_moments_are_made_one_picture(tmp_path):
    tall = np.zeros((96, 128, 3), dtype=np.uint8)
    tall[::2] = 255  # as if all light were in one field
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg2video", rate=10, options={"flags": "+ildct+ilme"})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 128, 96, "yuv420p", 9_000_000
        for number in range(6):
            shade = tall if number % 2 else 255 - tall
            frame = av.VideoFrame.from_ndarray(shade, format="rgb24").reformat(format="yuv420p")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with MediaFile(path) as file:
        pictures = list(file.decode([Want(Frames())]))
        third = next(iter(file.decode([Want(Frames(at=(0.2,)))])))
    combed = [
        np.abs(np.diff(p.source.to_ndarray(format="gray").astype(int), axis=0)).mean()
        for p in pictures
    ]
    whole = [np.abs(np.diff(p.pixels[..., 0].astype(int), axis=0)).mean() for p in pictures]
    assert pictures[2].source.interlaced_frame
    assert max(whole[1:5]) < min(combed) / 4
    # One frame alone is made whole with the same neighbours.
    assert np.array_equal(third.pixels, pictures[2].pixels)


def test_pictures_are_what_was_painted(tmp_path):
    path = make_video(tmp_path / "a.mkv", codec="ffv1", seconds=0.3, audio=None)
    difference = first(path).pixels.astype(int) - paint_frame_number(0, 128, 96)
    assert np.abs(difference).mean() < 2
