"""Videos of every kind the decoder must get right, and how they are made."""

from fractions import Fraction
from pathlib import Path

from clipmill.demo.media import make_video

_OPEN_GOP = {"x264-params": "open-gop=1:bframes=3:keyint=8:min-keyint=8:scenecut=0"}
_OPEN_HEVC = {"x265-params": "log-level=none:info=0:pools=none:open-gop=1:bframes=3:keyint=8"}
_LAYERS = {"x265-params": "log-level=none:info=0:pools=none:temporal-layers=2:bframes=3"}
_REFRESH = {"x264-params": "intra-refresh=1:keyint=8"}
_UNEVEN = [Fraction(n * n % 7 + 10 * n, 100) for n in range(24)]

KINDS = {
    "h264.mp4": {},
    "h264.mkv": {},
    "h264.ts": {},
    "h264.flv": {"audio": "aac"},
    "h264.avi": {"audio": None},
    "raw.h264": {"audio": None},
    "fragmented.mp4": {"container_options": {"movflags": "+frag_keyframe+empty_moov"}},
    "hevc.mp4": {"codec": "libx265"},
    "hevc.ts": {"codec": "libx265"},
    "vp8.webm": {"codec": "libvpx", "audio": "libopus"},
    "vp9.webm": {"codec": "libvpx-vp9", "audio": "libopus"},
    "av1.mp4": {"codec": "libsvtav1"},
    "mpeg2.ts": {"codec": "mpeg2video", "codec_options": {"bf": "2"}, "audio": "mp2"},
    "mpeg2.mpg": {"codec": "mpeg2video", "codec_options": {"bf": "2"}, "audio": "mp2"},
    "mpeg4.avi": {"codec": "mpeg4", "codec_options": {"bf": "2"}, "audio": "libmp3lame"},
    "mjpeg.mkv": {"codec": "mjpeg", "pixel_format": "yuvj420p"},
    "gif.gif": {"codec": "gif", "pixel_format": "rgb8", "audio": None},
    "open_gop.mp4": {"codec_options": _OPEN_GOP},
    "open_gop.mkv": {"codec_options": _OPEN_GOP},
    "open_gop_hevc.mp4": {"codec": "libx265", "codec_options": _OPEN_HEVC},
    "open_gop_mpeg2.mkv": {"codec": "mpeg2video", "codec_options": {"bf": "2"}, "audio": None},
    "temporal_layers.mp4": {"codec": "libx265", "codec_options": _LAYERS},
    "intra_refresh.mp4": {"codec_options": _REFRESH},
    "uneven.mp4": {"frame_times": _UNEVEN},
    "uneven.mkv": {"frame_times": _UNEVEN},
    "late.mp4": {"start_seconds": 3.5},
    "late.ts": {"start_seconds": 3.5},
    "edited.mp4": {"start_seconds": -0.5},
    "ten_bit.mp4": {"codec": "libx265", "pixel_format": "yuv420p10le"},
    "hdr10.mp4": {"codec": "libx265", "hdr": "hdr10"},
    "hlg.mp4": {"codec": "libx265", "hdr": "hlg"},
    "full_chroma.mkv": {"pixel_format": "yuv444p"},
    "alpha.webm": {"codec": "libvpx-vp9", "pixel_format": "yuva420p", "audio": None},
    "odd.mkv": {"codec": "ffv1", "width": 127, "height": 95},
    "anamorphic.mp4": {"sample_aspect_ratio": Fraction(4, 3)},
    "interlaced.mp4": {"codec_options": {"flags": "+ildct+ilme"}},
    "interlaced.ts": {"codec": "mpeg2video", "codec_options": {"flags": "+ildct+ilme"}},
    "silent.mp4": {"audio": None},
}
"""Name of the file -> what ``make_video`` is told beside a length and a distance of key frames."""


def make_kind(folder: Path, name: str) -> Path:
    """Make the video of one kind: 24 frames of 128x96, a key frame every 8, once per folder."""
    path = folder / name
    return path if path.exists() else make_video(path, seconds=2.4, gop=8, **KINDS[name])
