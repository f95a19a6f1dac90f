"""Clips to the frame that are copied but for their edges: no frame wrong, few coded anew."""

from fractions import Fraction

import av
import pytest

from clipmill.core.errors import ProcessError
from clipmill.demo.media import make_video
from media_clips import frames, numbers, render, sound_offset

UNEVEN = [Fraction(n * n % 7 + 10 * n, 100) for n in range(60)]
DEEP = {"preset": "slow", "x264-params": "bframes=5:b-pyramid=normal:b-adapt=0"}


@pytest.mark.parametrize("extension", ["mp4", "mkv"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {}),
        ("a.mkv", {}),
        ("baseline.mp4", {"codec_options": {"profile": "baseline"}}),
        ("deep.mp4", {"codec_options": DEEP}),
        ("uneven.mp4", {"frame_times": UNEVEN}),
        ("late.mov", {"start_seconds": 2.5}),
        ("turned.mp4", {"sample_aspect_ratio": Fraction(4, 3)}),
    ],
)
def test_copied_and_coded_parts_join_without_a_wrong_frame(tmp_path, name, options, extension):
    source = make_video(tmp_path / name, **{"seconds": 6, "fps": 10, "gop": 12, **options})
    original = frames(source)
    zero = original[0][0]
    spans = [(0.5, 2.5), (1.2, 3.35), (2.04, 3.05), (2.45, 9)]
    for clip in render(source, spans, tmp_path, {"video": extension}, precision="smart"):
        path, span = clip.members[extension].path, clip.requested
        meant = [(t - zero, n) for t, n in original if span.start <= t - zero < span.end]
        assert numbers(path) == [n for _, n in meant]
        assert all(
            abs(time - (t - meant[0][0])) <= Fraction(1, 1000)
            for (time, _), (t, _) in zip(frames(path), meant, strict=True)
        )
        assert clip.actual.start == meant[0][0]
        assert " copied, " in clip.notes[0]
        if span.end < 5:  # the tone of the last seconds is too even to compare by
            assert abs(sound_offset(clip, extension, source)) < 1.01


def test_a_start_on_a_key_frame_makes_a_pure_copy(tmp_path):
    source = make_video(tmp_path / "a.mp4", seconds=4, gop=10)
    (clip,) = render(source, [(1, 3)], tmp_path, precision="smart")
    assert clip.notes == ("20 frames copied, 0 coded anew",)
    assert clip.encoder is None

    def packets(path):
        with av.open(str(path)) as container:
            return [bytes(packet) for packet in container.demux(video=0) if packet.size]

    assert packets(clip.members["mp4"].path) == packets(source)[10:30]


@pytest.mark.parametrize(
    ("name", "options", "span", "reason"),
    [
        ("a.webm", {"codec": "libvpx-vp9", "audio": "libopus"}, (0.5, 1.5), "not H.264"),
        ("a.ts", {}, (0.5, 1.5), "not kept apart"),
        ("a.mp4", {}, (0.3, 0.8), "no group of pictures begins in it"),
        ("deep.mp4", {"pixel_format": "yuv420p10le"}, (0.5, 1.5), "yuv420p10le"),
        ("open.mp4", {"codec_options": {"x264-params": "open-gop=1"}}, (0.5, 1.5), "group"),
    ],
)
def test_what_cannot_be_mixed_is_coded_as_a_whole_and_says_so(
    tmp_path, name, options, span, reason
):
    source = make_video(tmp_path / name, seconds=3, fps=10, gop=10, **options)
    (clip,) = render(source, [span], tmp_path, precision="smart")
    if name == "open.mp4" and " copied, " in clip.notes[0]:
        pytest.skip("the encoder closed its groups")
    assert reason in clip.notes[0]
    assert clip.encoder == "libx264"
    first, last = (round(10 * time) for time in span)
    assert numbers(clip.members["mp4"].path) == list(range(first, last))


def test_many_clips_share_one_decode_of_their_edges(tmp_path):
    source = make_video(tmp_path / "a.mp4", seconds=6, gop=10)
    wanted = {"video": "mp4", "audio": "wav"}
    spans = [(start / 4, start / 4 + 2) for start in range(12)] + [(7, 8)]
    *clips, beyond = render(source, spans, tmp_path, wanted, precision="smart", images="first")
    for clip in clips:
        first = -(-clip.requested.start * 10 // 1)
        found = numbers(clip.members["mp4"].path)
        assert found == list(range(first, first + len(found)))
        assert numbers(clip.members["jpg"].path) == found[:1]
        assert set(clip.members) == {"mp4", "wav", "jpg"}
    assert isinstance(beyond, ProcessError)
    assert beyond.error_class == "empty_span"
