"""What is never opened, and how a refusal reads."""

import pickle
import random
import struct
import subprocess
import sys

import pytest

from clipmill.core.errors import ProcessError
from clipmill.demo.media import make_video
from clipmill.media import pyav
from clipmill.media.probe import probe
from clipmill.media.pyav import create_media, open_media


def refusal(path):
    with pytest.raises(ProcessError) as caught:
        with open_media(path):
            pass
    return caught.value


def test_a_playlist_that_points_at_a_local_file_is_refused(tmp_path):
    target = make_video(tmp_path / "private.ts", seconds=1)
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{target}\n#EXT-X-ENDLIST\n"
    plain = tmp_path / "list.m3u8"
    plain.write_text(playlist)
    assert refusal(plain).error_class == "forbidden_container"
    disguised = tmp_path / "movie.mp4"
    disguised.write_text(playlist)
    assert refusal(disguised).error_class in ("forbidden_container", "unreadable")


def test_a_concat_list_is_refused_whatever_it_is_called(tmp_path):
    target = make_video(tmp_path / "private.mp4", seconds=1)
    path = tmp_path / "movie.mp4"
    path.write_text(f"ffconcat version 1.0\nfile '{target}'\n")
    error = refusal(path)
    assert error.error_class == "forbidden_container"
    assert "playlist" in error.message


def test_bytes_that_only_their_name_makes_a_picture_are_no_media(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(random.Random(0).randbytes(5000))
    error = refusal(path)
    assert error.error_class == "unreadable"
    assert error.message == "it cannot be read as video or audio: it is not a media file"
    path.write_bytes(b"\xff\xd8\xff\xe0" + path.read_bytes())
    assert refusal(path).error_class == "forbidden_container"


def test_names_that_libav_would_take_for_protocols_are_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_video(tmp_path / "a.mp4", seconds=1)
    assert refusal("concat:a.mp4|a.mp4").error_class == "unreadable"
    assert refusal("subfile,,start,0,end,0,,:a.mp4").error_class == "unreadable"
    assert refusal("http://127.0.0.1:9/a.mp4").error_class == "unreadable"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.mp4", b""),
        ("page.mp4", b"<!DOCTYPE html><html><body>404 not found</body></html>"),
        ("page.webm", b"<!DOCTYPE html><html><body>404 not found</body></html>"),
        ("text.mp4", b"hello world\n" * 20),
        ("noise.mp4", bytes(range(256)) * 40),
    ],
)
def test_what_is_no_media_is_unreadable(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    error = refusal(path)
    assert error.error_class == "unreadable"
    assert error.message.startswith("it cannot be read")
    assert not error.retryable
    assert pickle.loads(pickle.dumps(error)).error_class == "unreadable"


def test_too_many_pixels_are_refused(tmp_path, monkeypatch):
    path = make_video(tmp_path / "big.mp4", seconds=1, width=256, height=256)
    monkeypatch.setattr(pyav, "MAX_PIXELS", 255 * 256)
    error = refusal(path)
    assert error.error_class == "too_many_pixels"
    assert "256x256" in error.message


def test_tags_that_are_no_utf8_do_not_matter(tmp_path):
    path = make_video(tmp_path / "a.mkv", seconds=1)
    with open_media(path) as reader, create_media(tmp_path / "b.mkv", "matroska") as writer:
        writer.metadata["title"] = "TITLE-TITLE"
        stream = writer.add_stream_from_template(reader.streams.video[0], opaque=True)
        for packet in reader.demux(video=0):
            if packet.size:
                packet.stream = stream
                writer.mux(packet)
    data = (tmp_path / "b.mkv").read_bytes()
    assert b"TITLE-TITLE" in data
    (tmp_path / "c.mkv").write_bytes(
        data.replace(b"TITLE-TITLE", b"\xff\xfe-\xe9\xe8\xff\xfe\xfd\xfc-")
    )
    assert probe(tmp_path / "c.mkv").video.codec == "h264"


def test_a_media_process_imports_nothing_heavy():
    script = "import sys, clipmill.media.process; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {"pyarrow", "numpy", "aiohttp", "pydantic", "fsspec", "rich", "typer", "asyncio"}
    assert heavy.isdisjoint(loaded)


@pytest.mark.parametrize("table", ["stsz", "trun"])
def test_tables_of_more_samples_than_a_file_can_hold_are_refused_unread(tmp_path, table):
    options = {"movflags": "frag_keyframe+empty_moov"} if table == "trun" else {}
    path = make_video(tmp_path / "a.mp4", seconds=1, audio=None, container_options=options)
    data = bytearray(path.read_bytes())
    place = data.index(table.encode()) + 4
    if table == "stsz":
        struct.pack_into(">III", data, place, 0, 1, 50_000_000)
    else:
        struct.pack_into(">II", data, place, 1, 50_000_000)
    path.write_bytes(data)
    error = refusal(path)
    assert error.error_class == "truncated"
    assert "50000000 samples" in error.message


def test_boxes_of_any_length_are_no_trouble_to_look_at(tmp_path):
    path = tmp_path / "a.mp4"
    for length in (0, 1, 7, 8, 9, 12, 2**31, 2**32 - 1):
        box = struct.pack(">I4s", length, b"moov") + b"\0\0\0\1trun" + b"\xff" * 11
        path.write_bytes(b"\0\0\0\x08ftyp" + box)
        refusal(path)
