"""Hashes of coded video and sound, whatever file they lie in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from clipmill.core.request import Packets
from clipmill.core.seen import Seen
from clipmill.steps.base import InStretches, column


class PacketsStep(InStretches):
    """SHA-256 of the coded video, and of the sound, which stay the same in another container.

    Files that were remuxed, cut from their tags or made streamable are known as the same, and so
    is a video whose sound was replaced; anything that was encoded anew is another one (for that
    there is ``fingerprint``). Hashed are the packets' data one after the other, in order of
    decoding, without what containers add: see ``Packets``.

    Of a virtual clip those packets are hashed whose frames start within its span; where the file
    does not tell which these are, as raw streams and AVI with B-frames do not, there is no hash,
    nor is there of the sound of a clip that is but a part of its source. Sound that is a file of
    its own is not looked at, nor is the alpha plane that a WebM has beside its packets.
    """

    name = "packets"
    wants = Packets()
    columns = pa.schema(
        [
            column("video_sha256", pa.string(), "of the coded video, in hex; null without one"),
            column(
                "audio_sha256",
                pa.string(),
                "of the coded sound, in hex; null without any, and for parts of a source",
            ),
        ]
    )

    def begin(self, key: str, row: Mapping[str, Any], duration_seconds: float) -> dict[str, Any]:
        """See ``InStretches.begin``."""
        return {}

    def see(self, memory: dict[str, Any], stretch: Seen) -> None:
        """See ``InStretches.see``."""
        for packet in stretch.packets or ():
            memory.setdefault(packet.kind, hashlib.sha256()).update(packet.data)

    def end(self, memory: dict[str, Any]) -> Mapping[str, Any]:
        """See ``InStretches.end``."""
        return {
            f"{kind}_sha256": memory[kind].hexdigest() if kind in memory else None
            for kind in ("video", "audio")
        }
