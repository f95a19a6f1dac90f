"""Files of every kind: no wrong frame, and every cheap way gives what a full decode gives."""

import random
from fractions import Fraction

import pytest

from clipmill.core.request import Frames, Want
from clipmill.core.time import Span
from clipmill.demo.media import read_frame_number
from clipmill.media.choose import choose
from clipmill.media.decode import MediaFile
from decode_cases import KINDS, make_kind

HIDDEN = {"edited.mp4": 5}
LOOKS = [
    {},
    {"short_side": 48},
    {"size": (64, 36), "pixel_format": "gray"},
    {"short_side": 64, "pixel_format": "yuv420p"},
]
CHOICES = [{}, {"fps": 4}, {"every_nth": 5}, {"count": 4}, {"keyframes": True}, {"at": (0, 0.37)}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("kinds")


@pytest.mark.parametrize("name", KINDS)
def test_every_request_gets_its_frames(folder, name):
    spans = [None, Span(Fraction("0.45"), Fraction("1.65"))]
    wants = [
        Want(Frames(**choice, **look), span)
        for choice in CHOICES
        for look in LOOKS
        for span in spans
    ]
    with MediaFile(make_kind(folder, name)) as file:
        assert len(file.frames) == 24 - HIDDEN.get(name, 0)
        given = [[] for _ in wants]
        for picture in file.decode(wants):
            painted = read_frame_number(picture.frame.to_ndarray(format="rgb24"))
            assert picture.number == painted - HIDDEN.get(name, 0)
            assert picture.seconds == file.frames.seconds(picture.number)
            given[picture.want].append(picture)
        for want, pictures in zip(wants, given, strict=True):
            if want.request.keyframes and file.frames.ordered_by_decoder:
                assert pictures
                assert all(picture.source.key_frame for picture in pictures)
                continue
            meant = choose(want.request, want.span, file.frames)
            assert [picture.number for picture in pictures] == meant.numbers.tolist()
            assert [picture.repeat for picture in pictures] == meant.repeats.tolist()


@pytest.mark.parametrize("name", KINDS)
def test_cheap_ways_give_the_pixels_of_a_full_decode(folder, name):
    dice = random.Random(name)
    with MediaFile(make_kind(folder, name)) as file:
        full = {p.number: pixels(p) for p in file.decode([Want(Frames())])}
        cost = file.decoded_frames
        for choice in [*CHOICES[1:], {"count": 1}, {"at": (0, 1.1)}]:
            start = Fraction(dice.randrange(20), 10)
            span = dice.choice([None, Span(start, start + Fraction(dice.randrange(1, 12), 10))])
            for picture in file.decode([Want(Frames(**choice), span)]):
                assert (pixels(picture) == full[picture.number]).all()
        assert cost == len(file.frames)


def test_only_what_wanted_frames_need_is_decoded(folder):
    with MediaFile(make_kind(folder, "h264.mp4")) as file:
        list(file.decode([Want(Frames(keyframes=True))]))
        assert file.decoded_frames == 3
        list(file.decode([Want(Frames(), Span(Fraction("0.8"), Fraction("1.0")))]))
        assert file.decoded_frames <= 8
        assert file.decoded_seconds <= Fraction(8, 10)


def test_frames_that_may_be_others_cost_less(folder):
    path = make_kind(folder, "h264.mp4")
    with MediaFile(path) as exact, MediaFile(path) as near:
        every = list(exact.decode([Want(Frames())]))
        spared = list(near.decode([Want(Frames(nearest=True, loop_filter=False))]))
    assert near.decoded_frames < exact.decoded_frames == 24
    assert sum(picture.repeat for picture in spared) == len(every)
    assert all(read_frame_number(picture.pixels) == picture.number for picture in spared)


def test_one_who_wants_it_exact_gets_it_exact(folder):
    with MediaFile(make_kind(folder, "h264.mp4")) as file:
        alone = [pixels(p) for p in file.decode([Want(Frames(every_nth=5))])]
        wants = [Want(Frames(every_nth=5)), Want(Frames(nearest=True, loop_filter=False))]
        beside = [pixels(p) for p in file.decode(wants) if p.want == 0]
    assert all((one == other).all() for one, other in zip(alone, beside, strict=True))


def pixels(picture):
    """What the decoder gave, in a form that keeps all of it."""
    bits = max(part.bits for part in picture.source.format.components)
    return picture.source.to_ndarray(format="rgba64le" if bits > 8 else "rgba")
