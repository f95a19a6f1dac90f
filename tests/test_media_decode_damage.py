"""Broken files: what is there comes out, at its own time, and what is not costs only itself."""

import random
from fractions import Fraction

import pytest

from clipmill.core.errors import ProcessError
from clipmill.core.request import Audio, Frames, Want
from clipmill.core.time import Span
from clipmill.demo.media import make_audio, make_video, read_frame_number
from clipmill.media.decode import MediaFile, Sound

FAST_START = {"movflags": "+faststart"}
TENTH = Fraction(1, 10)


def shown(path, *wants):
    """(painted number, picture) of each picture, want by want."""
    given = [[] for _ in wants]
    with MediaFile(path) as file:
        for picture in file.decode(wants):
            given[picture.want].append((read_frame_number(picture.pixels), picture))
    return given


def video(path, **options):
    return make_video(path, seconds=6, gop=12, audio=None, **options)


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.mp4", {"container_options": FAST_START}), ("a.mkv", {}), ("a.avi", {"codec": "mpeg4"})],
)
def test_a_truncated_file_yields_what_is_there(tmp_path, name, options):
    path = video(tmp_path / name, **options)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    every, twice = shown(path, Want(Frames()), Want(Frames(fps=2)))
    assert 20 < len(every) < 50
    assert all(picture.seconds == number * TENTH for number, picture in every)
    length = every[-1][1].seconds + TENTH
    assert len(twice) == -(-length * 2 // 1)


def without_packet(path, place):
    """Break the data of one packet of an mp4, and tell which number it carried."""
    with MediaFile(path) as file:
        packets = file.frames.packets
        size, number = int(packets.size[place]), int(packets.number[place])
        before = int(packets.size[:place].sum())
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4 + before
    data[start : start + size] = bytes([255]) * size
    path.write_bytes(data)
    return number


def test_a_damaged_packet_costs_only_itself_and_the_frame_before_stands_in(tmp_path):
    path = video(tmp_path / "a.mp4", codec_options={"bf": "0", "x264-params": "keyint=12:ref=1"})
    lost = without_packet(path, 23)  # the last one of its group, which no other needs
    every, at, keyed = shown(
        path,
        Want(Frames()),
        Want(Frames(at=(1.0, 2.3, 3.0))),
        Want(Frames(every_nth=lost)),
    )
    assert lost == 23
    assert [number for number, _ in every] == [n for n in range(60) if n != lost]
    assert [(number, picture.seconds) for number, picture in at] == [
        (10, 1),
        (22, Fraction(22, 10)),
        (30, 3),
    ]
    assert [number for number, _ in keyed] == [0, 46]


def test_a_stand_in_counts_for_both_times_and_stays_within_its_span(tmp_path):
    path = video(tmp_path / "a.mp4", codec_options={"bf": "0", "x264-params": "keyint=12:ref=1"})
    without_packet(path, 23)
    span = Span(Fraction("2.3"), Fraction(3))
    both, later = shown(path, Want(Frames(at=(2.2, 2.3))), Want(Frames(at=(0, 0.2)), span))
    assert [(number, picture.repeat) for number, picture in both] == [(22, 2)]
    assert [(number, picture.repeat) for number, picture in later] == [(24, 1), (25, 1)]


def test_a_broadcast_that_begins_amid_a_group_and_loses_packets(tmp_path):
    data = video(tmp_path / "a.ts").read_bytes()
    third, half = len(data) // 3 // 188 * 188, len(data) // 2 // 188 * 188
    path = tmp_path / "b.ts"
    path.write_bytes(data[third:half] + data[half + 5 * 188 :])
    with MediaFile(path) as file:
        pictures = list(file.decode([Want(Frames())]))
        assert len(file.frames) - len(pictures) <= 12  # up to the first key frame
    right = sum(painted_or_none(p) == p.number + 20 for p in pictures)
    assert right > len(pictures) - 12  # until the next key frame they may be patched up


def painted_or_none(picture):
    try:
        return read_frame_number(picture.pixels)
    except ValueError:
        return None


def test_joined_broadcasts_go_on_in_time(tmp_path):
    parts = [video(tmp_path / "a.ts"), video(tmp_path / "b.ts", first_number=60)]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    every, last = shown(path, Want(Frames()), Want(Frames(at=(11.9,))))
    assert [number for number, _ in every] == list(range(120))
    assert all(picture.seconds == number * TENTH for number, picture in every)
    assert [number for number, _ in last] == [119]


def test_noise_in_the_middle_stops_nothing(tmp_path):
    path = make_video(tmp_path / "a.mkv", seconds=6, gop=12)
    data, dice = bytearray(path.read_bytes()), random.Random(3)
    middle = len(data) // 2
    data[middle : middle + 800] = dice.randbytes(800)
    path.write_bytes(data)
    (every,) = shown(path, Want(Frames()))
    right = [number for number, picture in every if picture.seconds == number * TENTH]
    assert len(right) > 50
    with MediaFile(path) as file:
        pieces = list(file.decode([Want(Audio(rate=16_000))]))
    heard = sum(piece.samples.shape[1] for piece in pieces)
    assert heard == pytest.approx(6 * 16_000, abs=1_000)


def test_a_decode_without_any_frame_fails_in_libavs_words(tmp_path):
    path = video(tmp_path / "a.mp4", container_options=FAST_START)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    data[start:] = bytes([255]) * (len(data) - start)
    path.write_bytes(data)
    with pytest.raises(ProcessError, match="Invalid data") as caught, MediaFile(path) as file:
        list(file.decode([Want(Frames(fps=1))]))
    assert caught.value.error_class == "unreadable"


def test_what_is_no_media_fails_at_once(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"<html>not here</html>" * 100)
    with pytest.raises(ProcessError), MediaFile(path):
        pass


def test_a_codec_that_nobody_knows_is_no_bug(tmp_path):
    path = video(tmp_path / "a.mkv")
    path.write_bytes(path.read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_NOBODY/KNOWS/"))
    with pytest.raises(ProcessError, match="no frame and no sound"), MediaFile(path):
        pass


def test_wants_for_what_a_file_does_not_have_are_given_nothing(tmp_path):
    silent = video(tmp_path / "a.mp4")
    sound = make_audio(tmp_path / "a.m4a", seconds=1)
    wants = [Want(Frames(count=2)), Want(Audio())]
    with MediaFile(silent) as file:
        assert len(list(file.decode(wants))) == 2
    with MediaFile(sound) as file:
        assert all(isinstance(piece, Sound) for piece in file.decode(wants))


def test_a_span_beyond_the_end_is_given_nothing(tmp_path):
    (pictures,) = shown(
        video(tmp_path / "a.mp4"), Want(Frames(fps=1), Span(Fraction(7), Fraction(9)))
    )
    assert pictures == []


@pytest.mark.parametrize("codec", ["libx265", "mpeg4"])
def test_frames_that_are_called_key_frames_and_are_none(tmp_path, codec):
    path = video(tmp_path / "a.mp4", codec=codec)
    # Without this table every frame of an mp4 is one that decoding can begin at.
    path.write_bytes(path.read_bytes().replace(b"stss", b"free"))
    with MediaFile(path) as file:
        assert file.frames.keyframe.all()
        for wants in ([Want(Frames(count=3))], [Want(Frames(at=(0.3, 3.3, 5.5)))]):
            pictures = list(file.decode(wants))
            assert len(pictures) == 3
            assert all(read_frame_number(p.pixels) == p.number for p in pictures)
