"""The decoder torchcodec: every frame is the right one, whoever gives it in the end."""

import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from clipmill.core.request import Frames, Want
from clipmill.core.time import Span
from clipmill.demo.media import make_video, read_frame_number
from clipmill.io.stretch import Stretch
from clipmill.media.choose import choose
from clipmill.media.decode import MediaFile
from decode_cases import KINDS, make_kind

HIDDEN = {"edited.mp4": 5}
CHOICES = [{}, {"fps": 4}, {"every_nth": 5}, {"count": 4}, {"keyframes": True}, {"at": (0, 0.37)}]
SPANS = [None, Span(Fraction("0.45"), Fraction("1.65"))]
PLAIN = {
    *("h264.mp4", "h264.mkv", "fragmented.mp4", "vp8.webm", "vp9.webm", "av1.mp4", "mjpeg.mkv"),
    *("open_gop.mp4", "open_gop.mkv", "uneven.mp4", "uneven.mkv", "late.mp4", "edited.mp4"),
    *("anamorphic.mp4", "silent.mp4"),
}
"""Kinds of which torchcodec gives every frame that is asked for."""
FROM_THE_START = {"hevc.mp4", "open_gop_hevc.mp4", "temporal_layers.mp4", "intra_refresh.mp4"}
"""Kinds of which it does so when all frames are wanted; of others PyAV decodes all."""


pytestmark = pytest.mark.usefixtures("torchcodec")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("kinds")


def decoded(path, *wants, decoder="torchcodec"):
    """The pictures of some wants, in order, and how many frames torchcodec gave for them."""
    with MediaFile(path, decoder=decoder) as file:
        pictures = list(file.decode(wants))
        for picture in pictures:
            assert picture.pts == file.frames.pts[picture.number]
            assert picture.seconds == file.frames.seconds(picture.number)
        return pictures, file.decoded_by_torchcodec


def difference(one, other):
    """The mean difference of two pictures, in levels of 255."""
    assert one.pixels.shape == other.pixels.shape
    return np.abs(one.pixels.astype(int) - other.pixels).mean()


@pytest.mark.parametrize("name", KINDS)
def test_every_request_gets_its_frames(folder, name):
    path = make_kind(folder, name)
    for choice in CHOICES:
        for span in SPANS:
            request = Frames(**choice)
            with MediaFile(path, decoder="torchcodec") as file:
                pictures = list(file.decode([Want(request, span)]))
                assert file.decoded_frames >= len(pictures)
                for picture in pictures:
                    painted = read_frame_number(picture.pixels)
                    assert picture.number == painted - HIDDEN.get(name, 0)
                    assert picture.seconds == file.frames.seconds(picture.number)
                if request.keyframes and file.frames.ordered_by_decoder:
                    continue
                meant = choose(request, span, file.frames)
                assert [picture.number for picture in pictures] == meant.numbers.tolist()
                assert [picture.repeat for picture in pictures] == meant.repeats.tolist()
                if name in PLAIN:
                    assert file.decoded_by_torchcodec == file.decoded_frames == len(pictures)


@pytest.mark.parametrize("name", KINDS)
def test_pictures_are_those_of_pyav(folder, name):
    path = make_kind(folder, name)
    for look, levels in ({}, 0.5), ({"short_side": 48}, 2):
        theirs, given = decoded(path, Want(Frames(**look)))
        ours, _ = decoded(path, Want(Frames(**look)), decoder="pyav")
        assert given == (len(ours) if name in PLAIN | FROM_THE_START else 0)
        for one, other in zip(theirs, ours, strict=True):
            assert difference(one, other) <= (2 if name == "anamorphic.mp4" else levels)


def test_what_wants_more_than_rgb_is_left_to_pyav(folder):
    path = make_kind(folder, "h264.mp4")
    rgb = Want(Frames(count=2))
    for other in ({"pixel_format": "gray"}, {"pixel_format": "yuv420p"}, {"loop_filter": False}):
        pictures, given = decoded(path, rgb, Want(Frames(count=2, **other)))
        assert (len(pictures), given) == (4, 0)
    with MediaFile(path, decoder="torchcodec") as file:  # one decode does not decide for the next
        list(file.decode([Want(Frames(count=2, pixel_format="gray"))]))
        list(file.decode([rgb]))
        assert file.decoded_by_torchcodec == 2


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_turned_pictures_are_turned_once(tmp_path, degrees):
    path = make_video(tmp_path / "a.mp4", seconds=0.5, rotation_degrees=degrees, audio=None)
    for look in ({}, {"short_side": 64}, {"crop": (8, 16, 60, 50)}):
        theirs, given = decoded(path, Want(Frames(**look)))
        ours, _ = decoded(path, Want(Frames(**look)), decoder="pyav")
        assert given == len(ours) == 5
        assert all(difference(*pair) <= 2 for pair in zip(theirs, ours, strict=True))


def test_turned_pictures_whose_pixels_are_not_square_are_left_to_pyav(tmp_path):
    options = {"rotation_degrees": 90, "sample_aspect_ratio": Fraction(4, 3), "audio": None}
    pictures, given = decoded(
        make_video(tmp_path / "a.mp4", seconds=0.5, **options), Want(Frames())
    )
    assert (len(pictures), given) == (5, 0)
    assert pictures[0].pixels.shape == (171, 96, 3)


def test_a_member_of_a_tar_is_decoded_where_it_lies(folder, tmp_path):
    data = make_kind(folder, "h264.mkv").read_bytes()
    path = tmp_path / "a.tar"
    path.write_bytes(bytes(777) + data + bytes(333))
    pictures, given = decoded(Stretch(path, 777, len(data)), Want(Frames(fps=5)))
    assert [read_frame_number(p.pixels) for p in pictures] == list(range(0, 24, 2))
    assert given == 12


def overwritten(path, place, broken):
    """Break one packet of an mp4, and tell the number of the frame it carried.

    Noise makes an error; a unit of filler (H.264, 7.4.1) none, but no picture either, so that the
    next one comes in its place.
    """
    with MediaFile(path) as file:
        packets = file.frames.packets
        size, number = int(packets.size[place]), int(packets.number[place])
        before = int(packets.size[:place].sum())
    filler = (size - 4).to_bytes(4, "big") + bytes([12]) + bytes([255]) * (size - 5)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4 + before
    data[start : start + size] = filler if broken == "filler" else bytes([255]) * size
    path.write_bytes(data)
    return number


@pytest.mark.parametrize("broken", ["noise", "filler"])
def test_from_the_first_frame_that_is_not_right_pyav_decodes(tmp_path, broken):
    # Large enough that torchcodec decodes it in several goes.
    path = make_video(
        tmp_path / "a.mp4",
        seconds=4,
        gop=8,
        width=1280,
        height=960,
        audio=None,
        codec_options={"bf": "0", "x264-params": "keyint=8:ref=1"},
    )
    lost = overwritten(path, 23, broken)
    assert lost == 23
    theirs, given = decoded(path, Want(Frames(short_side=96)))
    ours, _ = decoded(path, Want(Frames(short_side=96)), decoder="pyav")
    assert [read_frame_number(p.pixels) for p in theirs] == [n for n in range(40) if n != lost]
    assert [p.number for p in theirs] == [p.number for p in ours]
    assert 10 <= given <= lost
    at, _ = decoded(path, Want(Frames(at=(1.0, 2.3, 3.0))))
    assert [read_frame_number(p.pixels) for p in at] == [10, 22, 30]


def test_a_truncated_file_yields_what_is_there(tmp_path):
    path = make_video(
        tmp_path / "a.mp4", seconds=6, gop=12, container_options={"movflags": "+faststart"}
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    theirs, given = decoded(path, Want(Frames()))
    ours, _ = decoded(path, Want(Frames()), decoder="pyav")
    assert [p.number for p in theirs] == [p.number for p in ours]
    assert [read_frame_number(p.pixels) for p in theirs] == list(range(len(ours)))
    assert given > 20


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libvpx-vp9", "libsvtav1"])
def test_frames_that_are_called_key_frames_and_are_none(tmp_path, codec):
    path = make_video(tmp_path / "a.mp4", seconds=6, gop=12, codec=codec, audio=None)
    path.write_bytes(path.read_bytes().replace(b"stss", b"free"))
    for request in (Frames(count=3), Frames(at=(0.3, 3.3, 5.5)), Frames(keyframes=True)):
        pictures, _ = decoded(path, Want(request))
        assert all(read_frame_number(p.pixels) == p.number for p in pictures)
        assert len(pictures) >= 3


def test_pictures_that_change_size_are_left_to_pyav(tmp_path):
    path = tmp_path / "a.mkv"
    import av

    parts = [
        make_video(tmp_path / "1.mp4", seconds=1, audio=None),
        make_video(tmp_path / "2.mp4", seconds=1, audio=None, width=192, first_number=10),
    ]
    with av.open(str(path), "w") as joined:
        stream = None
        for turn, part in enumerate(parts):
            with av.open(str(part)) as source:
                video = source.streams.video[0]
                stream = stream or joined.add_stream_from_template(video)
                inline = av.BitStreamFilterContext("h264_mp4toannexb", video)
                for packet in source.demux(video):
                    for whole in inline.filter(packet) if packet.size else ():
                        whole.pts += turn * int(1 / video.time_base)
                        whole.dts += turn * int(1 / video.time_base)
                        whole.stream = stream
                        joined.mux(whole)
    pictures, _ = decoded(path, Want(Frames()))
    assert [read_frame_number(p.pixels) for p in pictures] == list(range(20))
    assert {p.pixels.shape for p in pictures} == {(96, 128, 3), (96, 192, 3)}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems look elsewhere for libraries")
def test_without_the_libraries_of_ffmpeg_it_says_what_to_install(tmp_path):
    for version in range(56, 61):
        (tmp_path / f"libavutil.so.{version}").touch()  # found before those that there are
    code = "from clipmill.media.torchcodec_reader import check_decoder; check_decoder('torchcodec')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "LD_LIBRARY_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "MissingExtra" in done.stderr
    assert "apt install ffmpeg" in done.stderr
