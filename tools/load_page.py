"""The table of settings in ``docs/load.md``, from the model that reads them; the rest is kept."""

from __future__ import annotations

import re
import types
import typing
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from clipmill.core.docstrings import field_docs
from clipmill.dataset.load.options import LoadOptions

PAGE = Path(__file__).parent.parent / "docs" / "load.md"
_TABLE = re.compile(r"(?<=<!-- made by `make docs` -->\n).*?(?=<!-- end -->)", re.S)


def load_page() -> str:
    """The whole page, with the table as it should be."""
    texts = field_docs(LoadOptions)
    rows = [_row(name, field, texts[name]) for name, field in LoadOptions.model_fields.items()]
    table = "\n".join(["| setting | value | default | meaning |", "|---|---|---|---|", *rows, ""])
    return _TABLE.sub(lambda _: table, PAGE.read_text())


def _row(name: str, field: FieldInfo, meaning: str) -> str:
    told = re.search(r" ?Default: (.+?)\.$", meaning)
    if told:
        meaning = meaning[: told.start()]
    default = told[1] if told else "" if field.default is None else f"`{field.default!r}`"
    meaning, default = meaning.replace("``", "`"), default.replace("``", "`")
    cells = [f"`{name}`", " or ".join(dict.fromkeys(_kinds(field.annotation))), default, meaning]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _kinds(annotation: Any) -> list[str]:
    """What one may give, in Python's words."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _kinds(parts[0])
    if origin in (typing.Union, types.UnionType):
        return [kind for part in parts if part is not type(None) for kind in _kinds(part)]
    if origin is typing.Literal:
        return [f"`{part!r}`" for part in parts]
    if origin is tuple:
        inside = _kinds(parts[0])[0]
        return [f"list of {inside}" if parts[-1] is ... else f"({inside}, {inside})"]
    if origin is dict:
        return [f"dict of {_kinds(parts[0])[0]} to {_kinds(parts[1])[0]}"]
    return [annotation.__name__]
