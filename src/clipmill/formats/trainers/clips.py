"""The clips of a finished dataset as the files of trainers tell of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from clipmill.core.media_names import AUDIO_EXTENSIONS, IMAGE_EXTENSIONS
from clipmill.formats.table_files import read_rows
from clipmill.formats.trainers.profiles import Bucket
from clipmill.io.folder import Folder


@dataclass(frozen=True, slots=True)
class TrainerClip:
    """One video file and its text.

    Args:
        place: from the dataset's folder, such as ``00000/000000.mp4``.
        caption: on one line; empty where there is none.
        bucket: width, height and frames it really has.
    """

    place: str
    caption: str
    bucket: Bucket


def trainer_clips(folder: Folder, shards: Sequence[str]) -> Iterator[TrainerClip]:
    """Every clip that has a video file, in the dataset's order."""
    for shard in shards:
        for row in read_rows(folder, shard):
            extension = _video_extension(row.get("media"))
            if extension is not None:
                # Lists of texts are read line by line, so a text must be one line.
                caption = " ".join((row.get("caption") or "").split())
                yield TrainerClip(f"{shard}/{row['key']}.{extension}", caption, _bucket(row))


def _video_extension(media: dict[str, Any] | None) -> str | None:
    others = AUDIO_EXTENSIONS | IMAGE_EXTENSIONS
    return next(
        (name for name, place in (media or {}).items() if place and name not in others), None
    )


def _bucket(row: dict[str, Any]) -> Bucket:
    video = (row.get("probe") or {}).get("video") or {}
    return Bucket(video.get("width") or 0, video.get("height") or 0, video.get("frame_count"))
