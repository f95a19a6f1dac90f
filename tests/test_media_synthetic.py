"""The synthetic media that the demo and the tests stand on."""

from fractions import Fraction

import av
import numpy as np
import pytest

from clipmill.demo.media import (
    MAX_FRAME_NUMBER,
    make_audio,
    make_video,
    paint_frame_number,
    read_frame_number,
    sample_set,
)


def numbers(path):
    with av.open(str(path)) as container:
        return [read_frame_number(f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]


@pytest.mark.parametrize("number", [0, 1, 1365, 2730, MAX_FRAME_NUMBER])
def test_a_number_survives_painting_and_shrinking(number):
    picture = paint_frame_number(number, 320, 180)
    assert read_frame_number(picture) == number
    assert read_frame_number(picture[::4, ::4]) == number


def test_a_picture_without_a_number_is_not_read_as_one():
    with pytest.raises(ValueError, match="no frame number"):
        read_frame_number(np.zeros((96, 128, 3), np.uint8))
    turned = np.rot90(paint_frame_number(5, 128, 96))
    with pytest.raises(ValueError, match="no frame number"):
        read_frame_number(turned)


@pytest.mark.parametrize(
    ("name", "codec", "audio"),
    [
        ("a.mp4", "libx264", "aac"),
        ("a.mov", "libx265", "aac"),
        ("a.webm", "libvpx-vp9", "libopus"),
        ("b.webm", "libvpx", None),
        ("a.mkv", "libsvtav1", "libopus"),
        ("a.avi", "mpeg4", "libmp3lame"),
        ("a.ts", "libx264", "aac"),
        ("a.mpg", "mpeg2video", "mp2"),
    ],
)
def test_every_frame_carries_its_number(tmp_path, name, codec, audio):
    options = {"fps": 25} if codec == "mpeg2video" else {}
    path = make_video(tmp_path / name, seconds=1, codec=codec, audio=audio, **options)
    found = numbers(path)
    assert found == list(range(len(found)))
    assert len(found) == 1 * options.get("fps", 10)


def test_the_same_call_writes_the_same_bytes(tmp_path):
    first = make_video(tmp_path / "1.mp4", seconds=1, fps=Fraction(30000, 1001), gop=5)
    second = make_video(tmp_path / "2.mp4", seconds=1, fps=Fraction(30000, 1001), gop=5)
    assert first.read_bytes() == second.read_bytes()
    assert b"Lavf" not in first.read_bytes()


def test_sound_lasts_as_long_as_asked(tmp_path):
    with av.open(str(make_audio(tmp_path / "a.wav", seconds=1.25, codec="pcm_s16le"))) as container:
        frames = list(container.decode(audio=0))
        samples = sum(frame.samples for frame in frames)
    assert samples == 1.25 * 48_000


def test_the_sample_set_is_a_handful_of_small_files(tmp_path):
    paths = sample_set(tmp_path)
    assert len(paths) == len(set(paths)) >= 9
    assert sum(path.stat().st_size for path in paths) < 2_000_000
