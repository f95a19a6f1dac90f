"""What bytes are, by what they say themselves rather than by their name or Content-Type."""

from __future__ import annotations

import codecs
import re
from typing import Literal, NamedTuple

Kind = Literal[
    "video", "audio", "image", "html", "playlist", "json", "text", "archive", "empty", "unknown"
]

HEAD_BYTES = 4096
"""As many first bytes as ``sniff`` makes use of."""


class Sniffed(NamedTuple):
    """What the first bytes of a file say it is.

    Args:
        kind: what it is good for. An animated GIF counts as video.
        extension: customary extension without dot; empty when unknown.
    """

    kind: Kind
    extension: str

    @property
    def may_be_media(self) -> bool:
        """Whether a demuxer should have a look: video, audio, or nothing that is known."""
        return self.kind in ("video", "audio") or self == UNKNOWN


UNKNOWN = Sniffed("unknown", "")
EMPTY = Sniffed("empty", "")

_PREFIXES: tuple[tuple[bytes, Sniffed], ...] = (
    (b"FLV\x01", Sniffed("video", "flv")),
    (b".RMF", Sniffed("video", "rm")),
    (b"GIF87a", Sniffed("video", "gif")),
    (b"GIF89a", Sniffed("video", "gif")),
    (b"YUV4MPEG2", Sniffed("video", "y4m")),
    (b"DKIF", Sniffed("video", "ivf")),
    (b"nut/multimedia container\x00", Sniffed("video", "nut")),
    (b"\x06\x0e\x2b\x34\x02\x05\x01\x01", Sniffed("video", "mxf")),
    (b"\xb7\xd8\x00\x20\x37\x49\xda\x11", Sniffed("video", "wtv")),
    (b"\x1f\x07\x00", Sniffed("video", "dv")),
    (b"\x00\x00\x01\xba", Sniffed("video", "mpg")),
    (b"\x00\x00\x01\xb3", Sniffed("video", "mpg")),
    (b"\x12\x00\x0a", Sniffed("video", "obu")),
    (b"fLaC", Sniffed("audio", "flac")),
    (b"#!AMR", Sniffed("audio", "amr")),
    (b".snd", Sniffed("audio", "au")),
    (b"caff\x00", Sniffed("audio", "caf")),
    (b"wvpk", Sniffed("audio", "wv")),
    (b"MAC ", Sniffed("audio", "ape")),
    (b".ra\xfd", Sniffed("audio", "ra")),
    (b"\x0b\x77", Sniffed("audio", "ac3")),
    (b"\x7f\xfe\x80\x01", Sniffed("audio", "dts")),
    (b"\xff\xd8\xff", Sniffed("image", "jpg")),
    (b"\x89PNG\r\n\x1a\n", Sniffed("image", "png")),
    (b"II*\x00", Sniffed("image", "tif")),
    (b"MM\x00*", Sniffed("image", "tif")),
    (b"\x00\x00\x01\x00", Sniffed("image", "ico")),
    (b"8BPS", Sniffed("image", "psd")),
    (b"\x00\x00\x00\x0cjP  ", Sniffed("image", "jp2")),
    (b"PK\x03\x04", Sniffed("archive", "zip")),
    (b"PK\x05\x06", Sniffed("archive", "zip")),
    (b"\x1f\x8b", Sniffed("archive", "gz")),
    (b"BZh", Sniffed("archive", "bz2")),
    (b"\xfd7zXZ\x00", Sniffed("archive", "xz")),
    (b"\x28\xb5\x2f\xfd", Sniffed("archive", "zst")),
    (b"7z\xbc\xaf\x27\x1c", Sniffed("archive", "7z")),
    (b"Rar!\x1a\x07", Sniffed("archive", "rar")),
    (b"%PDF-", Sniffed("unknown", "pdf")),
    (b"PAR1", Sniffed("unknown", "parquet")),
)

_BRANDS: dict[bytes, Sniffed] = {
    b"qt  ": Sniffed("video", "mov"),
    b"M4A ": Sniffed("audio", "m4a"),
    b"M4B ": Sniffed("audio", "m4b"),
    b"M4P ": Sniffed("audio", "m4a"),
    b"F4A ": Sniffed("audio", "m4a"),
    b"M4V ": Sniffed("video", "m4v"),
    b"f4v ": Sniffed("video", "f4v"),
    b"F4V ": Sniffed("video", "f4v"),
    b"avif": Sniffed("image", "avif"),
    b"avis": Sniffed("image", "avif"),
    b"heic": Sniffed("image", "heic"),
    b"heix": Sniffed("image", "heic"),
    b"heim": Sniffed("image", "heic"),
    b"hevc": Sniffed("image", "heic"),
    b"hevx": Sniffed("image", "heic"),
    b"mif1": Sniffed("image", "heif"),
    b"msf1": Sniffed("image", "heif"),
    b"crx ": Sniffed("image", "cr3"),
}
_BOXES = (b"moov", b"mdat", b"wide", b"pnot", b"moof", b"styp", b"sidx", b"free", b"skip")

_ASF = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"
_ASF_AUDIO = b"\x40\x9e\x69\xf8\x4d\x5b\xcf\x11"
_ASF_VIDEO = b"\xc0\xef\x19\xbc\x4d\x5b\xcf\x11"

_PROLOG = r"(?s)(?:<\?xml[^>]*>\s*|<!--.*?-->\s*|<!doctype\s+(?:mpd|smil|svg)[^>]*>\s*)*"
_TEXT_MARKS: tuple[tuple[re.Pattern[str], Sniffed], ...] = (
    (re.compile(r"#extm3u"), Sniffed("playlist", "m3u8")),
    (re.compile(r"ffconcat version"), Sniffed("playlist", "ffconcat")),
    (re.compile(r"\[playlist\]"), Sniffed("playlist", "pls")),
    (re.compile(r"<asx[\s>]"), Sniffed("playlist", "asx")),
    (re.compile(_PROLOG + r"<mpd[\s>]"), Sniffed("playlist", "mpd")),
    (re.compile(_PROLOG + r"<smoothstreamingmedia"), Sniffed("playlist", "ism")),
    (re.compile(_PROLOG + r"<smil[\s>]"), Sniffed("playlist", "smil")),
    (re.compile(_PROLOG + r"<svg[\s>]"), Sniffed("image", "svg")),
    (
        re.compile(
            _PROLOG + r"<(?:!doctype\s+html|html|head|body|title|script|style|meta|link|iframe"
            r"|div|span|table|center|h1|h2|p|br|a|b|main|section|article|header|nav|form|video"
            r"|audio)[\s/>]"
        ),
        Sniffed("html", "html"),
    ),
)
_CONTROL = re.compile(r"[\x00-\x06\x0e-\x1a\x1c-\x1f]")

# MPEG audio: kbit/s by [layer 1, 2, 3] for MPEG-1, then for MPEG-2 and 2.5 (layers 2 and 3 alike).
_MPEG_1 = (
    (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
)
_MPEG_2 = (
    (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
_RATES = (44100, 48000, 32000)


def sniff(head: bytes) -> Sniffed:
    """Tell what a file is from its first bytes.

    Args:
        head: first bytes, ``HEAD_BYTES`` of them if there are as many.
    """
    head = bytes(head[:HEAD_BYTES])
    if not head:
        return EMPTY
    for look in (_iso_media, _ebml, _riff, _ogg, _asf, _prefix, _transport_stream, _annex_b):
        found = look(head)
        if found:
            return found
    return _mpeg_audio(head) or _tar(head) or _text(head) or UNKNOWN


def _prefix(head: bytes) -> Sniffed | None:
    for prefix, found in _PREFIXES:
        if head.startswith(prefix):
            return found
    if head[:2] == b"BM" and head[6:10] == b"\x00\x00\x00\x00":
        return Sniffed("image", "bmp")
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return Sniffed("audio", "aiff")
    return None


def _iso_media(head: bytes) -> Sniffed | None:
    box = head[4:8]
    if box in _BOXES:
        # Text that happens to say "free" here would state a size of hundreds of megabytes.
        plausible = box == b"mdat" or head[0] < 0x10
        return Sniffed("video", "mp4" if box == b"styp" else "mov") if plausible else None
    if box != b"ftyp":
        return None
    brand = head[8:12]
    if brand[:2] == b"3g":
        return Sniffed("video", "3g2" if brand[:3] == b"3g2" else "3gp")
    return _BRANDS.get(brand, Sniffed("video", "mp4"))


def _ebml(head: bytes) -> Sniffed | None:
    if not head.startswith(b"\x1aE\xdf\xa3"):
        return None
    doctype = head.find(b"\x42\x82", 4, 128)
    is_webm = doctype > 0 and head[doctype + 3 : doctype + 7] == b"webm"
    return Sniffed("video", "webm" if is_webm else "mkv")


def _riff(head: bytes) -> Sniffed | None:
    if head[:4] not in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
        return None
    forms: dict[bytes, Sniffed] = {
        b"AVI ": Sniffed("video", "avi"),
        b"WAVE": Sniffed("audio", "wav"),
        b"WEBP": Sniffed("image", "webp"),
    }
    return forms.get(head[8:12])


def _ogg(head: bytes) -> Sniffed | None:
    if not head.startswith(b"OggS"):
        return None
    if any(mark in head for mark in (b"\x80theora", b"BBCD\x00", b"OVP80\x01", b"\x01video\x00")):
        return Sniffed("video", "ogv")
    return Sniffed("audio", "opus" if b"OpusHead" in head else "ogg")


def _asf(head: bytes) -> Sniffed | None:
    if not head.startswith(_ASF):
        return None
    audio_only = _ASF_AUDIO in head and _ASF_VIDEO not in head
    return Sniffed("audio", "wma") if audio_only else Sniffed("video", "wmv")


def _transport_stream(head: bytes) -> Sniffed | None:
    for start, packet, extension in ((0, 188, "ts"), (4, 192, "m2ts")):
        marks = head[start : start + 4 * packet : packet]
        if len(marks) >= 2 and set(marks) == {0x47}:
            return Sniffed("video", extension)
    return None


def _annex_b(head: bytes) -> Sniffed | None:
    start = 4 if head.startswith(b"\x00\x00\x00\x01") else 3
    unit = head[start : start + 2]
    if head[start - 3 : start] != b"\x00\x00\x01" or len(unit) < 2 or unit[0] & 0x80:
        return None
    if unit[0] & 0x1F in (7, 9):
        return Sniffed("video", "h264")
    if unit in (b"\x40\x01", b"\x46\x01"):
        return Sniffed("video", "hevc")
    return None


def _mpeg_audio(head: bytes) -> Sniffed | None:
    if head.startswith(b"ID3") and len(head) >= 10:
        size = 10 + sum(
            (byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True)
        )
        return (sniff(head[size:]) if size < len(head) - 4 else None) or Sniffed("audio", "mp3")
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    if head[1] & 0xF6 == 0xF0:
        length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5 if len(head) > 5 else 0
        found = Sniffed("audio", "aac")
    else:
        length = _mpeg_frame_bytes(head)
        found = Sniffed("audio", "mp2" if head[1] >> 1 & 3 == 2 else "mp3")
    if length < 7:
        return None
    following = head[length : length + 2]
    agrees = len(following) < 2 or (following[0] == 0xFF and following[1] & 0xFE == head[1] & 0xFE)
    return found if agrees else None


def _mpeg_frame_bytes(head: bytes) -> int:
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    rate_index, bits_index = head[2] >> 2 & 3, head[2] >> 4
    if version == 1 or layer == 4 or rate_index == 3 or bits_index in (0, 15):
        return 0
    is_first = version == 3
    bits = (_MPEG_1 if is_first else _MPEG_2)[layer - 1][bits_index] * 1000
    rate = _RATES[rate_index] >> (0 if is_first else 1 if version == 2 else 2)
    padding = head[2] >> 1 & 1
    if layer == 1:
        return (12 * bits // rate + padding) * 4
    return (144 if is_first or layer == 2 else 72) * bits // rate + padding


def _tar(head: bytes) -> Sniffed | None:
    return Sniffed("archive", "tar") if head[257:262] == b"ustar" else None


def _text(head: bytes) -> Sniffed | None:
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    # Pages are known by their marks even where they lie about their encoding.
    lenient = head.decode(encoding, errors="replace").strip().lower()
    for mark, found in _TEXT_MARKS:
        if mark.match(lenient):
            return found
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head).strip()
    except UnicodeDecodeError:
        return None
    if not text or _CONTROL.search(text):
        return None
    if text.startswith("<"):
        return Sniffed("text", "xml")
    if text.startswith(("{", "[")):
        return Sniffed("json", "json")
    return Sniffed("text", "vtt" if text.startswith("WEBVTT") else "txt")
