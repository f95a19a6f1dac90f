"""The recipe: what a run is to do, written once for Python, YAML and the command line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BeforeValidator, ByteSize, Field, field_validator, model_validator

from clipmill.core.config import Config, PositiveBytes, fingerprint, parse_config
from clipmill.core.edit import Edit
from clipmill.core.errors import RecipeError
from clipmill.core.redact import redact_url
from clipmill.core.registry import nearest
from clipmill.fetch.options import FetchOptions
from clipmill.formats.trainers.fit import FitOptions
from clipmill.formats.trainers.profiles import PROFILES
from clipmill.run.write_spec import KeepSpec, WriteSpec, known_name
from clipmill.sources.columns import Columns
from clipmill.steps.split.options import SplitOptions

LOCATIONS = ("path", "table", "folder", "shards", "hub")


def _read_list(value: Any) -> Any:
    """Accept ``a,b``, as a command line gives it."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, (list, tuple)):
        return tuple(part.strip() for text in value for part in str(text).split(","))
    return value


class SourceSpec(Columns):
    """Where samples come from: exactly one of `path`, `table`, `folder`, `shards` or `hub`."""

    path: str | tuple[str, ...] | None = None
    """Input of any kind; what it is shows by itself."""
    table: str | tuple[str, ...] | None = None
    """Table of URLs: path, glob, folder, brace list or fsspec URL."""
    folder: str | None = None
    """Folder of media files."""
    shards: str | tuple[str, ...] | None = None
    """Shards written by clipmill, video2dataset, img2dataset or any WebDataset writer."""
    hub: str | None = None
    """Hugging Face dataset: a local folder or a hub id."""
    parent: str | None = None
    """Where the dataset or folder lies now that virtual clips were split from. Default: where it
    lay then."""
    selection: str | None = None
    """Name of a selection of the dataset: only its samples are taken, in the dataset's order, and
    its weights come along as the column `weight`. Default: all samples."""
    columns: Annotated[tuple[str, ...] | None, BeforeValidator(_read_list)] = None
    """Columns of steps to take along under flat names, such as `motion,picture.luminance`; `none`
    for none. Default: in exports every number, truth value and text of each step's newest group."""

    @property
    def given(self) -> tuple[str | None, Any]:
        """Kind, where it was said, and location; None for rows that come from Python objects."""
        for kind in LOCATIONS:
            if (value := getattr(self, kind)) is not None:
                location = list(value) if isinstance(value, tuple) else value
                return None if kind == "path" else kind, location
        return None, None

    @model_validator(mode="after")
    def _one_location(self) -> Self:
        given = [kind for kind in LOCATIONS if getattr(self, kind) is not None]
        if len(given) > 1:
            raise ValueError(f"give only one of {', '.join(given)}")
        return self


class ProbeOptions(Config):
    """What is looked up in every file."""

    keyframes: bool = False
    """Store the time of every keyframe."""
    max_duration_seconds: float | None = Field(default=None, gt=0)
    """Longest source, in seconds; longer ones fail as `too_long`. Default: any."""


class RunSpec(Config):
    """How the work is done; none of it changes the result."""

    executor: str = "local"
    """Who runs the shards."""
    workers: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """Worker processes. Default: one for every two cores."""
    media_processes: int = Field(default=2, ge=1, le=64)
    """Processes per worker that read media; they may crash or hang without harm."""
    sample_timeout_seconds: float = Field(default=120.0, gt=0)
    """Time a media process may spend on one file without getting on before it is killed."""
    media_memory_bytes: Annotated[ByteSize, Field(ge=100_000_000)] = ByteSize(4_000_000_000)
    """Memory a media process may take before the file it reads fails."""
    scene_bytes: ByteSize = ByteSize(160_000_000)
    """Memory a media process may take for the pictures of a scene until its end is known; of what
    does not fit, clips are made by a second decode."""
    ahead_bytes: PositiveBytes = ByteSize(2_000_000_000)
    """Bytes a worker may hold on disk between fetching and writing."""
    max_shard_retries: int = Field(default=2, ge=0)
    """Further tries for a shard whose worker died."""
    failure_budget: float = Field(default=0.5, ge=0, le=1)
    """Exit with status 3 when a larger share of rows failed."""
    temp_dir: str | None = None
    """Folder for work in hand. Default: inside a local output folder, else the system's."""
    wandb: str | None = None
    """Weights & Biases project to report to. Default: none."""

    @field_validator("executor")
    @classmethod
    def _known_executor(cls, value: str) -> str:
        return known_name(value, "executor")


class Recipe(Config):
    """A whole run: source, steps, output, and how to run it."""

    source: SourceSpec = Field(default_factory=SourceSpec)
    download: FetchOptions = Field(default_factory=FetchOptions)
    probe: ProbeOptions = Field(default_factory=ProbeOptions)
    keep: KeepSpec | None = None
    split: SplitOptions | None = None
    modules: tuple[str, ...] = ()
    """Python files that define steps of your own."""
    annotate: tuple[str | Mapping[str, Any], ...] = ()
    """Steps that say something of every sample or clip: names, or a name with its settings."""
    where: tuple[str, ...] = ()
    """Conditions that samples or clips must meet; what does not is a dropped row, never encoded."""
    fit: FitOptions | None = None
    render: Edit | None = None
    write: WriteSpec = Field(default_factory=WriteSpec)
    run: RunSpec = Field(default_factory=RunSpec)

    @model_validator(mode="before")  # pydantic goes from the last of these to the first
    @classmethod
    def _virtual(cls, data: Any) -> Any:
        """Clips that are not rendered have no media: their shards are tables."""
        if not isinstance(data, Mapping) or data.get("split") is None:
            return data
        if data.get("render") is not None:
            return data
        write = dict(data.get("write") or {})
        if given := [
            name
            for name in VIRTUAL_WRITE
            if write.get(name, VIRTUAL_WRITE[name]) != VIRTUAL_WRITE[name]
        ]:
            raise ValueError(
                f"write.{given[0]} has no effect on clips that are not rendered, which are rows of "
                "a table: leave it out, or add the step render"
            )
        return {**data, "write": {**write, **VIRTUAL_WRITE}}

    @model_validator(mode="before")
    @classmethod
    def _steps(cls, data: Any) -> Any:
        """Accept the list form of a recipe: `steps: [{download: {...}}, probe]`."""
        if not isinstance(data, Mapping) or "steps" not in data:
            return data
        flat = {name: value for name, value in data.items() if name != "steps"}
        for step in data["steps"] or ():
            named = step if isinstance(step, Mapping) else {step: {}}
            if len(named) != 1:
                raise ValueError(f"a step is one name with its settings, not {step!r}")
            ((name, settings),) = named.items()
            if name not in STEPS:
                raise ValueError(f"there is no step {name!r}. {nearest(str(name), list(STEPS))}")
            if name in REPEATED:
                flat[name] = [*_several(flat.get(name)), *_several(settings)]
                continue
            if name in flat:
                raise ValueError(f"step {name!r} is given twice")
            flat[name] = settings or {}
        return flat

    @field_validator("modules", "annotate", "where", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return _several(value)

    @field_validator("keep", mode="before")
    @classmethod
    def _folder_alone(cls, value: Any) -> Any:
        return {"to": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _keeps_what_clips_are_made_of(self) -> Self:
        if self.keep is None:
            return self
        if self.render is None:
            raise ValueError(
                "keep is for recipes that render: alone, download keeps what it fetches in write.to"
            )
        if not self.keep.to:
            raise ValueError("keep needs a folder, such as keep: raw")
        if "video" not in self.keep.encode_formats and self.modalities != ("audio",):
            raise ValueError("keep.encode_formats must have video, which clips are made of")
        if not self.keep.encode_formats:
            raise ValueError("keep.encode_formats must have what clips are made of")
        return self

    @property
    def judges(self) -> bool:
        """Whether steps or conditions look at what is found before it is made."""
        return bool(self.annotate or self.where)

    @model_validator(mode="before")
    @classmethod
    def _layout_of_trainer(cls, data: Any) -> Any:
        """Clips for a trainer lie as its usual one reads them, unless a format is chosen."""
        if not isinstance(data, Mapping) or not isinstance(data.get("fit"), Mapping):
            return data
        profile = PROFILES.get(str(data["fit"].get("trainer")))
        write = dict(data.get("write") or {})
        if profile is not None:
            write.setdefault("format", profile.layout)
        return {**data, "write": write}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.fit is None:
            return self
        edit = self.render
        if edit is None or self.split is not None:
            raise ValueError(
                "fit.trainer is for making files of clips that are found already: split first, "
                "then export"
            )
        given = [name for name in ("width", "height", "short_side") if getattr(edit, name)]
        if given or edit.crop == "letterbox" or edit.precision != "exact":
            what = given[0] if given else "precision" if edit.precision != "exact" else "crop"
            raise ValueError(f"fit.trainer decides by buckets, so render.{what} goes not with it")
        return self

    @property
    def makes_clips(self) -> bool:
        """Whether rows become clips, rather than stay what was fetched."""
        return self.split is not None or self.render is not None

    @property
    def only_reads_sources(self) -> bool:
        """Whether no source becomes a member itself, so that local ones are read where they lie."""
        return self.makes_clips and self.keep is None

    @property
    def makes_parts(self) -> bool:
        """Whether each row becomes clips with keys of their own, rather than one with its own."""
        return self.split is not None and not self.split.keep_whole

    @property
    def keeps_cuts(self) -> bool:
        """Whether rows stay whole and have the cuts found in them as a column."""
        return self.split is not None and self.split.keep_whole and self.split.looks

    @property
    def fetching(self) -> Recipe:
        """What fetches sources: this recipe, or the one that makes the dataset they are kept in."""
        if self.keep is None:
            return self
        shards = self.write.model_dump(include={"samples_per_shard", "shard_digits"})
        write = WriteSpec(**self.keep.model_dump(), **shards)
        later: dict[str, Any] = {"keep": None, "split": None, "render": None}
        later |= {"modules": (), "annotate": (), "where": ()}
        return self.model_copy(update={**later, "write": write})

    @property
    def modalities(self) -> tuple[str, ...]:
        """What is needed of a source; nothing when only its metadata are kept."""
        seen = (
            self.is_virtual
            or self.judges
            or (self.render is not None and self.render.images != "none")
        )
        return tuple(dict.fromkeys([*["video"] * seen, *self.write.encode_formats]))

    @property
    def is_virtual(self) -> bool:
        """Whether clips are found and not made."""
        return self.split is not None and self.render is None

    @property
    def captions_from_subtitles(self) -> bool:
        """Whether each clip is a subtitle line, and has it as its caption."""
        return self.split is not None and self.split.detector == "subtitles"

    def identity(self) -> dict[str, Any]:
        """What decides the content of the dataset; the rest may differ between runs of it."""
        # where the input lies is left out: it is known by a fingerprint of its own
        source = self.source.model_dump(
            mode="json", exclude_defaults=True, exclude={*LOCATIONS, "parent"}
        )
        write = self.write.model_dump(mode="json", exclude={"to"})
        clips = self.model_dump(mode="json", include={"split", "fit", "render"}, exclude_none=True)
        if self.keep is not None:  # clips are made of what is kept, in its container
            clips["keep"] = self.keep.model_dump(mode="json", exclude={"to"})
        if self.annotate:
            clips["annotate"] = _groups(self)
        if self.where:
            clips["where"] = list(self.where)
        return {
            "source": source,
            "download": self.download.identity(),
            "probe": self.probe.model_dump(mode="json"),
            **clips,
            "write": write,
        }

    def fingerprint(self) -> str:
        """Twelve hex digits that change when ``identity`` does."""
        return fingerprint(self.identity())

    def public_dump(self) -> dict[str, Any]:
        """The recipe for ``dataset.json``, without secrets."""
        dump = self.model_dump(mode="json", exclude={"download"}, exclude_defaults=True)
        for kind in LOCATIONS:
            if value := dump.get("source", {}).get(kind):
                places = [value] if isinstance(value, str) else value
                dump["source"][kind] = [redact_url(place) for place in places]
        if self.keep is not None:
            to = self.keep.to  # that of the dataset itself goes with it wherever it is moved
            dump["keep"]["to"] = to if "://" in to else os.path.abspath(to)
        return {**dump, "download": self.download.public_dump()}


STEPS = ("download", "keep", "probe", "split", "annotate", "where", "fit", "render")
REPEATED = ("annotate", "where")
"""Steps that may stand in a list several times: all of them are done, whatever their order."""
VIRTUAL_WRITE: dict[str, Any] = {"format": "parquet", "encode_formats": {}}


def _several(value: Any) -> Any:
    """One thing or several, as several."""
    if value is None:
        return []
    return [value] if isinstance(value, str | Mapping) else value


def _groups(recipe: Recipe) -> list[str]:
    """Names of the column groups that a recipe's steps fill, which change with their settings."""
    from clipmill.steps.load import group_name, made_steps

    return sorted(map(group_name, made_steps(recipe.annotate, recipe.modules)))


def load_recipe(given: Recipe | Mapping[str, Any] | str | Path, where: str = "recipe") -> Recipe:
    """Read a recipe from YAML, a mapping or itself.

    Args:
        given: a ``Recipe``, a mapping with its keys, or the path of a YAML file.
        where: how the user knows a mapping, for messages.

    Raises:
        RecipeError: unreadable file, or keys and values that are not a recipe's.
    """
    if isinstance(given, Recipe):
        return given
    if isinstance(given, Mapping):
        return parse_config(Recipe, given, where)
    return parse_config(Recipe, read_recipe(given), str(given))


def read_recipe(path: str | Path) -> Mapping[str, Any]:
    """The keys and values of a recipe file, not checked yet.

    Raises:
        RecipeError: unreadable file.
    """
    try:
        data = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise RecipeError(f"Recipe {path} cannot be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise RecipeError(f"Recipe {path} is not YAML: {error}") from error
    if not isinstance(data, Mapping):
        raise RecipeError(f"Recipe {path} must have keys such as `source`, `steps` and `write`.")
    return data
