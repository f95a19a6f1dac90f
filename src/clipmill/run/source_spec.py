"""Where a recipe's samples come from."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, model_validator

from clipmill.sources.columns import Columns

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
