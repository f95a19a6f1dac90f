"""Clips coded anew: every frame the one that was asked for, at its time, and checked."""

import os
import random
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate

import av
import numpy as np
import pytest

from clipmill.core.edit import Edit
from clipmill.core.errors import ProcessError
from clipmill.core.request import Want
from clipmill.core.sample import Subtitle
from clipmill.core.time import Span
from clipmill.demo.media import make_audio, make_video
from clipmill.media.check import Promise, check_file
from clipmill.media.clip_plan import plan_files
from clipmill.media.clip_work import ClipWork
from clipmill.media.clip_writer import ClipWriter
from clipmill.media.decode import MediaFile, Picture
from clipmill.media.order import ClipOrder
from clipmill.media.probe import probe
from clipmill.media.pulse import beats
from clipmill.media.remux import remux
from clipmill.media.render import Renderer, traits_of
from media_clips import frames, numbers, render, sound, sound_offset


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {}),
        ("a.mov", {"codec": "libx265"}),
        ("a.webm", {"codec": "libvpx-vp9", "audio": "libopus"}),
        ("b.webm", {"codec": "libvpx", "audio": None}),
        ("a.mkv", {"codec": "libsvtav1", "audio": "libopus"}),
        ("a.avi", {"codec": "mpeg4", "audio": "libmp3lame"}),
        ("a.ts", {}),
        ("late.mkv", {"start_seconds": 3}),
        ("ntsc.mp4", {"fps": Fraction(10000, 1001)}),
    ],
)
def test_a_clip_holds_exactly_the_frames_that_start_within_its_span(tmp_path, name, options):
    source = make_video(tmp_path / name, seconds=3, **options)
    clips = render(source, [(0.35, 1.25), (1.25, 2), (1, 2.5)], tmp_path)
    original = frames(source)
    zero = original[0][0]
    for clip in clips:
        span = clip.requested
        meant = [(t - zero, n) for t, n in original if span.start <= t - zero < span.end]
        assert frames(clip.members["mp4"].path) == [(t - meant[0][0], n) for t, n in meant]
        assert clip.frame_count == len(meant) == clip.probe["video"]["frame_count"]
        assert clip.actual.start == meant[0][0]
        following = [t - zero for t, _ in original if t - zero > meant[-1][0]]
        assert following[:1] in ([clip.actual.end], [])
        assert clip.probe["duration_seconds"] == pytest.approx(float(clip.actual.duration))


def test_an_uneven_source_keeps_its_own_timing_to_the_tick(tmp_path):
    times = [0, 0.1, 0.5, 0.6, 1.5, 1.55, 1.9]
    source = make_video(tmp_path / "vfr.mp4", frame_times=times, audio=None)
    (clip,) = render(source, [(0.5, 1.6)], tmp_path)
    found = frames(clip.members["mp4"].path)
    assert found == [(0, 2), (Fraction(1, 10), 3), (1, 4), (Fraction(105, 100), 5)]
    # the last picture is cut off by the span rather than shown for long after it
    assert clip.actual == Span(Fraction(1, 2), Fraction(17, 10))
    with av.open(str(clip.members["mp4"].path)) as container:
        assert container.duration == 1_200_000


@pytest.mark.parametrize(("fps", "count"), [(0.5, 1), (5, 6), (20, 21), (23.976, 26), (29.97, 32)])
def test_a_constant_rate_shows_the_source_frame_of_each_tick(tmp_path, fps, count):
    source = make_video(tmp_path / "a.mp4", seconds=3)
    edit = Edit(fps=fps)
    (clip,) = render(source, [(0.5, 1.55)], tmp_path, fps=fps)
    found = frames(clip.members["mp4"].path)
    assert found == [
        (k / edit.frame_rate, int((Fraction(1, 2) + k / edit.frame_rate) * 10))
        for k in range(count)
    ]
    assert clip.probe["video"]["variable_frame_rate"] is (False if count > 1 else None)
    assert clip.probe["video"]["average_frame_rate"] == pytest.approx(float(edit.frame_rate))


def test_a_failing_clip_does_no_harm_to_others(tmp_path):
    source = make_video(tmp_path / "a.mp4", seconds=2)
    before, beyond, over_the_end = render(source, [(0, 1), (5, 6), (1.5, 9)], tmp_path)
    assert before.frame_count == 10
    assert isinstance(beyond, ProcessError)
    assert beyond.error_class == "empty_span"
    assert over_the_end.frame_count == 5
    assert over_the_end.actual == Span(Fraction(3, 2), Fraction(2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.mp4", "2.mp4", "a.mp4"]


def test_a_clip_of_a_single_frame(tmp_path):
    source = make_video(tmp_path / "a.mp4", seconds=2)
    (clip,) = render(source, [(0.7, 0.71)], tmp_path)
    assert frames(clip.members["mp4"].path) == [(0, 7)]
    assert clip.actual == Span(Fraction(7, 10), Fraction(8, 10))


def test_the_same_order_gives_the_same_bytes_alone_or_among_others(tmp_path):
    source = make_video(tmp_path / "a.mp4", seconds=3)
    wanted = {"video": "mp4", "audio": "opus"}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (alone,) = render(source, [(1, 2)], tmp_path / "one", wanted)
    among, *_ = render(source, [(1, 2), (0, 3), (1.5, 2.5)], tmp_path / "two", wanted)
    for extension in ("mp4", "opus"):
        assert alone.members[extension].sha256 == among.members[extension].sha256
    assert b"Lavf" not in alone.members["mp4"].path.read_bytes()


def test_bytes_do_not_depend_on_what_lay_in_memory(tmp_path):
    """x264 read what it had not written, at widths and on processors of some kinds."""
    source = make_video(tmp_path / "a.mp4", seconds=1, fps=30, width=278, height=158)
    hashes = set()
    for pattern in ("0", "85"):
        told = subprocess.run(
            [sys.executable, "-c", _RENDER, str(source), str(tmp_path)],
            capture_output=True, text=True, check=True,
            env={**os.environ, "MALLOC_PERTURB_": pattern},
        )  # fmt: skip
        hashes.add(told.stdout)
    (clip,) = render(source, [(0, 1)], tmp_path)
    assert hashes == {clip.members["mp4"].sha256 + "\n"}


_RENDER = """
import sys
from fractions import Fraction
from pathlib import Path
from clipmill.core.edit import Edit
from clipmill.core.time import Span
from clipmill.media.order import ClipOrder
from clipmill.media.render import render_clips
order = ClipOrder("a-made", Span(Fraction(0), Fraction(1)))
(clip,) = render_clips(sys.argv[1], [order], Edit(), {"video": "mp4"}, Path(sys.argv[2]))
print(clip.members["mp4"].sha256)
"""


def test_pictures_and_sound_may_come_in_any_order(tmp_path):
    """Live, one decode feeds detectors and writers, and sound runs ahead or behind."""
    source = make_video(tmp_path / "a.mp4", seconds=3)
    (clip,) = render(source, [(0.5, 2)], tmp_path)
    with MediaFile(source) as media:
        (plan,) = plan_files(traits_of(media, probe(source)), Edit(), {"video": "mp4"})
        span = Span(Fraction(1, 2), Fraction(2))
        pictures, sounds = (
            list(media.decode([Want(request, part)]))
            for request, part in ((plan.pictures.request, span), (plan.sound_request, None))
        )
        for number, order in enumerate([sounds + pictures, pictures + sounds]):
            target = tmp_path / f"live-{number}.mp4"
            writer = ClipWriter(target, plan, span.start)
            for piece in order:
                if isinstance(piece, Picture):
                    writer.picture(piece)
                else:
                    writer.sound(piece)
            made = writer.finish(span.end)
            assert made.file.sha256 == clip.members["mp4"].sha256


def test_a_clip_that_takes_long_to_encode_does_not_pass_for_a_hang(tmp_path):
    source = make_video(tmp_path / "a.mp4", seconds=1, audio=None)
    with MediaFile(source, probes=True) as media, ExitStack() as stack:
        clip = ClipWork(ClipOrder("clip", Span(Fraction(0), Fraction(1)), ()), tmp_path)
        Renderer(media, Edit(), {"video": "mp4"}, stack).begin(clip)
        pictures = list(media.decode(clip.wants))
        before = beats()
        for picture in pictures[:-1]:
            clip.take(0, picture)
        assert beats() - before == len(pictures) - 1 > 0
        clip.abandon()


def test_a_writer_that_is_given_up_leaves_nothing(tmp_path):
    source = make_video(tmp_path / "a.mp4", seconds=1)
    with MediaFile(source) as media:
        (plan,) = plan_files(traits_of(media, probe(source)), Edit(), {"video": "mp4"})
        writer = ClipWriter(tmp_path / "b.mp4", plan, Fraction(0))
        for piece in media.decode([Want(plan.pictures.request)]):
            writer.picture(piece)
        writer.abandon()
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"frame_count": 11}, "10 frames instead of 11"),
        ({"seconds": Fraction(2)}, "lasts 1 s instead of 2 s"),
        ({"last_seconds": Fraction(3, 2)}, "last frame cannot be decoded"),
        ({"sound_seconds": Fraction(2)}, "sound lasts"),
        ({"thumbnails": (np.full((32, 32), 90, np.int16), None)}, "first frame is not the one"),
    ],
)
def test_a_file_that_is_not_what_was_promised_fails_its_check(tmp_path, change, words):
    path = make_video(tmp_path / "a.mp4", seconds=1)
    promise = Promise(10, Fraction(1), Fraction(9, 10), Fraction(1), (None, None))
    assert check_file(path, promise)["video"]["frame_count"] == 10
    with pytest.raises(ProcessError, match=words) as caught:
        check_file(path, replace(promise, **change))
    assert caught.value.error_class == "clip_check_failed"


def test_sound_alone_is_cut_to_the_sample(tmp_path):
    source = make_audio(tmp_path / "a.m4a", seconds=3)
    (clip,) = render(source, [(0.5, 1.7501)], tmp_path, {"audio": "wav"})
    with av.open(str(clip.members["wav"].path)) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) == 60005
    with pytest.raises(ProcessError, match="sound alone"):
        render(source, [(0, 1)], tmp_path)


@pytest.mark.parametrize("extension", ["mp3", "aac"])
def test_start_up_that_an_encoder_adds_to_slow_sound_is_no_fault(tmp_path, extension):
    source = make_audio(tmp_path / "a.m4a", seconds=1)
    (clip,) = render(source, [(0, 1)], tmp_path, {"audio": extension}, audio_sample_rate=8000)
    assert clip.members[extension].size > 1000


@pytest.fixture
def late_sound(tmp_path):
    """A video of 4 s whose sound is heard from 0.7 to 2.2 s, after the encoder's start-up."""
    picture = make_video(tmp_path / "picture.mp4", seconds=4, gop=10, audio=None)
    late = make_video(tmp_path / "late.mp4", seconds=1.5, start_seconds=0.7)
    remux(picture, tmp_path / "a.mp4", extension="mp4", audio_source=late)
    return tmp_path / "a.mp4"


@pytest.mark.parametrize("precision", ["exact", "copy", "smart"])
def test_sound_that_begins_late_stays_late_and_none_is_no_stream(tmp_path, late_sound, precision):
    for extension in ("mp4", "mkv"):
        wanted = {"video": extension}
        early, later, without = render(
            late_sound, [(0, 2), (1, 3.5), (3, 4)], tmp_path, wanted, precision=precision
        )
        assert sound(early.members[extension].path)[0] == pytest.approx(0.7, abs=0.05)
        assert abs(sound_offset(early, extension, late_sound)) < 1
        assert abs(sound_offset(later, extension, late_sound)) < 1
        assert without.probe["audio"] == []


def test_files_without_times_tell_of_late_sound_and_silence_costs_the_clip(tmp_path, late_sound):
    wanted = {"video": "mp4", "audio": "wav"}
    early, without = render(late_sound, [(0, 2), (3, 4)], tmp_path, wanted)
    assert early.notes == ("the sound of wav begins 0.678 s into the clip",)
    assert probe(early.members["wav"].path).duration_seconds == pytest.approx(2 - 0.678, abs=0.001)
    assert isinstance(without, ProcessError)
    assert without.error_class == "empty_span"
    assert not (tmp_path / "1.mp4").exists()


def test_a_clip_that_fails_its_check_is_no_clip(tmp_path, monkeypatch):
    def refuse(path, promise):
        raise ProcessError("it is not", error_class="clip_check_failed")

    monkeypatch.setattr("clipmill.media.clip_writer.check_file", refuse)
    source = make_video(tmp_path / "a.mp4", seconds=1)
    (clip,) = render(source, [(0, 1)], tmp_path)
    assert isinstance(clip, ProcessError)
    assert clip.error_class == "clip_check_failed"
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_silent_source_has_no_sound_to_give(tmp_path):
    source = make_video(tmp_path / "a.mp4", audio=None)
    (clip,) = render(source, [(0, 1)], tmp_path)
    assert clip.probe["audio"] == []
    with pytest.raises(ProcessError, match="no sound"):
        render(source, [(0, 1)], tmp_path, {"video": "mp4", "audio": "m4a"})


def test_subtitles_follow_the_clip_in_all_languages(tmp_path):
    source = make_video(tmp_path / "a.mp4", seconds=3)
    lines = (
        Subtitle("en", 0.2, 0.9, "before"),
        Subtitle("en", 0.8, 1.5, "hello"),
        Subtitle("de", 1.5, 4.0, "hallo"),
    )
    (clip,) = render(source, [(1, 2)], tmp_path, subtitles=lines)
    assert clip.subtitles == [Subtitle("en", 0, 0.5, "hello"), Subtitle("de", 0.5, 1, "hallo")]


@pytest.mark.parametrize(
    ("extension", "options"),
    [
        ("mp4", {}),
        ("mp4", {"audio_codec": "opus", "fps": 7}),
        ("mp4", {"audio_codec": "mp3"}),
        ("mp4", {"audio_codec": "copy"}),
        ("mkv", {}),
        ("mkv", {"audio_codec": "aac"}),
        ("mov", {"audio_codec": "pcm"}),
        ("webm", {"video_codec": "vp9"}),
    ],
)
def test_sound_and_picture_stay_together_whatever_the_codec(tmp_path, extension, options):
    source = make_video(tmp_path / "a.mkv", seconds=3, audio="aac")
    (clip,) = render(source, [(0.35, 2.21)], tmp_path, {"video": extension}, **options)
    assert abs(sound_offset(clip, extension, source)) < 1


@pytest.mark.parametrize(
    ("codec", "extension", "encoder"),
    [
        ("h264", "mkv", "libx264"),
        ("hevc", "mp4", "libx265"),
        ("av1", "webm", "libsvtav1"),
        ("vp9", "mp4", "libvpx-vp9"),
        ("ffv1", "original", "ffv1"),
    ],
)
def test_every_codec_keeps_every_frame_and_writes_the_same_bytes_twice(
    tmp_path, codec, extension, encoder
):
    source = make_video(tmp_path / "a.mp4", seconds=2, audio=None)
    hashes = set()
    for _ in range(2):
        (clip,) = render(
            source, [(0.5, 1.5)], tmp_path, {"video": extension}, video_codec=codec, gop_seconds=0.5
        )
        ((name, file),) = clip.members.items()
        hashes.add(file.sha256)
    assert len(hashes) == 1
    assert name == ("mkv" if extension == "original" else extension)
    assert numbers(file.path) == list(range(5, 15))
    assert clip.encoder == encoder
    assert clip.probe["video"]["codec"] == codec


def test_a_codec_of_sound_is_the_videos_where_its_own_file_cannot_hold_it(tmp_path):
    source = make_video(tmp_path / "a.mp4", seconds=1)
    wanted = {"video": "mp4", "audio": "wav"}
    (clip,) = render(source, [(0, 1)], tmp_path, wanted, audio_codec="opus")
    assert clip.probe["audio"][0]["codec"] == "opus"
    assert probe(clip.members["wav"].path).audio[0].codec == "pcm_s16le"
    with pytest.raises(ProcessError, match="opus sound cannot be put into wav"):
        render(source, [(0, 1)], tmp_path, {"audio": "wav"}, audio_codec="opus")


def test_frames_that_cannot_be_decoded_are_told(tmp_path):
    options = {"gop": 30, "audio": None, "container_options": {"movflags": "+faststart"}}
    source = make_video(tmp_path / "a.mp4", seconds=3, **options)
    data = bytearray(source.read_bytes())
    middle = len(data) * 3 // 4
    data[middle : middle + 400] = b"\xff" * 400
    source.write_bytes(data)
    (clip,) = render(source, [(0, 3)], tmp_path)
    assert clip.frame_count < 30
    assert f"{30 - clip.frame_count} frame" in clip.notes[0]


def test_encoders_are_proved_and_never_assumed(tmp_path):
    source = make_video(tmp_path / "a.mp4", seconds=1, audio=None)
    (clip,) = render(source, [(0, 1)], tmp_path, encoder="hardware")
    if clip.encoder == "libx264":
        assert clip.notes == ("no hardware encoder of h264 works here",)
    for name in ("h264_nonsense", "libx265"):
        with pytest.raises(ProcessError, match=name) as caught:
            render(source, [(0, 1)], tmp_path, encoder=name)
        assert caught.value.error_class == "encoder_unavailable"


def test_a_codec_that_a_container_does_not_hold_is_refused_with_those_that_do(tmp_path):
    source = make_video(tmp_path / "a.mp4", seconds=1, audio=None)
    with pytest.raises(ProcessError, match=r"ffv1 video cannot be put into mp4.*mkv"):
        render(source, [(0, 1)], tmp_path, video_codec="ffv1")


@pytest.mark.parametrize("size", [(101, 75), (424, 238), (1, 1)])
def test_a_lossless_copy_keeps_the_pixels_of_its_source(tmp_path, size):
    width, height = size
    source = make_video(
        tmp_path / "a.mkv",
        seconds=1,
        audio=None,
        width=width,
        height=height,
        pixel_format="yuv444p",
    )
    (clip,) = render(source, [(0, 1)], tmp_path, {"video": "original"}, video_codec="ffv1")
    facts = clip.probe["video"]
    assert (facts["pixel_format"], facts["width"], facts["height"]) == ("yuv444p", *size)
    with (
        av.open(str(source)) as before,
        av.open(str(clip.members["mkv"].path)) as after,
    ):
        for old, new in zip(before.decode(video=0), after.decode(video=0), strict=True):
            assert (old.to_ndarray() == new.to_ndarray()).all()


def test_clips_at_uneven_times_last_as_long_as_their_pictures(tmp_path):
    """An encoder's order of decoding may take longer than showing does, after long pictures."""
    chance = random.Random(1)
    lengths = [Fraction(chance.choice([20, 33, 40, 80, 250, 7]), 1000) for _ in range(60)]
    times = list(accumulate(lengths, initial=Fraction(0)))
    source = make_video(tmp_path / "a.mkv", frame_times=times, first_number=600)
    spans = [(start, start + 1) for start in range(4)]
    for side in (None, 48, 64):
        made = render(source, spans, tmp_path, short_side=side)
        assert not [clip for clip in made if isinstance(clip, ProcessError)]
        assert float(made[0].actual.end) == pytest.approx(1.003)
