"""What a probe says of files of every kind, whole and broken."""

import pickle
from fractions import Fraction

import av
import numpy as np
import pyarrow as pa
import pytest

from clipmill.core.errors import ProcessError
from clipmill.demo.media import make_audio, make_video, paint_frame_number
from clipmill.media.probe import probe
from clipmill.media.probe_type import PROBE_TYPE


def cut(path, share, name="cut"):
    """The beginning of a file."""
    data = path.read_bytes()
    target = path.with_name(name + path.suffix)
    target.write_bytes(data[: int(len(data) * share)])
    return target


def test_an_ordinary_mp4(tmp_path):
    facts = probe(make_video(tmp_path / "a.mp4", seconds=2, fps=10))
    assert (facts.container, facts.integrity) == ("mp4", "ok")
    assert (facts.start_seconds, facts.duration_seconds) == (0, 2)
    video = facts.video
    assert (video.codec, video.profile, video.pixel_format) == ("h264", "High", "yuv420p")
    assert (video.width, video.height, video.bit_depth) == (128, 96, 8)
    assert (video.average_frame_rate, video.variable_frame_rate) == (10, False)
    assert (video.frame_count, video.frame_count_source) == (20, "index")
    assert (video.hdr, video.interlaced, video.has_alpha) == ("sdr", False, False)
    assert Fraction(video.duration_pts * video.time_base_numerator) / (
        video.time_base_denominator
    ) == Fraction(2)
    (audio,) = facts.audio
    assert (audio.codec, audio.sample_rate, audio.channels) == ("aac", 48_000, 2)
    assert (audio.layout, audio.language) == ("stereo", None)


@pytest.mark.parametrize(
    ("name", "codec", "audio", "container", "video_codec", "audio_codec"),
    [
        ("a.mp4", "libx265", "aac", "mp4", "hevc", "aac"),
        ("a.mov", "libx264", "aac", "mov", "h264", "aac"),
        ("a.webm", "libvpx-vp9", "libopus", "webm", "vp9", "opus"),
        ("b.webm", "libvpx", "libopus", "webm", "vp8", "opus"),
        ("a.mkv", "libsvtav1", "flac", "matroska", "av1", "flac"),
        ("a.avi", "mpeg4", "libmp3lame", "avi", "mpeg4", "mp3"),
        ("a.ts", "libx264", "aac", "mpegts", "h264", "aac"),
        ("a.flv", "libx264", "aac", "flv", "h264", "aac"),
    ],
)
def test_every_container_gives_its_codecs_and_frames(
    tmp_path, name, codec, audio, container, video_codec, audio_codec
):
    facts = probe(make_video(tmp_path / name, seconds=1, codec=codec, audio=audio))
    assert (facts.container, facts.integrity) == (container, "ok")
    assert (facts.video.codec, facts.audio[0].codec) == (video_codec, audio_codec)
    assert facts.video.frame_count == 10
    assert facts.duration_seconds == pytest.approx(1, abs=0.11)


def test_rotation_and_pixel_shape_go_into_the_displayed_size(tmp_path):
    turned = probe(make_video(tmp_path / "r.mp4", seconds=1, rotation_degrees=-90)).video
    assert (turned.rotation_degrees, turned.width, turned.height) == (90, 96, 128)
    assert (turned.coded_width, turned.coded_height) == (128, 96)
    wide = probe(
        make_video(tmp_path / "s.mp4", seconds=1, sample_aspect_ratio=Fraction(3, 2))
    ).video
    assert (wide.sample_aspect_ratio, wide.width, wide.height) == (1.5, 192, 96)
    upside_down = probe(make_video(tmp_path / "u.mp4", seconds=1, rotation_degrees=180)).video
    assert (upside_down.rotation_degrees, upside_down.width) == (180, 128)


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv"])
def test_variable_frame_rate_is_noticed_and_timed_exactly(tmp_path, name):
    times = [0, 0.1, 0.5, 0.6, 1.5, 1.55]
    video = probe(make_video(tmp_path / name, frame_times=times, audio=None)).video
    assert video.variable_frame_rate
    assert video.frame_count == 6
    assert 1.55 < video.duration_seconds < 2.6
    assert video.average_frame_rate == pytest.approx(6 / video.duration_seconds)


@pytest.mark.parametrize("name", ["n.mp4", "n.mkv"])
def test_an_even_rate_written_in_round_milliseconds_is_still_even(tmp_path, name):
    video = probe(make_video(tmp_path / name, fps=Fraction(30000, 1001), audio=None)).video
    assert video.variable_frame_rate is False
    assert video.average_frame_rate == pytest.approx(30000 / 1001)


@pytest.mark.parametrize("name", ["s.mp4", "s.mkv"])
def test_a_first_timestamp_that_is_not_zero(tmp_path, name):
    facts = probe(make_video(tmp_path / name, seconds=2, start_seconds=3), keyframes=True)
    assert (facts.start_seconds, facts.duration_seconds) == (3, 2)
    assert facts.video.keyframe_seconds == [0]


def test_key_frames_are_listed_on_request(tmp_path):
    path = make_video(tmp_path / "k.mp4", seconds=2, gop=5)
    assert probe(path).video.keyframe_seconds is None
    assert probe(path, keyframes=True).video.keyframe_seconds == [0, 0.5, 1, 1.5]


@pytest.mark.parametrize("kind", ["hdr10", "hlg"])
def test_high_dynamic_range(tmp_path, kind):
    video = probe(make_video(tmp_path / "h.mp4", seconds=1, codec="libx265", hdr=kind)).video
    assert (video.hdr, video.bit_depth, video.pixel_format) == (kind, 10, "yuv420p10le")
    assert (video.color_primaries, video.color_space) == ("bt2020", "bt2020nc")


def test_transparency_and_fields(tmp_path):
    clear = make_video(tmp_path / "a.webm", codec="libvpx-vp9", pixel_format="yuva420p", audio=None)
    assert probe(clear).video.has_alpha
    fields = make_video(
        tmp_path / "i.mp4",
        seconds=1,
        codec_options={"flags": "+ildct+ilme", "x264-params": "tff=1"},
    )
    assert probe(fields).video.interlaced


def test_an_odd_size(tmp_path):
    path = make_video(tmp_path / "o.webm", codec="libvpx-vp9", width=127, height=95, audio=None)
    assert (probe(path).video.width, probe(path).video.height) == (127, 95)


@pytest.mark.parametrize(
    ("name", "codec", "container", "found"),
    [
        ("a.m4a", "aac", "mp4", "aac"),
        ("a.mp3", "libmp3lame", "mp3", "mp3"),
        ("a.wav", "pcm_s16le", "wav", "pcm_s16le"),
        ("a.flac", "flac", "flac", "flac"),
        ("a.ogg", "libopus", "ogg", "opus"),
    ],
)
def test_sound_alone(tmp_path, name, codec, container, found):
    facts = probe(make_audio(tmp_path / name, codec=codec, seconds=2))
    assert (facts.container, facts.integrity, facts.video) == (container, "ok", None)
    assert facts.audio[0].codec == found
    assert facts.duration_seconds == pytest.approx(2, abs=0.06)


def test_cover_art_is_no_video(tmp_path):
    path = tmp_path / "song.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        sound = container.add_stream("aac", rate=48_000)
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(paint_frame_number(1, 64, 64), format="rgb24")
        picture.pts = 0
        container.mux(cover.encode(picture.reformat(format="yuvj420p")))
        container.mux(cover.encode(None))
        for start in range(0, 48_000, 1024):
            samples = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp")
            samples.sample_rate, samples.pts = 48_000, start
            container.mux(sound.encode(samples))
        container.mux(sound.encode(None))
    facts = probe(path)
    assert (facts.video, facts.video_stream_count) == (None, 0)
    assert facts.audio[0].codec == "aac"


def test_a_fragmented_mp4_is_counted_by_its_packets(tmp_path):
    options = {"movflags": "+frag_keyframe+empty_moov"}
    path = make_video(tmp_path / "f.mp4", seconds=4, gop=10, container_options=options)
    facts = probe(path)
    assert (facts.integrity, facts.video.frame_count) == ("ok", 40)
    assert facts.video.frame_count_source == "packets"
    assert facts.video.average_frame_rate == 10
    assert probe(cut(path, 0.6)).integrity == "truncated"


@pytest.mark.parametrize(
    ("name", "codec", "audio"),
    [
        ("a.mp4", "libx264", "aac"),
        ("a.webm", "libvpx-vp9", "libopus"),
        ("a.mkv", "libx264", "aac"),
        ("a.avi", "mpeg4", "libmp3lame"),
    ],
)
def test_a_file_that_stops_early_is_truncated(tmp_path, name, codec, audio):
    options = {"container_options": {"movflags": "+faststart"}} if name == "a.mp4" else {}
    whole = make_video(tmp_path / name, seconds=4, codec=codec, audio=audio, **options)
    facts = probe(cut(whole, 0.6))
    assert facts.integrity == "truncated"
    assert 10 < facts.video.frame_count < 40
    assert 1 < facts.duration_seconds < 4


def test_an_mp4_cut_within_its_head_or_first_frame_fails_as_truncated(tmp_path):
    whole = make_video(tmp_path / "a.mp4", container_options={"movflags": "+faststart"})
    first_frame = whole.read_bytes().index(b"mdat") + 50
    for name, size in (("head", 406), ("frame", first_frame)):
        path = tmp_path / f"{name}.mp4"
        path.write_bytes(whole.read_bytes()[:size])
        with pytest.raises(ProcessError) as caught:
            probe(path)
        assert caught.value.error_class == "truncated"


def test_an_mp4_whose_index_was_lost_fails_as_truncated(tmp_path):
    path = cut(make_video(tmp_path / "a.mp4"), 0.7)
    with pytest.raises(ProcessError, match="moov atom not found") as caught:
        probe(path)
    assert caught.value.error_class == "truncated"


def test_a_raw_stream_has_a_duration_but_no_timestamps(tmp_path):
    source = make_video(tmp_path / "a.mp4", seconds=1, audio=None)
    path = tmp_path / "a.h264"
    with av.open(str(source)) as reader, av.open(str(path), "w", format="h264") as writer:
        stream = writer.add_stream_from_template(reader.streams.video[0], opaque=True)
        for packet in reader.demux(video=0):
            if packet.size:
                packet.stream = stream
                writer.mux(packet)
    facts = probe(path)
    assert (facts.start_seconds, facts.video.frame_count) == (None, 10)
    assert facts.video.start_pts is None


def test_a_probe_is_cheap_to_send_and_fits_its_column(tmp_path):
    facts = probe(make_video(tmp_path / "a.mkv"), keyframes=True)
    assert pickle.loads(pickle.dumps(facts)) == facts
    column = pa.array([facts.row(), None], PROBE_TYPE)
    assert column[0].as_py() == facts.row()
    sound = pa.array([probe(make_audio(tmp_path / "a.mp3", codec="libmp3lame")).row()], PROBE_TYPE)
    assert sound[0].as_py()["video"] is None


def test_every_field_of_the_column_is_described():
    video = PROBE_TYPE.field("video")
    for field in [*PROBE_TYPE, *video.type, *PROBE_TYPE.field("audio").type.value_type]:
        assert field.metadata[b"description"]
    assert video.type.field("width").metadata[b"unit"] == b"pixels"
