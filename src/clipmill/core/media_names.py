"""File extensions of media, lower case and without dot."""

from __future__ import annotations

_VIDEO = "mp4 m4v mov mkv webm avi mpg mpeg ts m2ts mts flv wmv asf 3gp ogv vob gif mxf"
_AUDIO = "mp3 m4a aac wav flac ogg oga opus wma aiff aif ac3 mka"
_IMAGE = "jpg jpeg png webp"

VIDEO_EXTENSIONS = frozenset(_VIDEO.split())
AUDIO_EXTENSIONS = frozenset(_AUDIO.split())
IMAGE_EXTENSIONS = frozenset(_IMAGE.split())
MEDIA_EXTENSIONS = VIDEO_EXTENSIONS | AUDIO_EXTENSIONS
"""What a sample can be made from; an image only goes with it."""
