"""Selections: keys of a dataset's samples under a name, to load or export without a copy.

::

    selections/
      keepers.parquet     key, shard (+ weight): a row for each selected one, in order
      keepers.json        the query, what it was taken from, and what each condition removed
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clipmill.core.errors import InputError, OutputError, UserError
from clipmill.core.registry import nearest
from clipmill.formats.tables import COMPRESSION, ROWS_PER_GROUP
from clipmill.io.folder import Folder

if TYPE_CHECKING:
    from clipmill.dataset.dataset import Dataset

SELECTIONS_FOLDER = "selections"
FACTS = ("query", "options", "dataset", "rows", "funnel")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_KEYS = pa.schema([("key", pa.string()), ("shard", pa.string())])


class Selection:
    """Keys of samples, in the order they were asked for: as the dataset's where none was.

    Args:
        dataset: whose samples they are.
        facts: content of ``NAME.json``: ``query``, ``options``, ``dataset`` (fingerprint, states of
            shards, column groups), ``rows``, ``hours`` and ``funnel``.
        rows: columns ``key``, ``shard`` and perhaps ``weight``. Default: read when first needed.
        name: None for a selection that lies nowhere.
    """

    def __init__(
        self,
        dataset: Dataset,
        facts: Mapping[str, Any],
        rows: pa.Table | None = None,
        name: str | None = None,
    ) -> None:
        self.dataset = dataset
        self.facts = facts
        self.name = name
        if rows is not None:
            self.rows = rows

    def __repr__(self) -> str:
        return f"Selection({self.name!r}, {len(self):,} of {self.dataset.folder.url!r})"

    def __len__(self) -> int:
        """Number of selected rows."""
        return int(self.facts["rows"])

    @cached_property
    def rows(self) -> pa.Table:
        """Columns ``key``, ``shard`` and perhaps ``weight``, one row for each selected one."""
        return _read_rows(self.dataset.folder, str(self.name))

    def keys(self) -> list[str]:
        """Keys of the selected samples, in order."""
        return [str(key) for key in self.rows.column("key").to_pylist()]

    def weights(self) -> list[float] | None:
        """How often each sample is to be drawn relative to others; None where all are alike."""
        if "weight" not in self.rows.column_names:
            return None
        weights: list[float] = self.rows.column("weight").to_pylist()  # type: ignore[assignment]
        return weights

    def by_shard(self) -> Iterator[tuple[str, pa.Table]]:
        """The selected rows of each shard that has any: shards as the dataset's, rows in order.

        Raises:
            InputError: a shard has gone from the dataset since the selection was made.
        """
        encoded = self.rows.column("shard").combine_chunks().dictionary_encode()
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        order = np.argsort(codes, kind="stable")
        ends = np.cumsum(np.bincount(codes, minlength=len(encoded.dictionary)))
        shards: list[str] = encoded.dictionary.to_pylist()  # type: ignore[assignment]
        places = dict(zip(shards, np.split(order, ends), strict=False))  # the last part is empty
        if gone := sorted(set(places) - set(self.dataset.shards)):
            raise InputError(
                f"{self.dataset.folder.url} has no shard {gone[0]} any more, which its selection "
                f"{self.name!r} names. Make the selection again with --overwrite."
            )
        for shard in self.dataset.shards:
            if shard in places:
                yield shard, self.rows.take(places[shard])

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The selected rows with columns of the dataset, in the selection's order.

        Args:
            columns: such as ``key``, ``motion`` or ``motion.mean``; see ``Dataset.table``.
        """
        from clipmill.dataset.joined import selected_table

        return selected_table(self, columns)

    @property
    def funnel(self) -> list[dict[str, Any]]:
        """What each condition removed, in order; see ``dataset/funnel.py``."""
        return list(self.facts["funnel"])

    def changed_shards(self) -> list[str]:
        """Shards that were written anew, or came or went, since the selection was made."""
        then = self.facts["dataset"]["shards"]
        now = {shard: self.dataset.state(shard) for shard in self.dataset.shards}
        return [shard for shard in {**then, **now} if then.get(shard) != now.get(shard)]


def check_selection_name(name: str) -> None:
    """Refuse names that are no file names everywhere.

    Raises:
        UserError: says which names can be.
    """
    if not _NAME.fullmatch(name) or _RESERVED.fullmatch(name) or name.endswith("."):
        raise UserError(
            f"{name!r} cannot be the name of a selection: it must begin with a letter or digit and "
            "have only letters, digits, '_', '-' and '.', at most 100 of them."
        )


def selection_names(folder: Folder) -> list[str]:
    """Names of a dataset's finished selections, sorted."""
    found = Folder(folder.url_of(SELECTIONS_FOLDER)).list()
    return [
        name
        for name in (file.removesuffix(".json") for file in found if file.endswith(".json"))
        if f"{name}.parquet" in found and _NAME.fullmatch(name)
    ]


def open_selection(dataset: Dataset, name: str) -> Selection:
    """A saved selection of a dataset.

    Raises:
        InputError: there is none of that name, or it is damaged.
    """
    check_selection_name(name)
    place = f"{SELECTIONS_FOLDER}/{name}.json"
    try:
        facts = dataset.folder.read_json(place)
    except FileNotFoundError as error:
        known = selection_names(dataset.folder)
        hint = nearest(name, known) if known else "It has no selections: `clipmill select`."
        raise InputError(f"{dataset.folder.url} has no selection {name!r}. {hint}") from error
    except ValueError as error:
        raise _damaged(dataset.folder, place, str(error)) from error
    if not isinstance(facts, dict) or any(fact not in facts for fact in FACTS):
        raise _damaged(dataset.folder, place, f"it must have {', '.join(FACTS)}")
    return Selection(dataset, facts, name=name)


def no_rows(*, weighted: bool) -> pa.Table:
    """An empty selection."""
    weight = [pa.field("weight", pa.float64())] if weighted else []
    return pa.Table.from_batches([], pa.schema([*_KEYS, *weight]))


class SelectionWriter:
    """Takes the rows of a selection, then what is said of it, and puts both in place.

    Args:
        folder: the dataset's.
        name: of the selection.

    Raises:
        UserError: the name is none.
    """

    def __init__(self, folder: Folder, name: str) -> None:
        check_selection_name(name)
        self.folder = folder
        self.name = name
        self._scratch = tempfile.TemporaryDirectory(prefix="clipmill-")
        self._draft = Path(self._scratch.name) / "rows.parquet"
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> SelectionWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._writer:
            self._writer.close()
        self._scratch.cleanup()

    def add(self, rows: pa.Table) -> None:
        """Add rows: ``key``, ``shard`` and perhaps ``weight``."""
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._draft, rows.schema, compression=COMPRESSION)
        self._writer.write_table(rows, row_group_size=ROWS_PER_GROUP)

    def commit(self, facts: Mapping[str, Any], *, overwrite: bool = False) -> None:
        """Save the selection; whatever cuts it off, no half one is left under the name.

        Args:
            facts: content of ``NAME.json``.
            overwrite: replace one of the same name that says something else.

        Raises:
            OutputError: there is one of the same name that says something else.
        """
        place = f"{SELECTIONS_FOLDER}/{self.name}"
        if self.folder.exists(f"{place}.json") and not overwrite:
            if self.folder.exists(f"{place}.parquet") and self._is_same(facts):
                return
            raise OutputError(
                f"{self.folder.url} has a selection {self.name!r} already, of another query or of "
                "an earlier state of the dataset. Replace it with --overwrite, or choose another "
                "name."
            )
        if self._writer is None:
            self.add(no_rows(weighted=False))
        if self._writer:
            self._writer.close()
        # Readers go by the JSON file, so it goes first and comes last.
        self.folder.remove(f"{place}.json")
        self.folder.put(self._draft, f"{place}.parquet")
        self.folder.write_json(f"{place}.json", facts)

    def _is_same(self, facts: Mapping[str, Any]) -> bool:
        try:
            known = self.folder.read_json(f"{SELECTIONS_FOLDER}/{self.name}.json")
        except ValueError:
            return False
        return bool(known == json.loads(json.dumps(facts)))


def _read_rows(folder: Folder, name: str) -> pa.Table:
    place = f"{SELECTIONS_FOLDER}/{name}.parquet"
    try:
        with folder.open(place) as file:
            rows = pq.ParquetFile(file).read()
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        raise _damaged(folder, place, str(error)) from error
    if missing := [column for column in _KEYS.names if column not in rows.column_names]:
        raise _damaged(folder, place, f"it has no column {missing[0]!r}")
    return rows


def _damaged(folder: Folder, place: str, reason: str) -> InputError:
    return InputError(
        f"{folder.url_of(place)} cannot be read: {reason}. Make the selection again with "
        "--overwrite."
    )
