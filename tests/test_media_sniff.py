"""What files are, told by their first bytes."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest

from clipmill.media.sniff import HEAD_BYTES, Sniffed, sniff


def video_file(path: Path, container: str, codec: str, size: int = 64) -> bytes:
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=25)
        stream.width = stream.height = size
        formats = stream.codec_context.codec.video_formats
        stream.pix_fmt = formats[0].name if formats else "yuv420p"
        for shade in range(5):
            frame = av.VideoFrame.from_ndarray(np.full((size, size, 3), shade * 40, np.uint8))
            output.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
        output.mux(stream.encode(None))
    return path.read_bytes()


def audio_file(path: Path, container: str, codec: str, rate: int = 48000) -> bytes:
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate)
        resampler = av.AudioResampler(stream.codec_context.format, "mono", rate)
        samples = (np.sin(np.arange(rate // 2) / 20)[None] * 8000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.rate = rate
        stream.layout = "mono"
        fifo = av.AudioFifo()
        for part in resampler.resample(frame):
            fifo.write(part)
        while part := fifo.read(stream.codec_context.frame_size or 1024):
            part.pts = None
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    return path.read_bytes()


@pytest.mark.parametrize(
    ("container", "codec", "extension"),
    [
        ("mp4", "mpeg4", "mp4"),
        ("mov", "mpeg4", "mov"),
        ("3gp", "mpeg4", "3gp"),
        ("ipod", "mpeg4", "m4v"),
        ("matroska", "mpeg4", "mkv"),
        ("webm", "libvpx", "webm"),
        ("avi", "mpeg4", "avi"),
        ("flv", "flv", "flv"),
        ("mpegts", "mpeg2video", "ts"),
        ("mpeg", "mpeg1video", "mpg"),
        ("mpeg2video", "mpeg2video", "mpg"),
        ("asf", "msmpeg4", "wmv"),
        ("gif", "gif", "gif"),
        ("h264", "libx264", "h264"),
        ("hevc", "libx265", "hevc"),
        ("ivf", "libvpx", "ivf"),
        ("yuv4mpegpipe", "rawvideo", "y4m"),
        ("nut", "mpeg4", "nut"),
        ("mxf", "mpeg2video", "mxf"),
        ("rm", "rv10", "rm"),
    ],
)
def test_video_containers(tmp_path, container, codec, extension):
    if codec not in av.codecs_available:
        pytest.skip(f"this build of PyAV has no {codec}")
    data = video_file(tmp_path / "v", container, codec)

    assert sniff(data) == Sniffed("video", extension)
    assert sniff(data).may_be_media


@pytest.mark.parametrize(
    ("container", "codec", "extension"),
    [
        ("ipod", "aac", "m4a"),
        ("mp3", "libmp3lame", "mp3"),
        ("mp2", "mp2", "mp2"),
        ("adts", "aac", "aac"),
        ("flac", "flac", "flac"),
        ("wav", "pcm_s16le", "wav"),
        ("aiff", "pcm_s16be", "aiff"),
        ("au", "pcm_s16be", "au"),
        ("caf", "pcm_s16be", "caf"),
        ("ogg", "libopus", "opus"),
        ("ac3", "ac3", "ac3"),
        ("wv", "wavpack", "wv"),
    ],
)
def test_audio_containers(tmp_path, container, codec, extension):
    if codec not in av.codecs_available:
        pytest.skip(f"this build of PyAV has no {codec}")

    assert sniff(audio_file(tmp_path / "a", container, codec)) == Sniffed("audio", extension)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 32000, 44100, 48000])
def test_mp3_of_every_rate_with_and_without_tag(tmp_path, rate):
    data = audio_file(tmp_path / "a", "mp3", "libmp3lame", rate)
    assert data.startswith(b"ID3")
    untagged = data[data.index(b"\xff", 10) :]

    assert sniff(data).extension == sniff(untagged).extension == "mp3"


def test_tags_may_be_longer_than_the_head_and_before_other_audio():
    def tagged(size: int, rest: bytes) -> bytes:
        length = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
        return b"ID3\x04\x00\x00" + length + bytes(size) + rest

    assert sniff(tagged(100_000, b"")[:HEAD_BYTES]) == Sniffed("audio", "mp3")
    assert sniff(tagged(50, b"fLaC" + bytes(100))) == Sniffed("audio", "flac")


def packed(kind: str) -> bytes:
    memory = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(memory, "w") as archive:
            archive.writestr("v.mp4", b"...")
    else:
        with tarfile.open(fileobj=memory, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("v.mp4"))
    return memory.getvalue()


@pytest.mark.parametrize(
    ("head", "kind", "extension"),
    [
        (b"", "empty", ""),
        (b"<!DOCTYPE html><title>x</title>", "html", "html"),
        (b"\xef\xbb\xbf\r\n  <HTML lang=en>", "html", "html"),
        (b"<?xml version='1.0'?>\n<!DOCTYPE html PUBLIC '-//W3C'>", "html", "html"),
        (b"<!-- hello --><html>", "html", "html"),
        (b"<video src='a.mp4'></video>", "html", "html"),
        (b"<script>location='/login'</script>", "html", "html"),
        ("<html><body>ü".encode("utf-16"), "html", "html"),
        (b"<html>" + b"x" * 5000, "html", "html"),
        (b"#EXTM3U\n#EXTINF:9,\nseg.ts", "playlist", "m3u8"),
        (b"\xef\xbb\xbf#EXTM3U\n", "playlist", "m3u8"),
        (b"<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011'>", "playlist", "mpd"),
        (b"<MPD >", "playlist", "mpd"),
        (b"<?xml version='1.0'?><SmoothStreamingMedia>", "playlist", "ism"),
        (b"[playlist]\nFile1=http://x/", "playlist", "pls"),
        (b"ffconcat version 1.0\nfile /etc/passwd", "playlist", "ffconcat"),
        (b'{"error": 1}', "json", "json"),
        (b"[1, 2]", "json", "json"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>", "text", "xml"),
        (b"WEBVTT\n\n00:00.000 --> 00:01.000\nhi", "text", "vtt"),
        (b"404 page not found\n", "text", "txt"),
        (b"not free of charge, this is text", "text", "txt"),
        (("x" * 4095 + "ü").encode(), "text", "txt"),
        (packed("zip"), "archive", "zip"),
        (packed("tar"), "archive", "tar"),
        (gzip.compress(b"x", mtime=0), "archive", "gz"),
        (b"%PDF-1.7\n", "unknown", "pdf"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "image", "jpg"),
        (b"\x89PNG\r\n\x1a\n", "image", "png"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image", "webp"),
        (b"\x00\x00\x00\x18ftypheic", "image", "heic"),
        (b"\x00\x00\x00\x18ftypavif", "image", "avif"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'>", "image", "svg"),
    ],
)
def test_what_is_not_media(head, kind, extension):
    assert sniff(head) == Sniffed(kind, extension)
    assert not sniff(head).may_be_media


@pytest.mark.parametrize(
    ("head", "extension"),
    [
        (b"\x00\x00\x00\x08wide\x00\x00\x10\x00mdat", "mov"),
        (b"\x00\x00\x00\x01mdat" + bytes(8), "mov"),
        (b"\x00\x00\x02\x00moov\x00\x00\x00\x6cmvhd", "mov"),
        (b"\x00\x00\x00\x18stypmsdh", "mp4"),
        (b"\x00\x00\x00\x20ftypM4V ", "m4v"),
        (b"\x00\x00\x00\x20ftyp3g2a", "3g2"),
        (b"\x00\x00\x00\x20ftypdash", "mp4"),
        (b"".join(b"\x00\x00\x00\x00\x47" + bytes(187) for _ in range(4)), "m2ts"),
        (b"OggS" + bytes(24) + b"\x80theora", "ogv"),
        (b"\x00\x00\x01\x67\x42\x00", "h264"),
        (b"\x00\x00\x00\x01\x09\xf0", "h264"),
    ],
)
def test_video_that_our_encoder_does_not_write(head, extension):
    assert sniff(head) == Sniffed("video", extension)


@pytest.mark.parametrize(
    "head", [b"\xff\xfb", b"\xff\xff\xff\xff" * 50, bytes(500), b"\x80\x01" * 9]
)
def test_what_nothing_is_known_of_may_be_media(head):
    assert sniff(head) == Sniffed("unknown", "")
    assert sniff(head).may_be_media


def test_any_bytes_get_an_answer():
    random = np.random.default_rng(0)
    for length in (1, 2, 3, 4, 5, 7, 9, 100, 5000):
        for _ in range(200):
            sniff(random.bytes(length))
    for start in (b"ID3", b"\xff\xfb", b"\x00\x00\x01", b"RIFF", b"OggS", b"\x1aE\xdf\xa3", b"<"):
        for length in range(20):
            sniff(start + random.bytes(length))
