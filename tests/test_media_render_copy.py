"""Clips as copies: from a key frame on, truthful about it, byte for byte."""

from fractions import Fraction

import av
import pytest

from clipmill.core.errors import ProcessError
from clipmill.core.time import Span
from clipmill.demo.media import make_audio, make_video
from clipmill.media import cut_copy, decode
from clipmill.media.probe import probe
from media_clips import frames, numbers, render, sound_offset

OPEN_GOP = {"codec_options": {"x264-params": "open-gop=1"}}


@pytest.mark.parametrize("extension", ["mp4", "mkv"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {}),
        ("open.mp4", OPEN_GOP),
        ("wide.mp4", {"sample_aspect_ratio": Fraction(4, 3), "rotation_degrees": -90}),
        ("a.mov", {"codec": "libx265"}),
        ("a.webm", {"codec": "libvpx-vp9", "audio": "libopus"}),
        ("a.mkv", {"codec": "libsvtav1", "audio": "flac"}),
        ("a.avi", {"codec": "mpeg4", "audio": "libmp3lame"}),
        ("a.ts", {}),
        ("a.flv", {}),
    ],
)
def test_a_copy_says_what_it_holds_and_holds_it(tmp_path, name, options, extension):
    source = make_video(tmp_path / name, seconds=4, fps=12, gop=12, **options)
    original = frames(source)
    zero = original[0][0]
    for clip in render(
        source, [(0.5, 1.5), (1, 2.3), (3.4, 9)], tmp_path, {"video": extension}, precision="copy"
    ):
        actual, path = clip.actual, clip.members[extension].path
        meant = [(t - zero, n) for t, n in original if actual.start <= t - zero < actual.end]
        assert numbers(path) == [n for _, n in meant]
        shift = meant[0][0]
        assert all(
            abs(time - (t - shift)) <= Fraction(1, 1000)
            for (time, _), (t, _) in zip(frames(path), meant, strict=True)
        )
        assert actual.start <= clip.requested.start
        assert actual.end >= min(clip.requested.end, original[-1][0] - zero)
        assert clip.encoder is None
        assert clip.probe["video"]["pixel_format"] == "yuv420p"
        assert clip.probe["integrity"] == "ok"
        assert clip.probe == probe(path).row()
        assert clip.probe["duration_seconds"] == pytest.approx(float(actual.duration), abs=0.002)
        if clip.requested.start < 3:
            # Matroska counts in milliseconds, once in the source and once in the copy
            assert abs(sound_offset(clip, extension, source)) < 1.01


def test_spans_are_found_by_time_and_not_by_counting_segments(tmp_path):
    """The peer's default gave 6-8.9 s for [4, 5] and 15-17.9 s for [13, 14]."""
    source = make_video(tmp_path / "a.mp4", seconds=18, fps=10, gop=30, audio=None)
    clips = render(source, [(4, 5), (13, 14), (1.2, 1.7)], tmp_path, precision="copy")
    for clip, key in zip(clips, (30, 120, 0), strict=True):
        found = numbers(clip.members["mp4"].path)
        assert found[0] == key
        assert found[-1] / 10 >= clip.requested.end - Fraction(1, 10)
        assert found[-1] / 10 < clip.requested.end + Fraction(1, 2)


def test_pieces_of_a_long_span_keep_to_their_length(tmp_path):
    """The peer snapped before it split, so that pieces of 4 s lasted 5.9 s and crossed cuts."""
    source = make_video(tmp_path / "a.mp4", seconds=12, fps=10, gop=30, audio=None)
    for clip in render(source, [(0, 4), (4, 8), (8, 12)], tmp_path, precision="copy"):
        before = clip.requested.start - clip.actual.start
        assert 0 <= before < 3
        assert clip.actual.end - clip.requested.end < Fraction(1, 2)


@pytest.mark.parametrize("container", ["mp4", "ts"])
def test_a_copy_begins_where_decoding_can(tmp_path, container):
    """H.264 may refresh its picture little by little, from what containers call key frames on."""
    refreshing = {"x264-params": "intra-refresh=1:keyint=8"}
    source = make_video(tmp_path / f"a.{container}", seconds=3, gop=8, codec_options=refreshing)
    first, later = render(source, [(0, 1), (1.5, 2.5)], tmp_path, precision="copy")
    assert numbers(first.members["mp4"].path)[:10] == list(range(10))
    assert isinstance(later, ProcessError)
    assert later.error_class == "cannot_copy"
    assert "its key frame shows nothing without the frames before it" in str(later)


def test_packets_are_the_sources_own(tmp_path):
    source = make_video(tmp_path / "a.mp4", seconds=3, gop=10)
    (clip,) = render(source, [(1, 2)], tmp_path, precision="copy")

    def packets(path):
        with av.open(str(path)) as container:
            return [bytes(packet) for packet in container.demux(video=0) if packet.size]

    copied = packets(clip.members["mp4"].path)
    originals = packets(source)
    assert copied == originals[10 : 10 + len(copied)]


def _flip(path):
    with av.open(str(path)) as container:
        packet = [bytes(packet) for packet in container.demux(video=0) if packet.size][4]
    data = bytearray(path.read_bytes())
    data[data.index(packet) + len(packet) // 2] ^= 1
    path.write_bytes(data)


def _cut_short(path):
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size - 1500)


@pytest.mark.parametrize("kept_bytes", [64 << 20, 0])
@pytest.mark.parametrize("extension", ["mp4", "mkv"])
@pytest.mark.parametrize("damage", [_flip, _cut_short])
def test_a_copy_that_is_not_the_source_is_no_clip(
    tmp_path, monkeypatch, damage, extension, kept_bytes
):
    written = cut_copy.write_packets

    def write_and_damage(target, *arguments):
        written(target, *arguments)
        if target.stem == "0":
            damage(target)

    source = make_video(tmp_path / "a.mp4", seconds=2, audio=None)
    for module in (decode, cut_copy):
        monkeypatch.setattr(module, "_KEPT_BYTES", kept_bytes)
    monkeypatch.setattr(cut_copy, "write_packets", write_and_damage)
    wanted = {"video": extension}
    wrong, right = render(source, [(0, 1), (1, 2)], tmp_path, wanted, precision="copy")
    assert isinstance(wrong, ProcessError)
    assert wrong.error_class == "clip_check_failed"
    assert right.frame_count >= 10
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4", f"1.{extension}"}


def test_a_picture_that_lies_on_its_side_still_says_so(tmp_path):
    source = make_video(tmp_path / "a.mp4", rotation_degrees=-90, audio=None)
    (clip,) = render(source, [(0, 1)], tmp_path, precision="copy")
    assert clip.probe["video"]["rotation_degrees"] == 90
    assert (clip.probe["video"]["width"], clip.geometry["width"]) == (96, 96)


def test_sound_is_copied_where_its_container_holds_it(tmp_path):
    source = make_video(tmp_path / "a.mp4", seconds=3)
    for extension, codec in [("m4a", "aac"), ("mp3", "mp3")]:
        wanted = {"video": "mp4", "audio": extension}
        (clip,) = render(source, [(0.5, 1.5)], tmp_path, wanted, precision="copy")
        with av.open(str(clip.members[extension].path)) as container:
            assert container.streams.audio[0].codec_context.codec.canonical_name == codec
            assert container.duration / 1e6 == pytest.approx(float(clip.actual.duration), abs=0.1)


def test_sound_alone_can_be_copied_too(tmp_path):
    source = make_audio(tmp_path / "a.m4a", seconds=3)
    (clip,) = render(source, [(0.5, 1.5)], tmp_path, {"audio": "m4a"}, precision="copy")
    assert clip.encoder is None
    assert clip.actual == Span(Fraction(1, 2), Fraction(3, 2))
    assert abs(sound_offset(clip, "m4a", source)) < 1


@pytest.mark.parametrize(
    ("name", "options"), [("a.mp4", {}), ("open.mp4", OPEN_GOP), ("a.mkv", {"audio": "flac"})]
)
def test_packets_kept_in_memory_and_packets_read_again_make_the_same_files(
    tmp_path, monkeypatch, name, options
):
    source = make_video(tmp_path / name, seconds=4, fps=12, gop=12, **options)
    made = {}
    for kept_bytes in (64 << 20, 0):
        monkeypatch.setattr(decode, "_KEPT_BYTES", kept_bytes)
        folder = tmp_path / str(kept_bytes)
        folder.mkdir()
        spans = [(0, 1.5), (0.5, 2.1), (2, 4), (0.5, 2.1)]
        clips = render(
            source, spans, folder, {"video": "mkv", "audio": "original"}, precision="copy"
        )
        made[kept_bytes] = [
            {name: file.sha256 for name, file in clip.members.items()} for clip in clips
        ]
    assert made[0] == made[64 << 20]
    assert made[0][1] == made[0][3]


def test_what_cannot_be_copied_says_why(tmp_path):
    source = make_video(tmp_path / "a.mp4", seconds=1)
    beyond, webm = (
        render(source, [span], tmp_path, {"video": extension}, precision="copy")[0]
        for span, extension in [((5, 6), "mp4"), ((0, 1), "webm")]
    )
    assert isinstance(beyond, ProcessError)
    assert beyond.error_class == "empty_span"
    assert isinstance(webm, ProcessError)
    assert webm.error_class == "container_mismatch"
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
