"""`packets`: the same coded video and sound has the same hashes in every container."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path

import av
import pytest

from clipmill.core.time import Span
from clipmill.demo.media import make_video
from clipmill.media.remux import remux
from decode_cases import make_kind
from step_results import cell_of, said_of

H264 = ("h264.mp4", "h264.mkv", "h264.ts", "h264.flv", "h264.avi", "raw.h264", "fragmented.mp4")
HEVC = ("hevc.mp4", "hevc.ts")
"""Each the same encoder's output, written by libav into another container."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kinds")


@pytest.mark.parametrize("names", [H264, HEVC])
def test_hashes_do_not_tell_containers_apart(folder: Path, names: tuple[str, ...]) -> None:
    said = [said_of(make_kind(folder, name), "packets") for name in names]
    assert len({one["video_sha256"] for one in said}) == 1
    assert len({one["audio_sha256"] for one in said} - {None}) == 1


@pytest.mark.parametrize(
    ("name", "extension"),
    [("h264.ts", "mp4"), ("late.ts", "mkv"), ("edited.mp4", "mkv"), ("mpeg4.avi", "mp4")],
)
def test_a_remuxed_file_is_the_same(folder: Path, name: str, extension: str) -> None:
    source, target = make_kind(folder, name), folder / f"{name}.{extension}"
    remux(source, target, extension=extension)
    assert target.read_bytes() != source.read_bytes()
    assert said_of(target, "packets") == said_of(source, "packets")


def test_other_pictures_or_another_encode_differ_and_sound_is_told_apart(tmp_path: Path) -> None:
    plain = {"seconds": 1, "fps": 10}
    one = said_of(make_video(tmp_path / "a.mp4", **plain), "packets")
    coded = make_video(tmp_path / "b.mp4", **plain, codec_options={"crf": "30"})
    later = make_video(tmp_path / "c.mp4", **plain, first_number=7)
    for other in (said_of(coded, "packets"), said_of(later, "packets")):
        assert other["video_sha256"] != one["video_sha256"]
        assert other["audio_sha256"] == one["audio_sha256"]
    silent = said_of(make_video(tmp_path / "d.mp4", **plain, audio=None), "packets")
    assert silent == {"video_sha256": one["video_sha256"], "audio_sha256": None}


def test_a_clip_has_the_packets_whose_frames_start_within_it(folder: Path) -> None:
    path = make_kind(folder, "vp9.webm")
    span = Span(Fraction(8, 10), Fraction(16, 10))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        parts = [
            bytes(packet)
            for packet in container.demux(stream)
            if packet.size and span.start <= packet.pts * stream.time_base < span.end
        ]
    assert len(parts) == 8
    said = said_of(path, "packets", span=span)
    assert said["video_sha256"] == hashlib.sha256(b"".join(parts)).hexdigest()
    assert said["audio_sha256"] is None


def test_a_clip_is_the_same_in_another_container_and_the_whole_if_it_has_every_frame(
    folder: Path,
) -> None:
    mp4, mkv = (make_kind(folder, name) for name in ("h264.mp4", "h264.mkv"))
    part, all_of_it = Span(Fraction(8, 10), Fraction(16, 10)), Span(Fraction(0), Fraction(100))
    assert said_of(mp4, "packets", span=part) == said_of(mkv, "packets", span=part)
    whole = said_of(mp4, "packets")
    assert said_of(mp4, "packets", span=all_of_it) == whole
    assert said_of(mp4, "packets", span=part)["video_sha256"] != whole["video_sha256"]


@pytest.mark.parametrize("name", ["h264.avi", "raw.h264"])
def test_there_is_no_hash_where_the_file_does_not_tell_which_packet_is_shown_when(
    folder: Path, name: str
) -> None:
    span = Span(Fraction(8, 10), Fraction(16, 10))
    assert cell_of(make_kind(folder, name), "packets", span=span).status == "absent"
