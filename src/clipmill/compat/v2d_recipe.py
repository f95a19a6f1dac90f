"""From video2dataset's arguments and configuration to a recipe of ours."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clipmill.compat.v2d_arguments import DEFAULT_TMP_DIR, Arguments
from clipmill.compat.v2d_config import (
    SiteArgs,
    SiteMetadata,
    Storage,
    Subsampler,
    V2dConfig,
    load_config,
)
from clipmill.compat.v2d_steps import Steps, steps_of
from clipmill.compat.v2d_subsamplers import ARGUMENTS
from clipmill.core.errors import RecipeError
from clipmill.fetch.options import FetchOptions
from clipmill.fetch.sites_options import check_site_options
from clipmill.run.recipe import Recipe
from clipmill.run.recipe_file import load_recipe
from clipmill.sources.paths import is_folder

if TYPE_CHECKING:
    from clipmill.run.existing import Mode

MODES: dict[str, Mode] = {"incremental": "auto", "overwrite": "overwrite", "extend": "extend"}
_SITE_METADATA = "config reading.yt_args.yt_metadata_args"
_OF_NO_EFFECT = frozenset({"skip_download", "ignoreerrors", "quiet", "no_warnings", "noplaylist"})
"""yt-dlp options that video2dataset overrides, or that say what clipmill does anyhow."""
_OWN_NAMES = {
    "cookiefile": "cookies_file",
    "max_filesize": "max_bytes",
    "nocheckcertificate": "ignore_tls_errors",
    "proxy": "proxy",
    "ratelimit": "rate_limit_bytes_per_second",
}
"""yt-dlp options that clipmill has for every kind of source, under names of its own."""


def recipe_of(arguments: Arguments) -> tuple[Recipe, Mode]:
    """The recipe that does what was asked of video2dataset, and what to do with existing output.

    Args:
        arguments: the peer's arguments.

    Raises:
        RecipeError: the configuration is wrong, or asks for what clipmill cannot do yet; every
            such thing is named.
    """
    config = load_config(arguments.config)
    missing = [*_missing_arguments(arguments), *_missing_config(config)]
    if missing:
        raise RecipeError(
            f"clipmill does not do yet: {'; '.join(missing)}. Today it carries out the stages "
            f"'download' and 'subset' with {', '.join(ARGUMENTS)}, and the distributor "
            "'multiprocessing'. Leave out the rest, or wait for the version that brings it."
        )
    _check_input(arguments)
    steps = steps_of(arguments, config)
    recipe = load_recipe(
        {
            "source": _source(arguments),
            "download": _download(arguments, config),
            "probe": {"keyframes": steps.keyframes},
            **steps.sections(),
            "write": _write(arguments, config.storage, steps),
            "run": _run(arguments, config),
        }
    )
    return recipe, MODES[arguments.incremental_mode]


def _missing_arguments(arguments: Arguments) -> list[str]:
    missing = []
    if arguments.stage not in ("download", "subset"):
        missing.append(f"stage {arguments.stage!r}")
    if "optical_flow" in (arguments.encode_formats or {}):
        missing.append("encode_formats 'optical_flow'")
    return missing


def _missing_config(config: V2dConfig) -> list[str]:
    missing = [
        f"config subsampling.{name}"
        for name, entry in config.subsampling.items()
        if name not in (*ARGUMENTS, "NoOpSubsampler") and _is_at_work(entry)
    ]
    if config.reading.sampler is not None:
        missing.append(
            "config reading.sampler (to do part of a table, give clipmill that part as its input)"
        )
    if config.distribution.distributor != "multiprocessing":
        missing.append(f"config distribution.distributor {config.distribution.distributor!r}")
    return missing


def _is_at_work(entry: Subsampler) -> bool:
    return entry.args is not None or entry.cuts_are_clips


def _check_input(arguments: Arguments) -> None:
    takes_shards, are_shards = arguments.stage == "subset", arguments.input_format == "webdataset"
    if takes_shards and not are_shards:
        raise RecipeError(
            "stage 'subset' works on shards that are there: give --input_format=webdataset, and "
            "their folder or tars as url_list."
        )
    if are_shards and not takes_shards:
        raise RecipeError(
            "input_format 'webdataset' belongs to stage 'subset'. To read shards into a new "
            "dataset as they are, use `clipmill download`."
        )


def _source(arguments: Arguments) -> dict[str, Any]:
    location = arguments.url_list
    if arguments.stage == "subset":
        return {
            "shards": location,
            "url_col": None if arguments.url_col == "url" else arguments.url_col,
            "caption_col": arguments.caption_col,
            "clip_col": arguments.clip_col,
            "save_additional_columns": arguments.save_additional_columns,
        }
    if is_folder(location):
        location = f"{glob.escape(location.rstrip('/'))}/*.{arguments.input_format}"
    has_header = arguments.input_format != "txt"
    return {
        "table": location,
        "input_format": arguments.input_format,
        "url_col": arguments.url_col if has_header else None,
        "caption_col": arguments.caption_col,
        "clip_col": arguments.clip_col,
        "save_additional_columns": arguments.save_additional_columns or (),
    }


def _download(arguments: Arguments, config: V2dConfig) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "concurrency": config.distribution.thread_count,
        "allow_local_paths": arguments.allow_local_paths,
        "allow_private_addresses": arguments.allow_private_addresses,
        **_sites(config.reading.yt_args, config.storage),
    }
    timeout = config.reading.timeout
    if timeout is not None:
        settings["connect_timeout_seconds"] = settings["idle_timeout_seconds"] = timeout
        whole: float = FetchOptions.model_fields["total_timeout_seconds"].default
        settings["total_timeout_seconds"] = max(whole, timeout)
    return settings


def _sites(asked: SiteArgs, storage: Storage) -> dict[str, Any]:
    metadata = asked.yt_metadata_args or SiteMetadata(get_info=False)
    wanted = metadata.writesubtitles or storage.captions_are_subtitles
    return {
        **_site_options(metadata.model_extra or {}),
        "max_height": asked.download_size,
        "audio_rate": max(asked.download_audio_rate, 0),
        "subtitles": "none" if not wanted else "first" if wanted == "first" else "all",
        "subtitle_languages": metadata.subtitleslangs,
        "automatic_subtitles": metadata.writeautomaticsub,
        "site_info": metadata.get_info,
    }


def _site_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """yt-dlp's options under the names clipmill has for them, the others as they are."""
    own = {_OWN_NAMES[name]: value for name, value in options.items() if name in _OWN_NAMES}
    rest = {
        name: value
        for name, value in options.items()
        if name not in _OWN_NAMES and name not in _OF_NO_EFFECT
    }
    try:
        check_site_options(rest)
    except RecipeError as error:
        reason = error.message.removeprefix("site_options: ")
        raise RecipeError(f"{_SITE_METADATA}: {reason}") from error
    return {**own, "site_options": rest}


def _write(arguments: Arguments, storage: Storage, steps: Steps) -> dict[str, Any]:
    return {
        "to": arguments.output_folder,
        "format": arguments.output_format,
        "samples_per_shard": storage.number_sample_per_shard,
        "shard_digits": storage.oom_shard_count,
        "encode_formats": steps.encode_formats,
    }


def _run(arguments: Arguments, config: V2dConfig) -> dict[str, Any]:
    return {
        "executor": "local",
        "workers": config.distribution.processes_count or "auto",
        "max_shard_retries": arguments.max_shard_retry,
        "temp_dir": None if arguments.tmp_dir == DEFAULT_TMP_DIR else arguments.tmp_dir,
        "wandb": arguments.wandb_project if arguments.enable_wandb else None,
    }
