"""The arguments of video2dataset, under its names and with its defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from clipmill.compat.v2d_literals import read_literal
from clipmill.core.config import Config
from clipmill.core.registry import nearest

STAGES = ("download", "subset", "optical_flow", "caption", "whisper")
INCREMENTAL_MODES = ("incremental", "overwrite", "extend")
TABLE_FORMATS = ("txt", "csv", "tsv", "tsv.gz", "json", "parquet")
OUTPUT_FORMATS = ("files", "webdataset", "parquet", "tfrecord", "dummy")
MODALITIES = ("video", "audio", "optical_flow")
DEFAULT_TMP_DIR = "/tmp"


def _none_word(value: Any) -> Any:
    """``--caption_col=None`` on a command line means none."""
    return None if value in ("None", "null") else value


def _literal(value: Any) -> Any:
    return read_literal(value) if isinstance(value, str) else value


def _column_names(value: Any) -> Any:
    """Names in a list, a literal of one, or divided by commas."""
    value = _literal(value)
    if isinstance(value, str):
        value = value.split(",")
    return [str(name).strip() for name in value] if isinstance(value, list | tuple) else value


def _config(value: Any) -> Any:
    """A mapping written out on a command line; a path or bundled name stays what it is."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return _literal(value) if isinstance(value, str) and value.lstrip().startswith("{") else value


def _location(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if not isinstance(value, str):
        raise ValueError("give a path or URL; clipmill.download takes rows given in Python")
    return value


Location = Annotated[str, BeforeValidator(_location)]
Column = Annotated[str | None, BeforeValidator(_none_word)]


class Arguments(Config):
    """What `video2dataset` was asked to do."""

    url_list: Location
    """Table of URLs, or a folder of tables named `*.<input_format>`; with stage subset, a folder of
    shards, or tars by path, glob or braces. Path or fsspec URL."""
    output_folder: Location = "dataset"
    """Folder of the dataset; path or fsspec URL."""
    output_format: str = "files"
    """Layout of the shards: files, webdataset, parquet, tfrecord or dummy."""
    input_format: str = "csv"
    """Format of the table: txt, csv, tsv, tsv.gz, json or parquet; webdataset with stage
    subset."""
    encode_formats: Annotated[Mapping[str, str] | None, BeforeValidator(_literal)] = None
    """Modalities to keep and the extension of each, such as {"video":"mp4","audio":"m4a"}; {}
    keeps metadata only. Default: {"video":"mp4"}."""
    stage: str = "download"
    """What to do: download a table, or subset, which works on shards that are there (optical_flow,
    caption, whisper: later)."""
    url_col: str = "url"
    """Column with the URL."""
    caption_col: Column = None
    """Column with the text of each sample, also written as .txt."""
    clip_col: Column = None
    """Column with the spans to cut, as [[start, end], ...] in seconds or HH:MM:SS.mmm."""
    save_additional_columns: Annotated[tuple[str, ...] | None, BeforeValidator(_column_names)] = (
        None
    )
    """Other columns to keep, such as '[videoid,duration]'. Default: none of them."""
    enable_wandb: bool = False
    """Report to Weights & Biases."""
    wandb_project: str = "video2dataset"
    """Weights & Biases project."""
    incremental_mode: str = "incremental"
    """What to do with a dataset that is there already: incremental goes on with it, overwrite
    replaces it, extend adds rows that it does not have."""
    max_shard_retry: int = Field(default=1, ge=0)
    """Further tries for a shard that could not be finished."""
    tmp_dir: str = DEFAULT_TMP_DIR
    """Folder for work in hand. As long as it is /tmp, a local output folder holds it itself."""
    config: Annotated[str | Mapping[str, Any], BeforeValidator(_config)] = "default"
    """Name of a bundled configuration, path of a YAML file, or a mapping."""
    allow_local_paths: bool = False
    """Let rows name files of this machine (clipmill's own; video2dataset always does)."""
    allow_private_addresses: bool = False
    """Let rows lead to loopback and private addresses (clipmill's own; video2dataset always
    does)."""

    @field_validator("stage")
    @classmethod
    def _known_stage(cls, value: str) -> str:
        return _one_of(value, STAGES)

    @field_validator("incremental_mode")
    @classmethod
    def _known_mode(cls, value: str) -> str:
        return _one_of(value, INCREMENTAL_MODES)

    @field_validator("input_format")
    @classmethod
    def _known_input(cls, value: str) -> str:
        return _one_of(value, (*TABLE_FORMATS, "webdataset"))

    @field_validator("output_format")
    @classmethod
    def _known_output(cls, value: str) -> str:
        return _one_of(value, OUTPUT_FORMATS)

    @field_validator("encode_formats")
    @classmethod
    def _known_modalities(cls, value: Mapping[str, str] | None) -> Mapping[str, str] | None:
        for modality in value or {}:
            if modality not in MODALITIES:
                raise ValueError(f"no modality {modality!r}. {nearest(modality, list(MODALITIES))}")
        return value


def _one_of(value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise ValueError(nearest(value, list(choices)))
    return value
