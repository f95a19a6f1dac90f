"""The index of a video's frames: what is in the file, when each is shown, nothing decoded."""

from fractions import Fraction

import av
import numpy as np
import pytest

from clipmill.core.request import Frames, Want
from clipmill.core.time import Span
from clipmill.demo.media import make_audio, make_video, read_frame_number
from clipmill.media.decode import MediaFile
from clipmill.media.probe import probe

REORDERED = {"x264-params": "bframes=3:b-adapt=0:b-pyramid=none:scenecut=0"}


def index_of(path):
    with MediaFile(path) as file:
        return file.frames


def test_frames_in_order_of_showing_though_decoded_in_another(tmp_path):
    index = index_of(make_video(tmp_path / "a.mp4", seconds=3, gop=12))
    assert len(index) == 30
    assert (np.diff(index.packet) < 0).any()
    assert [index.seconds(n) for n in (0, 1, 29)] == [0, Fraction(1, 10), Fraction(29, 10)]
    assert np.flatnonzero(index.keyframe).tolist() == [0, 12, 24]
    assert index.end_seconds == 3


def test_the_frame_at_a_time_and_those_within_a_span(tmp_path):
    index = index_of(make_video(tmp_path / "a.mp4", seconds=2, audio=None))
    assert [index.at(Fraction(time)) for time in ("0", "0.099", "0.1", "1.95", "7")] == [
        *(0, 0, 1),
        *(19, 19),
    ]
    assert index.within(Span(Fraction("0.1"), Fraction("0.3"))) == range(1, 3)
    assert index.within(Span(Fraction("0.11"), Fraction("0.19"))) == range(2, 2)
    assert index.within(Span(Fraction("1.9"), Fraction(100))) == range(19, 20)


@pytest.mark.parametrize("last", [Fraction(1, 10), Fraction(1, 4)])
@pytest.mark.parametrize("codec_options", [REORDERED, {"bf": "0"}])
def test_the_last_frame_of_uneven_ones_is_shown_as_long_as_the_edit_list_says(
    tmp_path, codec_options, last
):
    """A table has durations in the order of decoding, and the last frame is decoded earlier."""
    times = [Fraction(n * n % 7 + 10 * n, 100) for n in range(24)]
    path = make_video(
        tmp_path / "a.mp4",
        frame_times=times,
        fps=1 / last,
        gop=24,
        audio=None,
        codec_options=codec_options,
    )
    with MediaFile(path) as media:
        assert media.frames.end_seconds == times[-1] + last
    assert probe(path).duration_seconds == float(times[-1] + last)
    assert probe(path, keyframes=True).video.duration_seconds == float(times[-1] + last)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_uneven_frames_keep_their_times(tmp_path, name):
    times = [Fraction(milliseconds, 1000) for milliseconds in (0, 40, 500, 533, 1500, 1501, 3000)]
    index = index_of(make_video(tmp_path / name, frame_times=times, audio=None))
    assert [index.seconds(n) for n in range(len(index))] == times


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_time_zero_is_the_first_frame_whatever_the_files_clock_says(tmp_path, name):
    index = index_of(make_video(tmp_path / name, start_seconds=5.5, seconds=1))
    assert index.first_pts > 0
    assert index.seconds(0) == 0
    assert index.end_seconds == 1


def test_frames_that_an_edit_list_hides_are_none(tmp_path):
    path = make_video(tmp_path / "a.mp4", start_seconds=-0.5, seconds=2, gop=12, audio=None)
    with MediaFile(path) as file:
        assert len(file.frames) == 15
        assert (file.frames.packets.number == -1).sum() == 5


def test_raw_streams_count_frames_at_their_rate(tmp_path):
    index = index_of(make_video(tmp_path / "a.h264", seconds=1, fps=25, audio=None))
    assert len(index) == 25
    assert index.end_seconds == 1
    assert index.ordered_by_decoder


def test_a_truncated_file_has_the_frames_that_are_there(tmp_path):
    faststart = {"movflags": "+faststart"}
    whole = make_video(tmp_path / "a.mp4", seconds=4, container_options=faststart).read_bytes()
    path = tmp_path / "b.mp4"
    path.write_bytes(whole[: len(whole) // 2])
    assert 10 < len(index_of(path)) == probe(path).video.frame_count < 40


def test_where_the_clock_jumps_back_time_goes_on(tmp_path):
    parts = [make_video(tmp_path / name, seconds=2).read_bytes() for name in ("a.ts", "b.ts")]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(parts))
    with MediaFile(path) as file:
        assert [file.frames.seconds(n) for n in range(40)] == [Fraction(n, 10) for n in range(40)]
        assert abs(file.sound.duration_seconds - 4) < Fraction(1, 10)


def test_vp8_frames_that_only_others_look_at_are_not_shown(tmp_path):
    path = make_video(tmp_path / "a.webm", codec="libvpx", seconds=1, audio=None)
    with av.open(str(path)) as container:
        sixth = [bytes(packet) for packet in container.demux() if packet.size][5]
    hidden = bytes([sixth[0] & ~0x10]) + sixth[1:]  # RFC 6386, 9.1: show_frame
    path.write_bytes(path.read_bytes().replace(sixth, hidden))
    with MediaFile(path) as file:
        assert len(file.frames) == 9
        painted = [read_frame_number(p.pixels) for p in file.decode([Want(Frames())])]
    assert painted == [0, 1, 2, 3, 4, 6, 7, 8, 9]


def test_one_damaged_time_moves_no_other(tmp_path):
    data = bytearray(make_video(tmp_path / "a.ts", seconds=3, gop=5, audio=None).read_bytes())
    starts = [
        n
        for n in range(0, len(data), 188)
        if data[n + 1] & 0x40 and b"\0\0\1\xe0" in data[n : n + 188]
    ]
    header = data.index(b"\0\0\1\xe0", starts[10])
    data[header + 9] ^= 0x08  # the highest bit of a clock that runs for 26 hours
    path = tmp_path / "b.ts"
    path.write_bytes(data)
    with MediaFile(path) as file:
        times = [file.frames.seconds(n) for n in range(len(file.frames))]
        assert len(times) == 30
        right = {Fraction(n, 10) for n in range(30)}
        assert len(right.intersection(times)) >= 29
        assert file.frames.end_seconds == 3


def test_sound_alone_has_no_frames(tmp_path):
    assert index_of(make_audio(tmp_path / "a.mp3", codec="libmp3lame", seconds=1)) is None
