"""A stretch of a file is media like a file of its own."""

import mmap

import pytest

from clipmill.core.errors import ProcessError
from clipmill.core.request import Audio, Frames, Want
from clipmill.io.stretch import Stretch, mapped, read_at
from clipmill.media.decode import MediaFile, Picture
from clipmill.media.probe import probe
from decode_cases import make_kind


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("kinds")


def within_another(path, lead=mmap.ALLOCATIONGRANULARITY + 512):
    """The same bytes amid others, in a file with an unhelpful name."""
    data = path.read_bytes()
    other = path.with_name(f"{path.name}, in: x%20=.tar")
    other.write_bytes(data[-lead:].rjust(lead, b"x") + data + data)
    return Stretch(other, lead, len(data))


def decoded(place):
    with MediaFile(place) as media:
        wants = [Want(Frames(short_side=32), None), Want(Audio(rate=8000), None)]
        return [
            (piece.seconds, piece.pixels.tobytes())
            if isinstance(piece, Picture)
            else (piece.start_seconds, piece.samples.tobytes())
            for piece in media.decode(wants)
        ]


CONTAINERS = (
    "h264.mp4 h264.mkv h264.ts h264.avi raw.h264 fragmented.mp4 vp9.webm mpeg2.mpg edited.mp4"
)


@pytest.mark.parametrize("name", CONTAINERS.split())
def test_it_is_probed_and_decoded_as_a_file_of_its_own(folder, name):
    path = make_kind(folder, name)
    place = within_another(path)
    assert probe(place, keyframes=True) == probe(path, keyframes=True)
    assert decoded(place) == decoded(path)


@pytest.mark.parametrize("name", ["h264.mp4", "fragmented.mp4", "h264.mkv"])
def test_nothing_beyond_its_end_is_read(folder, name):
    path = make_kind(folder, name)
    size = path.stat().st_size // 2
    whole = within_another(path)
    cut = path.with_name(f"cut-{name}")
    cut.write_bytes(path.read_bytes()[:size])
    place = Stretch(whole.path, whole.offset, size)
    if name == "h264.mp4":  # its head comes last
        for one in (place, cut):
            with pytest.raises(ProcessError) as caught:
                probe(one)
            assert caught.value.error_class == "truncated"
        return
    assert probe(place) == probe(cut)
    assert probe(place).integrity == "truncated"
    assert decoded(place) == decoded(cut)


def test_bytes_are_counted_from_its_start(tmp_path):
    (tmp_path / "a").write_bytes(b"0123456789")
    place = Stretch(tmp_path / "a", 2, 5)
    assert read_at(place, 1, 2) == b"34"
    assert read_at(place, 3, 99) == b"56"
    assert read_at(place, 9, 1) == b""
    with mapped(place) as (data, start, end):
        assert data[start:end] == b"23456"


def test_no_file_can_name_a_stretch_by_its_own_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.mp4").write_bytes(make_kind(tmp_path, "h264.mp4").read_bytes())
    with pytest.raises(ProcessError, match="No such file"):
        probe("subfile,,start,0,end,9999,,:secret.mp4")
