"""video2dataset's function, carried out by clipmill."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from clipmill.api import opened
from clipmill.compat.v2d_arguments import Arguments
from clipmill.compat.v2d_recipe import recipe_of
from clipmill.core.config import parse_config
from clipmill.dataset.dataset import Dataset
from clipmill.run.runner import run_recipe


def video2dataset(  # noqa: PLR0913  its arguments are the peer's
    url_list: str | os.PathLike[str],
    output_folder: str | os.PathLike[str] = "dataset",
    output_format: str = "files",
    input_format: str = "csv",
    encode_formats: Mapping[str, str] | None = None,
    stage: str = "download",
    url_col: str = "url",
    caption_col: str | None = None,
    clip_col: str | None = None,
    save_additional_columns: Sequence[str] | None = None,
    enable_wandb: bool = False,
    wandb_project: str = "video2dataset",
    incremental_mode: str = "incremental",
    max_shard_retry: int = 1,
    tmp_dir: str = "/tmp",
    config: str | os.PathLike[str] | Mapping[str, Any] = "default",
    *,
    allow_local_paths: bool = False,
    allow_private_addresses: bool = False,
) -> Dataset:
    """Download a table of links, with video2dataset's arguments and configuration files.

    Args:
        url_list: table of URLs, or a folder of tables named ``*.<input_format>``; with stage
            ``subset``, a folder of shards, or tars by path, glob or braces.
        output_folder: folder of the dataset.
        output_format: ``files``, ``webdataset``, ``parquet``, ``tfrecord`` or ``dummy``.
        input_format: ``txt``, ``csv``, ``tsv``, ``tsv.gz``, ``json`` or ``parquet``;
            ``webdataset`` with stage ``subset``.
        encode_formats: modality to file extension. Default: ``{"video": "mp4"}``.
        stage: ``download``, or ``subset``, which works on shards that are there; the others are
            refused so far.
        url_col: column with the URL.
        caption_col: column with the text of each sample. Default: none.
        clip_col: column with the spans to cut. Default: none.
        save_additional_columns: other columns to keep. Default: none.
        enable_wandb: report to Weights & Biases.
        wandb_project: Weights & Biases project.
        incremental_mode: ``incremental`` (go on), ``overwrite`` or ``extend``.
        max_shard_retry: further tries for a shard that could not be finished.
        tmp_dir: folder for work in hand; ``/tmp`` leaves the choice to clipmill.
        config: bundled name, path of a YAML file, or a mapping.
        allow_local_paths: let rows name files of this machine.
        allow_private_addresses: let rows lead to loopback and private addresses.

    Returns:
        The finished dataset, opened.

    Raises:
        RecipeError: wrong arguments, or something clipmill cannot do yet.
        UserError: input or output cannot be used; nothing was written.
        RunError: the run stopped, or shards could not be finished.
    """
    recipe, mode = recipe_of(parse_config(Arguments, dict(locals()), "video2dataset"))
    return opened(run_recipe(recipe, mode=mode))
