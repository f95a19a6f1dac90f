"""What a sample looks like over time, in 64 bits a look: for finding it again after re-encoding."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from clipmill.core.media_names import VIDEO_EXTENSIONS
from clipmill.core.request import Frames
from clipmill.core.seen import Seen
from clipmill.steps.base import InStretches, column

Array = np.ndarray[Any, Any]

_SIDE = 32
_KEPT = 8
# Standard deviation of luma below which a picture has nothing to be known by, in levels.
_LEAST_CONTRAST = 4.0


class FingerprintStep(InStretches):
    """Perceptual hashes of a few frames a second, and the file's SHA-256 where it is known.

    A frame's hash: luma at 32x32, whatever the shape; its two-dimensional DCT; of the 8x8 lowest
    frequencies, row by row, whether each lies above the median of all but the first, most
    significant bit first. (The widely used "pHash" of Zauner, "Implementation and benchmarking of
    perceptual image hash functions", 2010, uses the same transform.) Hashes of the same picture,
    re-encoded, scaled, cut by 5 %, or with a logo, differ by few bits, those of others by about 32;
    compare hashes of looks at like times, or as sets. Flat frames, such as black ones, are left
    out, as they look like each other. Not found are copies that are mirrored, turned by 90 degrees
    or cut by 30 % (26 to 33 bits apart on average, measured); at the limit are those cut by 20 %,
    or looked at half a second earlier or later while the view moves (18 to 19).
    """

    name = "fingerprint"
    reads = ("media",)

    fps: float = Field(1.0, gt=0)
    """Hashes per second."""

    @property
    def columns(self) -> pa.Schema:
        """See ``Annotate.columns``."""
        return pa.schema(
            [
                column("hashes", pa.list_(pa.uint64()), "perceptual hash of each frame, 64 bits"),
                column(
                    "pts_seconds",
                    pa.list_(pa.float32()),
                    "when each is shown, from the sample's start",
                    unit="s",
                ),
                column(
                    "file_sha256",
                    pa.string(),
                    "SHA-256 of the video file, in hex; null for clips that are no file",
                ),
            ]
        )

    @property
    def wants(self) -> Frames:
        """See ``Annotate.wants``."""
        return Frames(fps=self.fps, size=(_SIDE, _SIDE), pixel_format="gray")

    def begin(
        self, key: str, row: Mapping[str, Any], duration_seconds: float
    ) -> dict[str, list[Any]]:
        """See ``InStretches.begin``."""
        return {"hashes": [], "pts_seconds": [], "sha256": [_sha256(row.get("media"))]}

    def see(self, memory: dict[str, list[Any]], stretch: Seen) -> None:
        """See ``InStretches.see``."""
        assert stretch.frames is not None
        assert stretch.pts_seconds is not None
        telling = stretch.frames.std(axis=(1, 2)) >= _LEAST_CONTRAST
        memory["hashes"] += perceptual_hashes(stretch.frames[telling]).tolist()
        memory["pts_seconds"] += stretch.pts_seconds[telling].tolist()

    def end(self, memory: dict[str, list[Any]]) -> Mapping[str, Any]:
        """See ``InStretches.end``."""
        return {
            "hashes": memory["hashes"],
            "pts_seconds": memory["pts_seconds"],
            "file_sha256": memory["sha256"][0],
        }


def perceptual_hashes(pictures: Array) -> Array:
    """64-bit hashes of pictures; see ``FingerprintStep``.

    Args:
        pictures: uint8 ``(N, 32, 32)``, luma.

    Returns:
        uint64 ``(N,)``.
    """
    if not len(pictures):
        return np.empty(0, np.uint64)
    waves = _cosines()
    low = (waves @ pictures.astype(np.float64) @ waves.T).reshape(len(pictures), _KEPT**2)
    bits = low > np.median(low[:, 1:], axis=1, keepdims=True)
    hashes: Array = np.packbits(bits, axis=1).view(">u8").ravel().astype(np.uint64)
    return hashes


@cache
def _cosines() -> Array:
    """The lowest frequencies of the DCT-II of a row of pixels, as a matrix ``(8, 32)``."""
    wave, pixel = np.mgrid[:_KEPT, :_SIDE]
    cosines: Array = np.cos(np.pi * wave * (2 * pixel + 1) / (2 * _SIDE))
    return cosines


def _sha256(media: Mapping[str, Any] | None) -> str | None:
    """Of the first video among a row's media."""
    for extension, member in sorted((media or {}).items()):
        if extension in VIDEO_EXTENSIONS and member:
            digest: str | None = member.get("sha256")
            return digest
    return None
