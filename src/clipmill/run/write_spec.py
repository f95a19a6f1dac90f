"""What a recipe says of the datasets it writes: where they go, and what their shards look like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator

from clipmill.core.config import Config, PositiveBytes
from clipmill.core.registry import names, nearest

ORIGINAL = "original"
MODALITIES = ("video", "audio")


class ShardLayout(Config):
    """Where a dataset goes, and what its files are."""

    to: str = ""
    """Output folder: local path or fsspec URL."""
    format: str = "webdataset"
    """Shard layout: webdataset, files, parquet, tfrecord, lance, mosaicml, huggingface,
    video-dataset-scripts or dummy; or a trainer's: diffusion-pipe, finetrainers, ltx-trainer or
    musubi-tuner. Default: webdataset, or that of `trainer`."""
    shard_bytes: PositiveBytes | None = None
    """Start another file of the same shard when its media would exceed this size.
    Default: never."""
    encode_formats: Mapping[str, str] = Field(default_factory=lambda: {"video": "mp4"})
    """Modalities to keep and the container of each, such as `video=mp4,audio=m4a`; `original`
    keeps a file under its own name; `none` keeps metadata only."""

    @field_validator("encode_formats", mode="before")
    @classmethod
    def _parse_formats(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value.strip() in ("", "none", "{}"):
            return {}
        pairs = [pair.partition("=")[::2] for pair in value.split(",")]
        return {modality.strip(): extension.strip() for modality, extension in pairs}

    @field_validator("encode_formats")
    @classmethod
    def _known_modalities(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for modality, extension in value.items():
            if modality not in MODALITIES:
                raise ValueError(f"no modality {modality!r}. {nearest(modality, list(MODALITIES))}")
            if not extension.isalnum():
                raise ValueError(f"{modality} needs a file extension, such as {modality}=mp4")
        return dict(value)

    @field_validator("format")
    @classmethod
    def _known_format(cls, value: str) -> str:
        return known_name(value, "format")


class KeepSpec(ShardLayout):
    """Where fetched sources are kept, as the dataset that downloading alone would have made."""


class WriteSpec(ShardLayout):
    """Where the dataset goes and what its shards look like."""

    samples_per_shard: int = Field(default=1000, ge=1, le=10_000_000)
    """Input rows per shard."""
    shard_digits: int = Field(default=5, ge=1, le=12)
    """Digits in shard names."""


def known_name(value: str, kind: str) -> str:
    """The name of something registered.

    Raises:
        ValueError: nothing of that kind has it; tells the nearest.
    """
    choices = names(f"clipmill.{kind}s")
    if value not in choices:
        raise ValueError(f"no {kind} {value!r}. {nearest(value, choices)}")
    return value
