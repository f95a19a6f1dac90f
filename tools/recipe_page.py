"""``docs/recipes.md``: every key of a recipe, from the models that read it."""

from __future__ import annotations

import re
from typing import Any

from pydantic.fields import FieldInfo

from clipmill.cli.options import shown_default
from clipmill.core.config import Config
from clipmill.core.docstrings import field_docs
from clipmill.core.registry import names
from clipmill.run.settings import SECTIONS
from clipmill.run.write_spec import KeepSpec

HEADER = """\
# Recipes

Made by `make docs` from the models that read recipes; edit those, not this page.

A recipe says what `clipmill download` says with options. The names are the same: `max_bytes` here
and in Python is `--max-bytes` on the command line.

```yaml
# recipe.yaml
source: {table: videos.csv, caption_col: caption}
steps:
  - download: {max_bytes: 500MB, headers: {Accept-Language: en}, subtitle_languages: [en, de]}
  - probe: {keyframes: true}
write: {to: from-recipe, encode_formats: {video: mp4}}
run: {workers: 1}
```

```console
$ clipmill run recipe.yaml
```

- Paths are relative to the folder the command is given in, not to the recipe's.
- `source` names exactly one of `path`, `table`, `folder`, `shards` and `hub`. With `path`, clipmill
  finds out what it is.
- Steps may stand under `steps`, or as keys beside `source`. `download` and `probe` are done in any
  case, and naming one is only needed for its settings; `keep`, `split` and `render` are done when
  named.
- `annotate` and `where` may stand several times: steps look at every clip or sample, and what a
  condition does not hold for is a dropped row, never encoded ([annotate](annotate.md)). `modules`
  beside them names Python files with steps of your own.
- In place of a file, `clipmill run` takes the name of a ready recipe, with input and output behind
  it: `clipmill run scenes videos/ scenes/`. `clipmill explain` shows what a recipe will do.
- Sizes are numbers of bytes or texts such as `500MB` and `2GiB`.
- An unknown key is an error, and nothing is written.
- What decides the content (columns, most of `download`, `probe`, `write`) must stay the same when a
  run goes on; timeouts, retries, credentials, permissions and all of `run` may change.
"""
_CHOICES = {
    "format": "clipmill.formats",
    "executor": "clipmill.executors",
    "detector": "clipmill.detectors",
}
_TEXTS = {
    "source": "Where rows come from ([inputs](inputs.md)).",
    "download": "How sources are fetched. The keys from `max_height` on are for video sites.",
    "probe": "What is looked up in every file.",
    "keep": "Where a recipe that renders keeps what it fetches, as the dataset that `download` "
    "alone would have made. `keep: raw` is short for `keep: {to: raw}`. Without it, only clips "
    "are kept.",
    "split": "Where the clips of a source are ([clips](clips.md)). Without it, rows stay whole.",
    "fit": "Which model the clips are for ([exports](export.md)). Without it, sizes are yours.",
    "render": "How files are made of them ([clips](clips.md)). Without it, files stay as they are.",
    "write": "Where the dataset goes and what its shards look like.",
    "run": "How the work is done; none of it changes the result, but for shades by the decoder.",
}


def recipe_page() -> str:
    """The whole page."""
    parts = [HEADER]
    sections: dict[str, type[Config]] = {**SECTIONS, "keep": KeepSpec}
    for section, model in sections.items():
        texts = field_docs(model)
        rows = [_row(name, field, texts[name]) for name, field in model.model_fields.items()]
        table = ["| key | value | default | meaning |", "|---|---|---|---|", *rows]
        parts.append(f"## {section}\n\n{_TEXTS[section]}\n\n" + "\n".join(table) + "\n")
    return "\n".join(parts)


def _row(name: str, field: FieldInfo, meaning: str) -> str:
    told = re.search(r" ?Default: (.+?)\.$", meaning)
    default = told[1] if told else _default(field)
    meaning = meaning[: told.start()] if told else meaning
    if name in _CHOICES:
        meaning += " One of " + ", ".join(f"`{choice}`" for choice in names(_CHOICES[name])) + "."
    cells = [f"`{name}`", _kind(field.annotation), default, meaning]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(field: FieldInfo) -> str:
    shown = shown_default(field)
    return f"`{shown}`" if shown else ""


_KINDS = (
    ("Mapping", "mapping"),
    ("dict", "mapping"),
    ("Literal['auto']", "number or `auto`"),
    ("str | tuple", "text or list of texts"),
    ("tuple[float", "list of numbers"),
    ("tuple[typing.Annotated[float", "list of numbers"),
    ("tuple", "list of texts"),
    ("ByteSize", "size"),
    ("Fraction", "number or HH:MM:SS.mmm"),
    ("bool", "true or false"),
    ("int", "whole number"),
    ("float", "number"),
    ("str", "text"),
    ("SecretStr", "text"),
)


def _kind(annotation: Any) -> str:
    """What one writes, in words."""
    choices = re.search(r"typing\.Literal\[([^]]+)\]", str(annotation))
    if choices and choices[1] != "'auto'":
        several = "list of " if "tuple" in str(annotation) else ""
        return several + re.sub(r"'?([\w]+)'?", r"`\1`", choices[1])
    shown = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    return next(words for python, words in _KINDS if python in shown)
