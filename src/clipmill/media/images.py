"""Images of a clip: some of its pictures as JPEG or PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.video.reformatter import ColorRange, Colorspace

from clipmill.core.edit import Edit
from clipmill.core.request import Frames
from clipmill.core.sample import Subtitle, subtitles_within
from clipmill.core.time import Span
from clipmill.media.facts import PreparedFile
from clipmill.media.framing import Framing
from clipmill.media.prepare import new_file
from clipmill.media.pyav import translated_errors

# Libav's JPEG encoder counts quality down from 31 to 1.
_WORST = 31
_CODECS = {"jpg": ("mjpeg", "yuvj420p"), "png": ("png", "rgb24")}


def image_request(
    edit: Edit, framing: Framing, span: Span, subtitles: Sequence[Subtitle]
) -> Frames | None:
    """The frames that a clip's images show; None for no images.

    Args:
        edit: says which.
        framing: from the source's pictures to the clip's.
        span: of the clip, in exact seconds.
        subtitles: of the source, for one image at the start of each line within the clip.
    """
    which: dict[str, Any]
    if edit.images == "none":
        return None
    if edit.images == "keyframes":
        which = {"keyframes": True}
    elif edit.images == "subtitles":
        lines = subtitles_within(subtitles, span)
        times = sorted({Fraction(str(line.start_seconds)) for line in lines})
        if not times:
            return None
        which = {"at": tuple(times)}
    elif edit.image_count:
        which = {"count": edit.image_count}
    else:
        which = {"at": (0,)}
    return Frames(
        **which,
        crop=framing.frames_crop,
        size=(framing.scaled_width, framing.scaled_height),
        pixel_format="rgb24",
    )


class ImageWriter:
    """Writes the images of one clip.

    Args:
        folder: where to.
        name: of the clip.
        edit: file format and quality.
    """

    def __init__(self, folder: Path, name: str, edit: Edit) -> None:
        self._folder = folder
        self._name = name
        self._edit = edit
        self._is_single = edit.images == "first" or edit.image_count == 1
        self.members: dict[str, PreparedFile] = {}

    def add(self, frame: Any) -> None:
        """Write one image.

        Args:
            frame: PyAV's, in rgb24.

        Raises:
            ProcessError: it cannot be encoded (``encode_failed``).
        """
        form = self._edit.image_format
        extension = form if self._is_single else f"{len(self.members):03d}.{form}"
        path = self._folder / f"{self._name}.{extension}"
        with translated_errors(path, writing=True):
            path.write_bytes(encode_image(frame, form, self._edit.image_quality))
        self.members[extension] = new_file(path)

    def abandon(self) -> None:
        """Give up, leaving nothing behind."""
        for file in self.members.values():
            file.path.unlink(missing_ok=True)


def encode_image(frame: Any, form: str, quality: int) -> bytes:
    """The bytes of an image file.

    Args:
        frame: PyAV's, in rgb24.
        form: ``jpg`` or ``png``.
        quality: of JPEG, 1 to 100.
    """
    codec, pixels = _CODECS[form]
    options = {"flags": "+bitexact"}
    if form == "jpg":
        # As libjpeg scales its table, of which the middle is worth 8 here.
        coarse = 0.16 * (100 - quality) if quality >= 50 else 400 / quality
        coarseness = min(max(round(coarse), 1), _WORST)
        options |= {"qmin": str(coarseness), "qmax": str(coarseness)}
    context: Any = av.CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt = frame.width, frame.height, pixels
    context.time_base, context.options = Fraction(1, 25), options
    context.sample_aspect_ratio = Fraction(1)
    context.thread_count = 1
    # Every reader takes a JPEG's colours for BT.601; frames may have been BT.709.
    picture = frame.reformat(
        format=pixels,
        dst_colorspace=Colorspace.ITU601,
        dst_color_range=ColorRange.JPEG,
        threads=1,
    )
    picture.pts = 0
    packets = [*context.encode(picture), *context.encode(None)]
    return b"".join(bytes(packet) for packet in packets)
