"""The card of a dataset on the Hub: what its files are, where they come from, what columns mean."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from clipmill.core.words import counted, duration_text, hours_text

_LICENSE = "license"
_SECONDS = "probe_duration_seconds"


class Card:
    """Adds up what a dataset holds, and tells of it.

    Args:
        about: content of ``dataset.json``.
    """

    def __init__(self, about: Mapping[str, Any]) -> None:
        self._about = about
        self._clips = 0
        self._seconds = 0.0
        self._extensions: set[str] = set()
        self._licenses: Counter[str] = Counter()
        self._columns: dict[str, pa.Field[Any]] = {}

    def add(self, rows: pa.Table) -> None:
        """Count in the samples of a shard, as ``metadata.parquet`` tells of them."""
        self._clips += rows.num_rows
        self._columns |= {field.name: field for field in rows.schema}
        names = rows.column("file_name").to_pylist()
        self._extensions |= {str(name).rpartition(".")[2] for name in names}
        if _SECONDS in rows.column_names:
            self._seconds += sum(filter(None, rows.column(_SECONDS).to_pylist()))
        has_licenses = _LICENSE in rows.column_names
        values = rows.column(_LICENSE).to_pylist() if has_licenses else [None] * rows.num_rows
        self._licenses.update(str(value or "not known") for value in values)

    def text(self) -> str:
        """The card, as Markdown behind YAML."""
        return "\n".join([*self._front(), "", *self._body()]) + "\n"

    def _front(self) -> Iterator[str]:
        patterns = [f"[0-9]*/*.{extension}" for extension in sorted(self._extensions)]
        yield from ("---", "configs:", "- config_name: default", "  data_files:")
        yield from ("  - split: train", "    path:")
        yield from (f"    - {json.dumps(path)}" for path in [*patterns, "[0-9]*/metadata.parquet"])
        yield "---"

    def _body(self) -> Iterator[str]:
        yield f"{counted(self._clips, 'sample')}, {duration_text(self._seconds)}. Made by "
        yield f"{self._about['tool']}, recipe `{self._about['fingerprint']}`."
        yield from ("", "```python", "datasets.load_dataset(FOLDER_OR_NAME, split='train')", "```")
        yield from ("", "## Where it comes from", "")
        for given in self._about["inputs"]:
            places = ", ".join(f"`{place}`" for place in given["location"]) or "rows of a program"
            rows = counted(given["rows"], "row")
            yield f"- {rows} of {places}, fingerprint `{given['fingerprint']}`"
        for given in self._about["inputs"]:
            if chosen := given.get("selection"):
                yield from _funnel(chosen)
        yield from ("", "## Licences", "", "| licence | samples |", "|---|---|")
        yield from (
            f"| {_cell(name)} | {count:,} |" for name, count in self._licenses.most_common()
        )
        yield from ("", "## Columns", "", "| column | type | unit | |", "|---|---|---|---|")
        yield from map(_column, self._columns.values())


def _column(field: pa.Field[Any]) -> str:
    told = {name.decode(): text.decode() for name, text in (field.metadata or {}).items()}
    unit, description = _cell(told.get("unit", "")), _cell(told.get("description", ""))
    return f"| `{field.name}` | `{_cell(str(field.type))}` | {unit} | {description} |"


def _funnel(chosen: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", f"## Selection `{chosen['name']}`", "", "```sql", chosen["query"], "```", "")
    yield from ("| condition | removes alone | removes in turn | left | length left |",)
    yield "|---|---|---|---|---|"
    for stage in chosen["funnel"]:
        counts = [stage[name]["rows"] for name in ("alone", "in_turn", "left")]
        told = " | ".join(f"{count:,}" for count in counts)
        yield f"| `{_cell(stage['condition'])}` | {told} | {hours_text(stage['left']['hours'])} |"


def _cell(text: str) -> str:
    """A text that does not end its cell of a table."""
    return " ".join(text.replace("|", "\\|").split())
