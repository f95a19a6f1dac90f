"""What a recipe and its input are checked for before a run begins."""

from __future__ import annotations

from clipmill.core.edit import Edit
from clipmill.core.errors import ProcessError, RecipeError
from clipmill.core.extras import check_installed
from clipmill.core.registry import load, nearest
from clipmill.fetch.sites_options import check_site_options
from clipmill.formats.base import ShardFormat
from clipmill.formats.tables import check_column_names
from clipmill.media.containers import (
    AUDIO_ONLY,
    CONTAINERS,
    refuse_sound_codec,
    refuse_video_codec,
)
from clipmill.run.input import Input
from clipmill.run.recipe import Recipe
from clipmill.run.write_spec import ORIGINAL, ShardLayout
from clipmill.sources.base import CUTS_COLUMN, KEY_COLUMN, MEDIA_COLUMN


def check_recipe(recipe: Recipe) -> None:
    """Refuse recipes whose parts do not fit together or are not installed.

    Raises:
        RecipeError: two modalities under one extension, codecs that do not go into it, no output
            folder, or a detector, encoder or preset that is not there or has no such settings.
        MissingExtra: the detector, the decoder, the format or a reporter needs a library that is
            not installed.
    """
    if not recipe.write.to:
        raise RecipeError(
            "No output folder is named. It is the last thing given, or a recipe's `to`."
        )
    for layout in filter(None, (recipe.write, recipe.keep)):
        _check_layout(layout)
    _check_codecs(recipe)
    if recipe.render is not None:
        _check_encoder(recipe.render)
    if recipe.split is not None and recipe.split.looks:
        recipe.split.parsed_detector_options()
        detector = f"detector {recipe.split.detector!r}"
        check_installed(recipe.split.detector_type().needs, used_by=detector)
    if recipe.download.cookies_file or recipe.download.proxy:
        from clipmill.fetch.client import check_access  # it brings aiohttp, which workers need

        check_access(recipe.download)
    check_site_options(recipe.download.site_options)
    if recipe.annotate and recipe.run.decoder != "pyav":
        from clipmill.media.torchcodec_reader import check_decoder  # it brings PyAV

        check_decoder(recipe.run.decoder)
    if recipe.run.wandb is not None:
        check_installed([("wandb", "wandb")], used_by="--wandb")


def _check_layout(written: ShardLayout) -> None:
    extensions = list(written.encode_formats.values())
    for modality, extension in written.encode_formats.items():
        known = sorted(CONTAINERS) if modality == "audio" else sorted({*CONTAINERS} - {*AUDIO_ONLY})
        if extension != ORIGINAL and extension not in known:
            raise RecipeError(
                f"encode_formats: {modality} cannot be kept as {extension!r}. "
                f"{nearest(extension, [*known, ORIGINAL])}"
            )
    if len(set(extensions)) < len(extensions):
        raise RecipeError(
            f"encode_formats gives {extensions[0]!r} to two modalities; their files need "
            "different extensions, such as video=mp4,audio=m4a."
        )
    layout: ShardFormat = load("clipmill.formats", written.format)()
    check_installed(layout.needs, used_by=f"format {layout.name!r}")
    if layout.same_members and ORIGINAL in extensions:
        raise RecipeError(
            f"Format {layout.name!r} needs files of the same kind in every sample, so "
            f"encode_formats cannot be {ORIGINAL!r}: name a container, such as video=mp4."
        )


def _check_codecs(recipe: Recipe) -> None:
    edit, wanted = recipe.render, recipe.write.encode_formats
    main = wanted.get("video") or wanted.get("audio") or ORIGINAL
    if edit is None or edit.precision != "exact" or main == ORIGINAL:
        return
    try:
        if "video" in wanted:
            refuse_video_codec(edit, main)
        refuse_sound_codec(edit, main)
    except ProcessError as error:
        raise RecipeError(f"encode_formats: {error.message}.") from error


def _check_encoder(edit: Edit) -> None:
    from clipmill.media import encoders  # it brings libav, which most commands do without

    for name, refuse in (("encoder", encoders.refuse_encoder), ("preset", encoders.refuse_preset)):
        try:
            refuse(edit)
        except ProcessError as error:
            raise RecipeError(f"{name}: {error.message}.") from error


def check_columns(recipe: Recipe, given: Input) -> None:
    """Refuse inputs that do not fit what is to be made of them.

    Raises:
        OutputError: a column has the name of media where both become columns; names it and the
            ways out.
        RecipeError: clips of links would have nothing to be made of later, or there are no cuts
            or spans to split by.
    """
    names = given.source.schema().names
    if recipe.split and recipe.split.detector == "cuts" and CUTS_COLUMN not in names:
        raise RecipeError(
            "The input has no kept cuts to split by. Find them first: split with a detector and "
            "keep_whole, which keeps them in the column cuts."
        )
    if recipe.split and recipe.split.detector == "column" and "clips" not in names:
        raise RecipeError(
            "The input has no column of clips to split by. Name the one that holds "
            "[[start, end], ...] with --clip-col."
        )
    if recipe.is_virtual and MEDIA_COLUMN not in names:
        raise RecipeError(
            "Clips that are not rendered point into files that stay where they are, and the input "
            "has links. Download them first (clipmill download, then clipmill split), or add the "
            "step render, which makes the clips in the same pass."
        )
    if recipe.keep is not None and KEY_COLUMN in names:
        raise RecipeError(
            "The input is a dataset, whose media are there already: leave keep out of the recipe."
        )
    for written in filter(None, (recipe.write, recipe.keep)):
        layout: ShardFormat = load("clipmill.formats", written.format)()
        if layout.members_are_columns:
            check_column_names(names, written.encode_formats.values(), layout.name)


def check_conditions(recipe: Recipe, given: Input) -> None:
    """Refuse steps and conditions that do not fit the input.

    Raises:
        RecipeError: there is no such step, or a setting is wrong.
        InputError: a condition does not parse or names no column; points at the place.
    """
    if recipe.judges:
        from clipmill.run.judging import Judge, judged_schema  # steps load much

        Judge(recipe, judged_schema(given.source.schema(), recipe))
