"""The one decode: exactly the frames that were asked for, told by the numbers painted on them."""

import os
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from clipmill.core.request import Audio, Frames, Want
from clipmill.core.time import Span
from clipmill.demo.media import make_audio, make_video, read_frame_number
from clipmill.media.decode import MediaFile, Picture, Sound

SMALL = {"short_side": 48}


def decode(path, *wants):
    """Everything a file gives for some wants, want by want."""
    given = [[] for _ in wants]
    with MediaFile(path) as file:
        for piece in file.decode(wants):
            given[piece.want].append(piece)
    return given


def numbers(pictures):
    """The numbers of some pictures, each checked against the one painted on it."""
    pictures = list(pictures)
    for picture in pictures:
        painted = read_frame_number(picture.frame.to_ndarray(format="rgb24"))
        assert picture.number == painted
    for earlier, later in pairwise(pictures):
        assert earlier.seconds < later.seconds
    return [picture.number for picture in pictures]


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Four seconds at 10 frames a second, 128x96, a key frame every 12, with sound."""
    return make_video(tmp_path_factory.mktemp("decode") / "a.mp4", seconds=4, gop=12)


def test_no_choice_means_every_frame(video):
    (pictures,) = decode(video, Want(Frames()))
    assert numbers(pictures) == list(range(40))
    assert [p.seconds for p in pictures] == [Fraction(n, 10) for n in range(40)]
    assert pictures[0].pixels.shape == (96, 128, 3)
    assert pictures[0].pixels.dtype == np.uint8


def test_every_choice_of_frames_in_one_decode(video):
    choices = {
        Frames(fps=2, **SMALL): [0, 5, 10, 15, 20, 25, 30, 35],
        Frames(every_nth=15, **SMALL): [0, 15, 30],
        Frames(count=4, **SMALL): [5, 15, 25, 35],
        Frames(keyframes=True, **SMALL): [0, 12, 24, 36],
        Frames(at=(0, 0.55, 3.9), **SMALL): [0, 5, 39],
    }
    given = decode(video, *map(Want, choices))
    assert [numbers(pictures) for pictures in given] == list(choices.values())


def test_spans_are_half_open_and_their_first_frame_is_always_shown(video):
    span = Span(Fraction("1.05"), Fraction(2))
    every, twice, tenth = decode(
        video,
        Want(Frames(), span),
        Want(Frames(fps=2), span),
        Want(Frames(at=(0,)), span),
    )
    assert numbers(every) == list(range(11, 20))
    assert numbers(twice) == [11, 15]
    assert numbers(tenth) == [11]


def test_a_frame_shown_at_several_wanted_times_comes_once(video):
    (pictures,) = decode(video, Want(Frames(fps=25), Span(Fraction(0), Fraction("0.4"))))
    assert numbers(pictures) == [0, 1, 2, 3]
    assert [picture.repeat for picture in pictures] == [3, 2, 3, 2]


def test_sizes_and_pixel_formats(video):
    frames = [
        Frames(count=1, short_side=48),
        Frames(count=1, size=(50, 20)),
        Frames(count=1, crop=(0, 0, 64, 48), short_side=24),
        Frames(count=1, pixel_format="gray"),
        Frames(count=1, pixel_format="yuv420p", short_side=24),
    ]
    shapes = [pictures[0].pixels.shape for pictures in decode(video, *map(Want, frames))]
    assert shapes == [(48, 64, 3), (20, 50, 3), (24, 32, 3), (96, 128), (36, 32)]


def test_one_look_is_made_once_for_all_who_want_it(video):
    first, second = decode(video, Want(Frames(count=1, **SMALL)), Want(Frames(count=1, **SMALL)))
    assert first[0].frame is second[0].frame


def test_sound_and_pictures_come_together_in_order_of_time(video):
    with MediaFile(video) as file:
        pieces = list(file.decode([Want(Frames(fps=5)), Want(Audio(rate=16_000, channels=1))]))
    times = [p.seconds if isinstance(p, Picture) else p.start_seconds for p in pieces]
    assert times == sorted(times)
    assert sum(p.samples.shape[1] for p in pieces if isinstance(p, Sound)) >= 4 * 16_000


def test_a_file_of_sound_alone(tmp_path):
    path = make_audio(tmp_path / "a.wav", codec="pcm_s16le", seconds=1)
    with MediaFile(path) as file:
        assert file.frames is None
        assert (file.sound.rate, file.sound.channels) == (48_000, 2)
        assert file.sound.end_seconds == 1
        pieces = list(file.decode([Want(Audio(), Span(Fraction("0.25"), Fraction("0.5")))]))
    assert pieces[0].start_seconds == Fraction(1, 4)
    samples = np.concatenate([piece.samples for piece in pieces], axis=1)
    assert samples.shape == (2, 12_000)
    assert samples.dtype == np.float32
    assert 0.2 < samples.max() <= 0.26


def test_a_decode_may_be_left_and_another_begun(video):
    with MediaFile(video) as file:
        run = file.decode([Want(Frames())])
        assert numbers([next(run), next(run)]) == [0, 1]
        run.close()
        early = file.decode([Want(Frames(at=(0.3,)))])
        assert numbers(early) == [3]
        assert numbers(file.decode([Want(Frames(every_nth=13))])) == [0, 13, 26, 39]


def test_files_are_decoded_side_by_side(video, tmp_path):
    other = make_video(tmp_path / "b.mp4", seconds=2, first_number=100)
    with MediaFile(video) as one, MediaFile(other) as two:
        wants = [Want(Frames(fps=5)), Want(Audio())]
        painted = [
            (read_frame_number(left.pixels), read_frame_number(right.pixels))
            for left, right in zip(one.decode(wants[:1]), two.decode(wants[:1]), strict=False)
        ]
        both = zip(one.decode(wants), two.decode(wants), strict=False)
        assert len(list(both)) > 10
    assert painted == [(n, 100 + n) for n in range(0, 20, 2)]


def test_repeated_decodes_leave_no_file_open(video, tmp_path):
    raw = make_video(tmp_path / "a.ts", seconds=1)
    opened = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else None
    if opened is None:
        pytest.skip("open files are told by /proc")
    for path in (video, raw):
        with MediaFile(path) as file:
            for _ in range(5):
                list(file.decode([Want(Frames(count=2)), Want(Audio())]))
            assert len(os.listdir("/proc/self/fd")) <= opened + 1
