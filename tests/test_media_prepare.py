"""From a downloaded file to the members of a sample."""

import hashlib

import pytest

from clipmill.core.errors import ProcessError
from clipmill.demo.media import make_audio, make_video
from clipmill.media.prepare import prepare
from clipmill.media.probe import probe


def failure(path, **arguments):
    with pytest.raises(ProcessError) as caught:
        prepare(path, folder=path.parent, **arguments)
    return caught.value


@pytest.mark.parametrize(
    ("name", "codec", "wanted"),
    [
        ("a.mp4", "libx264", "mp4"),
        ("a.mov", "libx264", "mp4"),
        ("a.mp4", "libx264", "m4v"),
        ("a.webm", "libvpx-vp9", "webm"),
        ("a.webm", "libvpx", "mkv"),
        ("a.avi", "mpeg4", "avi"),
    ],
)
def test_a_file_whose_container_fits_is_not_touched(tmp_path, name, codec, wanted):
    path = make_video(tmp_path / name, codec=codec, audio=None)
    prepared = prepare(path, wanted={"video": wanted}, folder=tmp_path)
    (member,) = prepared.members.items()
    assert member[0] == wanted
    assert (member[1].path, member[1].sha256) == (path, None)
    assert member[1].size == path.stat().st_size


@pytest.mark.parametrize(
    ("name", "codec", "audio", "extension"),
    [
        ("download", "libx264", "aac", "mp4"),
        ("a.mov", "libx264", "aac", "mov"),
        ("a.webm", "libvpx", "libopus", "webm"),
        ("a.mkv", "libx264", "aac", "mkv"),
        ("a.avi", "mpeg4", "libmp3lame", "avi"),
        ("a.ts", "libx264", "aac", "ts"),
    ],
)
def test_original_keeps_what_came_under_the_name_its_content_has(
    tmp_path, name, codec, audio, extension
):
    made = make_video(tmp_path / (name if "." in name else "x.mp4"), codec=codec, audio=audio)
    path = made.rename(tmp_path / "download")
    prepared = prepare(path, wanted={"video": "original"}, folder=tmp_path)
    assert list(prepared.members) == [extension]
    assert prepared.members[extension].path == path


def test_a_webm_is_put_into_an_mp4_when_that_is_wanted(tmp_path):
    path = make_video(tmp_path / "a.webm", codec="libvpx-vp9", audio="libopus")
    member = prepare(path, wanted={"video": "mp4"}, folder=tmp_path).members["mp4"]
    assert member.path != path
    assert probe(member.path).container == "mp4"
    assert member.sha256 == hashlib.sha256(member.path.read_bytes()).hexdigest()
    assert member.size == member.path.stat().st_size


def test_what_the_container_cannot_hold_fails_with_advice(tmp_path):
    path = make_video(tmp_path / "a.webm", codec="libvpx", audio="libopus")
    error = failure(path, wanted={"video": "mp4"})
    assert error.error_class == "container_mismatch"
    assert "vp8" in error.message
    assert "mkv" in error.message


def test_video_and_its_sound_as_two_members(tmp_path):
    path = make_video(tmp_path / "a.mp4")
    prepared = prepare(path, wanted={"video": "mp4", "audio": "m4a"}, folder=tmp_path)
    assert list(prepared.members) == ["mp4", "m4a"]
    assert prepared.members["mp4"].path == path
    assert prepared.probe["video"]["codec"] == "h264"
    assert probe(prepared.members["m4a"].path).audio[0].codec == "aac"


def test_sound_in_another_codec_is_coded_anew(tmp_path):
    path = make_video(tmp_path / "a.webm", codec="libvpx-vp9", audio="libopus")
    prepared = prepare(path, wanted={"audio": "m4a"}, folder=tmp_path)
    assert list(prepared.members) == ["m4a"]
    assert probe(prepared.members["m4a"].path).audio[0].codec == "aac"


def test_sound_as_it_came_goes_into_the_container_it_belongs_in(tmp_path):
    path = make_video(tmp_path / "a.webm", codec="libvpx-vp9", audio="libopus")
    members = prepare(path, wanted={"audio": "original"}, folder=tmp_path).members
    assert list(members) == ["opus"]
    assert probe(members["opus"].path).audio[0].codec == "opus"


@pytest.mark.parametrize(
    ("name", "codec", "wanted", "kept"),
    [
        ("a.mp3", "libmp3lame", "mp3", True),
        ("a.m4a", "aac", "m4a", True),
        ("a.mp3", "libmp3lame", "original", True),
        ("a.mp3", "libmp3lame", "m4a", False),
        ("a.flac", "flac", "wav", False),
    ],
)
def test_a_file_of_sound_alone(tmp_path, name, codec, wanted, kept):
    path = make_audio(tmp_path / name, codec=codec)
    members = prepare(path, wanted={"audio": wanted}, folder=tmp_path).members
    extension = "mp3" if wanted == "original" else wanted
    assert (members[extension].path == path) is kept


def test_what_is_wanted_but_not_there_is_named(tmp_path):
    silent = make_video(tmp_path / "a.mp4", audio=None)
    assert failure(silent, wanted={"audio": "m4a"}).error_class == "no_audio_stream"
    song = make_audio(tmp_path / "a.m4a")
    assert failure(song, wanted={"video": "mp4"}).error_class == "no_video_stream"
    assert failure(silent, wanted={"video": "exe"}).error_class == "container_mismatch"


def test_picture_and_sound_that_came_apart(tmp_path):
    picture = make_video(tmp_path / "picture.webm", codec="libvpx-vp9", audio=None)
    sound = make_audio(tmp_path / "sound.webm", codec="libopus")
    prepared = prepare(
        picture,
        audio_path=sound,
        wanted={"video": "original", "audio": "original"},
        folder=tmp_path,
    )
    assert list(prepared.members) == ["mp4", "webm"]
    assert prepared.probe["video"]["codec"] == "vp9"
    assert prepared.probe["audio"][0]["codec"] == "opus"
    assert prepared.members["webm"].path == sound


def test_key_frames_are_kept_on_request(tmp_path):
    path = make_video(tmp_path / "a.mp4", gop=10)
    prepared = prepare(path, wanted={"video": "mp4"}, folder=tmp_path, keep_keyframes=True)
    assert prepared.probe["video"]["keyframe_seconds"] == [0, 1]


def test_a_codec_that_mkv_does_not_hold_is_a_recorded_mismatch(tmp_path):
    path = make_video(tmp_path / "a.flv", codec="flv", audio=None)
    with pytest.raises(ProcessError, match="video=original") as refused:
        prepare(path, wanted={"video": "mkv"}, folder=tmp_path)
    assert refused.value.error_class == "container_mismatch"
    assert "mkv holds" not in str(refused.value)


def test_sound_without_a_single_packet_fails_its_row(tmp_path):
    path = make_video(tmp_path / "a.mp4", seconds=1)
    data = bytearray(path.read_bytes())
    sound = data.rindex(b"stco")  # where the chunks of the last stream lie
    data[sound + 8 : sound + 12] = bytes(4)  # none
    path.write_bytes(data)
    with pytest.raises(ProcessError, match="nothing in it could be read") as caught:
        prepare(path, wanted={"video": "mp4", "audio": "m4a"}, folder=tmp_path)
    assert caught.value.error_class == "no_packets"


def test_advice_names_no_container_that_fails_as_well(tmp_path):
    path = make_video(tmp_path / "a.flv", codec="flv", audio=None)
    with pytest.raises(ProcessError) as refused:
        prepare(path, wanted={"video": "mp4"}, folder=tmp_path)
    assert "original" in refused.value.message
    assert "mkv" not in refused.value.message
