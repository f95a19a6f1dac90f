"""Folders that trainers of video models read: clips with texts beside them, and an index.

::

    00000/000000.mp4 000000.txt      clips and their texts
    videos.txt, prompts.txt          finetrainers, diffusers: paths and texts, line by line
    dataset.jsonl                    LTX: caption, media_path (LTX-Video), video (LTX-2)
    dataset.toml                     diffusion-pipe, musubi-tuner
    buckets/832x480x81.jsonl         musubi-tuner: video_path and caption, a file for each bucket

Facts are from the trainers' own pages and readers: finetrainers ``docs/dataset/README.md``, the LTX
trainer's ``preprocess_dataset.py``, diffusion-pipe ``examples/dataset.toml`` and
``utils/dataset.py``, musubi-tuner ``docs/dataset_config.md``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from clipmill.formats.table_files import TableFilesFormat
from clipmill.formats.trainers.clips import TrainerClip, trainer_clips
from clipmill.formats.trainers.profiles import Bucket
from clipmill.io.folder import Folder


class _TrainerFormat(TableFilesFormat):
    """Clips with a text beside each; a JSON file there would be taken for something else."""

    texts: ClassVar[frozenset[str]] = frozenset({"txt"})
    needs_captions: ClassVar[bool] = True


class FinetrainersFormat(_TrainerFormat):
    """Two lists, of paths and of texts, as finetrainers and diffusers' examples read them."""

    name: ClassVar[str] = "finetrainers"
    index_files: ClassVar[tuple[str, ...]] = ("videos.txt", "prompts.txt")

    def conclude(self, folder: Folder, shards: Sequence[str], about: Mapping[str, Any]) -> None:
        """Write both lists."""
        clips = list(trainer_clips(folder, shards))
        folder.write_bytes("videos.txt", _lines([clip.place for clip in clips]))
        folder.write_bytes("prompts.txt", _lines([clip.caption for clip in clips]))


class LtxTrainerFormat(_TrainerFormat):
    """``dataset.jsonl``, as the trainers of LTX-Video and LTX-2 read it."""

    name: ClassVar[str] = "ltx-trainer"
    index_files: ClassVar[tuple[str, ...]] = ("dataset.jsonl",)

    def conclude(self, folder: Folder, shards: Sequence[str], about: Mapping[str, Any]) -> None:
        """Write a line for each clip, its path from the file's own folder."""
        rows = [
            {"caption": clip.caption, "media_path": clip.place, "video": clip.place}
            for clip in trainer_clips(folder, shards)
        ]
        folder.write_bytes("dataset.jsonl", _json_lines(rows))


class DiffusionPipeFormat(_TrainerFormat):
    """``dataset.toml`` with the folders of clips and the sizes that they have."""

    name: ClassVar[str] = "diffusion-pipe"
    index_files: ClassVar[tuple[str, ...]] = ("dataset.toml",)

    def conclude(self, folder: Folder, shards: Sequence[str], about: Mapping[str, Any]) -> None:
        """Write the sizes and a ``[[directory]]`` for each shard that has clips."""
        clips = list(trainer_clips(folder, shards))
        sizes = [[one.width, one.height, one.frames] for one in _buckets(clips)]
        lines = ["enable_ar_bucket = true", f"size_buckets = {json.dumps(sizes)}"]
        for shard in dict.fromkeys(clip.place.partition("/")[0] for clip in clips):
            lines += ["", "[[directory]]", f"path = {_text(folder.url_of(shard))}"]
            lines += ["num_repeats = 1"]
        folder.write_bytes("dataset.toml", _lines(lines))


class MusubiTunerFormat(_TrainerFormat):
    """``dataset.toml`` with a dataset for each bucket, whose clips a JSONL file lists."""

    name: ClassVar[str] = "musubi-tuner"
    index_files: ClassVar[tuple[str, ...]] = ("dataset.toml", "buckets")

    def conclude(self, folder: Folder, shards: Sequence[str], about: Mapping[str, Any]) -> None:
        """Write a list for each bucket, and what is to be made of it: all frames, as they are."""
        clips = list(trainer_clips(folder, shards))
        lines = ["[general]", "batch_size = 1", "enable_bucket = true", "bucket_no_upscale = true"]
        folder.remove("buckets")
        for bucket in _buckets(clips):
            rows = [
                {"video_path": folder.url_of(clip.place), "caption": clip.caption}
                for clip in clips
                if clip.bucket == bucket
            ]
            place = f"buckets/{bucket}.jsonl"
            folder.write_bytes(place, _json_lines(rows))
            lines += [
                "",
                "[[datasets]]",
                f"video_jsonl_file = {_text(folder.url_of(place))}",
                f"cache_directory = {_text(folder.url_of(f'buckets/cache-{bucket}'))}",
                f"resolution = [{bucket.width}, {bucket.height}]",
                f"target_frames = [{bucket.frames}]",
                'frame_extraction = "head"',
            ]
        folder.write_bytes("dataset.toml", _lines(lines))


def _buckets(clips: Sequence[TrainerClip]) -> list[Bucket]:
    return sorted({clip.bucket for clip in clips}, key=str)


def _lines(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _json_lines(rows: Sequence[Mapping[str, Any]]) -> bytes:
    return _lines([json.dumps(row, ensure_ascii=False) for row in rows])


def _text(value: str) -> str:
    """A string of TOML, whose basic strings escape as JSON's do."""
    return json.dumps(value, ensure_ascii=False)
