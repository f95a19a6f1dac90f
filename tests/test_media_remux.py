"""Other containers for the same packets: nothing lost, nothing moved, nothing coded anew."""

from fractions import Fraction

import av
import pytest

from clipmill.core.errors import ProcessError
from clipmill.demo.media import make_audio, make_video, read_frame_number
from clipmill.media.probe import probe
from clipmill.media.remux import remux, transcode_audio
from media_clips import render


def frames(path):
    """(exact time, number painted on it) of every frame."""
    with av.open(str(path)) as container:
        return [
            (frame.pts * frame.time_base, read_frame_number(frame.to_ndarray(format="rgb24")))
            for frame in container.decode(video=0)
        ]


def sound(path):
    """(exact time, bytes) of every packet of sound."""
    with av.open(str(path)) as container:
        packets = container.demux(audio=0)
        return [(p.pts * p.time_base, bytes(p)) for p in packets if p.size]


@pytest.mark.parametrize(
    ("source", "target", "options"),
    [
        ("a.webm", "mp4", {"codec": "libvpx-vp9", "audio": "libopus"}),
        ("a.mkv", "mp4", {"codec": "libx264", "audio": "aac"}),
        ("a.mkv", "webm", {"codec": "libsvtav1", "audio": "libopus"}),
        ("a.avi", "mp4", {"codec": "mpeg4", "audio": "libmp3lame"}),
        ("a.flv", "mkv", {"codec": "libx264", "audio": "aac"}),
        ("vfr.mkv", "mp4", {"frame_times": [0, 0.1, 0.5, 0.6, 1.5, 1.55]}),
        ("late.mkv", "mp4", {"start_seconds": 3}),
        ("uneven.mov", "mp4", {"start_seconds": Fraction(1, 3), "fps": Fraction(30000, 1001)}),
    ],
)
def test_every_frame_and_every_packet_of_sound_keeps_its_time(tmp_path, source, target, options):
    original = make_video(tmp_path / source, **options)
    copy = tmp_path / f"copy.{target}"
    remux(original, copy, extension=target)
    assert frames(copy) == frames(original)
    assert sound(copy) == sound(original)
    assert probe(copy).integrity == "ok"


def test_sound_that_starts_before_zero_does_not_move_the_picture(tmp_path):
    original = make_video(tmp_path / "a.mp4")
    assert sound(original)[0][0] < 0
    remux(original, tmp_path / "a.mkv", extension="mkv")
    assert frames(tmp_path / "a.mkv") == frames(original)


def test_a_transport_stream_becomes_an_mp4(tmp_path):
    original = make_video(tmp_path / "a.ts")
    remux(original, tmp_path / "a.mp4", extension="mp4")
    assert frames(tmp_path / "a.mp4") == frames(original)
    # An mp4 wants AAC without the headers of a transport stream, but no other timing.
    assert [t for t, _ in sound(tmp_path / "a.mp4")] == [t for t, _ in sound(original)]


@pytest.mark.parametrize("target", ["mp4", "mkv"])
def test_rotation_pixel_shape_and_colours_survive(tmp_path, target):
    original = make_video(
        tmp_path / "a.mov",
        codec="libx265",
        hdr="hlg",
        rotation_degrees=-90,
        sample_aspect_ratio=Fraction(4, 3),
        audio=None,
    )
    copy = tmp_path / f"copy.{target}"
    remux(original, copy, extension=target)
    before, after = probe(original).video, probe(copy).video
    for name in ("width", "height", "rotation_degrees", "hdr", "color_space", "bit_depth"):
        assert getattr(after, name) == getattr(before, name)


@pytest.mark.parametrize("target", ["mp4", "mov"])
def test_a_shape_of_pixels_that_only_the_container_tells_survives(tmp_path, target):
    plain = make_video(tmp_path / "plain.mp4", audio=None)
    wide = tmp_path / "wide.mp4"
    with av.open(str(plain)) as reader, av.open(str(wide), "w") as writer:
        stream = writer.add_stream_from_template(reader.streams.video[0], opaque=True)
        stream.codec_context.sample_aspect_ratio = Fraction(3, 2)
        for packet in reader.demux(video=0):
            if packet.size:
                packet.stream = stream
                writer.mux_one(packet)
    (clip,) = render(wide, [(0, 1)], tmp_path, {"video": target}, precision="copy")
    remux(wide, tmp_path / f"remuxed.{target}", extension=target)
    for path in (wide, tmp_path / f"remuxed.{target}", clip.members[target].path):
        facts = probe(path).video
        assert (facts.sample_aspect_ratio, facts.width, facts.height) == (1.5, 192, 96)


def test_the_same_input_gives_the_same_bytes(tmp_path):
    original = make_video(tmp_path / "a.mp4")
    for extension in ("mp4", "mkv"):
        for name in ("1", "2"):
            remux(original, tmp_path / f"{name}.{extension}", extension=extension)
        first = (tmp_path / f"1.{extension}").read_bytes()
        assert first == (tmp_path / f"2.{extension}").read_bytes()
        assert b"Lavf6" not in first


def test_a_codec_the_container_does_not_hold_is_named_with_advice(tmp_path):
    original = make_video(tmp_path / "a.webm", codec="libvpx", audio=None)
    with pytest.raises(ProcessError, match="vp8") as caught:
        remux(original, tmp_path / "a.mp4", extension="mp4")
    assert caught.value.error_class == "container_mismatch"
    assert "mkv" in caught.value.message
    assert "--encode-formats video=original" in caught.value.message
    assert "encode_formats: {video: original}" in caught.value.message
    assert not (tmp_path / "a.mp4").exists()


def test_picture_and_sound_that_came_apart_are_put_together(tmp_path):
    picture = make_video(tmp_path / "picture.mp4", audio=None)
    voice = make_audio(tmp_path / "sound.m4a")
    joined = tmp_path / "joined.mp4"
    remux(picture, joined, extension="mp4", audio_source=voice)
    assert frames(joined) == frames(picture)
    assert sound(joined) == sound(voice)


@pytest.mark.parametrize(
    ("name", "codec", "audio", "target"),
    [
        ("a.mp4", "libx264", "aac", "m4a"),
        ("a.mp4", "libx264", "aac", "mka"),
        ("a.avi", "mpeg4", "libmp3lame", "mp3"),
        ("a.webm", "libvpx-vp9", "libopus", "opus"),
        ("a.mkv", "libx264", "flac", "flac"),
        ("a.mov", "libx264", "pcm_s16le", "wav"),
    ],
)
def test_sound_is_taken_out_bit_by_bit(tmp_path, name, codec, audio, target):
    original = make_video(tmp_path / name, codec=codec, audio=audio)
    copy = tmp_path / f"sound.{target}"
    remux(original, copy, extension=target, streams="audio")
    whole = b"".join(data for _, data in sound(original))
    assert b"".join(data for _, data in sound(copy)) == whole
    assert probe(copy).video is None


@pytest.mark.parametrize(
    ("target", "codec"),
    [
        ("m4a", "aac"),
        ("mp3", "mp3"),
        ("flac", "flac"),
        ("wav", "pcm_s16le"),
        ("ogg", "opus"),
        ("opus", "opus"),
        ("webm", "opus"),
    ],
)
def test_sound_is_coded_anew_where_a_container_demands_it(tmp_path, target, codec):
    original = make_video(tmp_path / "a.avi", codec="mpeg4", audio="mp2", seconds=2)
    transcode_audio(original, tmp_path / f"a.{target}", extension=target)
    facts = probe(tmp_path / f"a.{target}")
    assert facts.audio[0].codec == codec
    assert facts.duration_seconds == pytest.approx(2, abs=0.1)
    transcode_audio(original, tmp_path / f"b.{target}", extension=target)
    assert (tmp_path / f"a.{target}").read_bytes() == (tmp_path / f"b.{target}").read_bytes()


def test_sound_with_a_broken_stretch_is_coded_without_it(tmp_path):
    original = make_audio(tmp_path / "a.mp3", codec="libmp3lame", seconds=4)
    data = bytearray(original.read_bytes())
    data[20_000:24_000] = b"\x55" * 4000
    original.write_bytes(data)
    transcode_audio(original, tmp_path / "a.wav", extension="wav")
    assert 2 < probe(tmp_path / "a.wav").duration_seconds < 4.2


@pytest.mark.parametrize("seconds", [1, 20])
def test_a_full_disk_is_not_the_fault_of_the_file(tmp_path, seconds):
    full = tmp_path / "full.mkv"
    full.symlink_to("/dev/full")
    original = make_video(tmp_path / "a.mp4", seconds=seconds)
    with pytest.raises(OSError, match="No space left"):
        remux(original, full, extension="mkv")
