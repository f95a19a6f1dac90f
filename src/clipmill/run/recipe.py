"""The recipe: what a run is to do, written once for Python, YAML and the command line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from clipmill.core.config import Config, fingerprint
from clipmill.core.edit import Edit
from clipmill.core.redact import redact_url
from clipmill.fetch.options import FetchOptions
from clipmill.formats.trainers.fit import FitOptions
from clipmill.run.recipe_forms import from_steps, layout_of_trainer, several, virtual_write
from clipmill.run.run_spec import ProbeOptions, RunSpec
from clipmill.run.source_spec import LOCATIONS, SourceSpec
from clipmill.run.write_spec import KeepSpec, WriteSpec
from clipmill.steps.split.options import SplitOptions


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

    @model_validator(mode="before")
    @classmethod
    def _in_one_form(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        return virtual_write(layout_of_trainer(from_steps(data)))

    @field_validator("modules", "annotate", "where", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return several(value)

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
        places = {*LOCATIONS, "parent", "media_folder"}
        source = self.source.model_dump(mode="json", exclude_defaults=True, exclude=places)
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
        if folder := self.source.media_folder:
            dump["source"]["media_folder"] = redact_url(folder)
        for kind in LOCATIONS:
            if value := dump.get("source", {}).get(kind):
                places = [value] if isinstance(value, str) else value
                dump["source"][kind] = [redact_url(place) for place in places]
        if self.keep is not None:
            to = self.keep.to  # that of the dataset itself goes with it wherever it is moved
            dump["keep"]["to"] = to if "://" in to else os.path.abspath(to)
        return {**dump, "download": self.download.public_dump()}


def _groups(recipe: Recipe) -> list[str]:
    """Names of the column groups that a recipe's steps fill, which change with their settings."""
    from clipmill.steps.load import group_name, made_steps

    steps = made_steps(recipe.annotate, recipe.modules)
    return sorted(group_name(step, recipe.run.decoder) for step in steps)
