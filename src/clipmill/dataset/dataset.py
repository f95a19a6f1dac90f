"""A dataset opened for reading: ours, video2dataset's or img2dataset's."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clipmill.core.config import fingerprint
from clipmill.core.errors import InputError, UserError
from clipmill.core.registry import load, nearest
from clipmill.dataset.selection import Selection, open_selection, selection_names
from clipmill.formats.base import MemberPlace, ShardFormat
from clipmill.formats.sidecar import TEXTS
from clipmill.formats.tables import table_name
from clipmill.io.folder import Folder
from clipmill.io.layout import (
    DATASET_FILE,
    SOURCES_FOLDER,
    STATS_SUFFIX,
    read_manifest,
    read_stats,
    shard_order,
)


class Dataset:
    """A folder of finished shards.

    Args:
        folder: local path or fsspec URL of the dataset.

    Raises:
        InputError: there is no dataset there, or it may not be read.
    """

    def __init__(self, folder: str | os.PathLike[str] | Folder) -> None:
        self.folder = folder if isinstance(folder, Folder) else Folder(folder)
        try:
            names = self.folder.list()
        except PermissionError as error:
            raise InputError(f"{self.folder.url} cannot be read: {error.strerror}.") from error
        if DATASET_FILE not in names and not any(name.endswith(STATS_SUFFIX) for name in names):
            raise InputError(
                f"There is no dataset at {self.folder.url}: neither {DATASET_FILE} nor a shard's "
                f"*{STATS_SUFFIX} is there."
            )
        self._names = names

    def __repr__(self) -> str:
        return f"Dataset({self.folder.url!r}, {len(self.shards)} shards)"

    def __len__(self) -> int:
        """Number of rows, failed ones included."""
        return sum(int(stats["count"]) for stats in self.stats.values())

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Content of ``dataset.json``; empty for a peer's dataset."""
        if DATASET_FILE not in self._names:
            return {}
        return read_manifest(self.folder)

    @property
    def numbers_its_keys(self) -> bool:
        """Whether keys are places in shards, rather than those that samples had already."""
        return bool(self.manifest) and not self.manifest["recipe"].keys() & {"split", "render"}

    @cached_property
    def layout(self) -> ShardFormat:
        """The shard format, as recorded or as the files look."""
        name = self.manifest.get("recipe", {}).get("write", {}).get("format")
        if name is None and not self.manifest:
            name = self._guess_format()
        layout: ShardFormat = load("clipmill.formats", name or "webdataset")()
        return layout

    def _guess_format(self) -> str:
        for suffix, name in ((".tar", "webdataset"), (".tfrecord", "tfrecord")):
            if any(found.endswith(suffix) for found in self._names):
                return name
        return "files" if self.stats.keys() & set(self._names) else "parquet"

    @cached_property
    def stats(self) -> dict[str, dict[str, Any]]:
        """Stats of every finished shard, by name, in order."""
        found = [
            name.removesuffix(STATS_SUFFIX) for name in self._names if name.endswith(STATS_SUFFIX)
        ]
        return {shard: read_stats(self.folder, shard) for shard in sorted(found, key=shard_order)}

    @cached_property
    def shards(self) -> list[str]:
        """Names of finished shards, further volumes included, in order."""
        found = []
        for unit, stats in self.stats.items():
            found.append(unit)
            found += [f"{unit}-{number}" for number in range(1, stats.get("volumes", 1))]
        return found

    def state(self, shard: str) -> str:
        """What changes whenever a shard is written anew: columns beside it are of one state."""
        return fingerprint(self._unit_stats(shard))

    def schema_name(self, shard: str) -> str | None:
        """What tables of the same columns have in common, where the stats tell."""
        return self._unit_stats(shard).get("schema")

    def _unit_stats(self, shard: str) -> dict[str, Any]:
        """Stats of a shard, which its volumes have together."""
        return self.stats[shard if shard in self.stats else shard.rpartition("-")[0]]

    def schema(self, shard: str) -> pa.Schema:
        """Columns of one shard's table."""
        with self.folder.open(self.table_path(shard)) as file:
            return pq.read_schema(file)

    def table_path(self, shard: str) -> str:
        """Name of a shard's table inside the folder.

        Raises:
            UserError: the layout keeps no tables.
        """
        name = self.layout.table_name(shard)
        if name is None:
            raise UserError(f"Format {self.layout.name!r} keeps no table of its rows.")
        return name

    def row_count(self, shard: str) -> int:
        """Rows of one shard's table."""
        with self.folder.open(self.table_path(shard)) as file:
            return int(pq.read_metadata(file).num_rows)

    def shard_table(self, shard: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows of one shard, media bytes left out.

        Args:
            shard: its name.
            columns: names of columns to read. Default: all but columns that hold media.

        Raises:
            InputError: a column does not exist, or the table is missing.
        """
        try:
            with self.folder.open(self.table_path(shard)) as file:
                parquet = pq.ParquetFile(file)
                schema = parquet.schema_arrow
                if columns is None:
                    columns = [field.name for field in schema if not holds_media(field, schema)]
                for name in columns:
                    if name not in schema.names:
                        raise InputError(
                            f"{self.folder.url} has no column {name!r}. "
                            f"{nearest(name, schema.names)}"
                        )
                return parquet.read(columns=list(columns))
        except FileNotFoundError as error:
            raise InputError(
                f"Shard {shard} of {self.folder.url} has lost its table {self.table_path(shard)}."
            ) from error
        except (pa.ArrowInvalid, PermissionError) as error:
            raise InputError(
                f"{self.table_path(shard)} of {self.folder.url} cannot be read: {error}"
            ) from error

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows as one table, media bytes left out.

        Args:
            columns: names of columns to read, of steps (``motion``) and fields (``motion.mean``)
                too. Default: all columns of the shards' tables but those that hold media.

        Raises:
            InputError: a column does not exist, or a table is missing or damaged.
        """
        if columns is not None and self.shards:
            own = self.schema(self.shards[0]).names
            if not set(columns) <= set(own):
                from clipmill.dataset.joined import joined_table

                return joined_table(self, columns)
        tables = [self.shard_table(shard, columns) for shard in self.shards]
        if not tables:
            raise InputError(f"{self.folder.url} has no finished shard yet.")
        return pa.concat_tables(tables, promote_options="permissive")

    def sources(self) -> pa.Table:
        """One row for each source that was split: all its cuts, and what was decoded for it.

        Raises:
            InputError: nothing was split to make this dataset.
        """
        if SOURCES_FOLDER not in self._names:
            raise InputError(
                f"{self.folder.url} has no table of sources: its rows were not split from others."
            )
        tables = []
        for shard in self.stats:
            with self.folder.open(f"{SOURCES_FOLDER}/{table_name(shard)}") as file:
                tables.append(pq.ParquetFile(file).read())
        return pa.concat_tables(tables)

    @property
    def selections(self) -> list[str]:
        """Names of its saved selections, sorted."""
        return selection_names(self.folder)

    def sql(self, query: str) -> pa.Table:
        """What a query says, in which the dataset is called ``data``.

        Args:
            query: a SELECT of DuckDB, such as ``select status, count(*) from data group by all``.

        Raises:
            UserError: the query is wrong, or does more than read the dataset; says where.
        """
        from clipmill.dataset.ask import ask

        return ask(self, query)

    def select(
        self, query: str, *, name: str | None = None, overwrite: bool = False, **options: Any
    ) -> Selection:
        """Select samples by a condition, without copying them.

        Args:
            query: a condition on successful rows, such as ``motion.mean > 0.3``; or a whole query
                that gives ``key``: ``select key from data where ...``.
            name: to save it under. Default: it is not saved.
            overwrite: replace a selection of that name that says something else.
            **options: ``order``, ``limit``, ``per_source``, ``sample``, ``seed`` and ``weight``;
                see ``clipmill.dataset.choose.Options``.

        Raises:
            UserError: the query or an option is wrong, or there is another one of that name.
        """
        from clipmill.dataset.choose import make_options
        from clipmill.dataset.select import select

        return select(self, query, make_options(options), name=name, overwrite=overwrite)

    def selection(self, name: str) -> Selection:
        """A saved selection.

        Raises:
            InputError: there is none of that name, or it is damaged.
        """
        return open_selection(self, name)

    def uid_prefixes(self) -> Iterator[np.ndarray[Any, np.dtype[np.uint64]]]:
        """First 64 bits of the uid of every row, or of what rows were split from; by shards."""
        split = SOURCES_FOLDER in self._names
        tables = [self.sources()] if split else (self.shard_table(n, ["uid"]) for n in self.shards)
        for table in tables:
            uids = table.column("uid").to_pylist()
            yield np.array([int(str(uid)[:16], 16) for uid in uids], dtype=np.uint64)

    def sample(self, key: str) -> dict[str, Any]:
        """One row by key, its media as bytes under their extensions.

        Shards that do not say where their media lie, as the peers' do, are gone through for them.

        Args:
            key: the sample's key.

        Raises:
            InputError: no finished shard has that key.
        """
        # Most keys begin with the name of their shard; those of exports are what they were before.
        likely = sorted(self.shards, key=lambda name: not key.startswith(name.partition("-")[0]))
        for shard in likely:
            keys = self.shard_table(shard, ["key"]).column("key").to_pylist()
            if key in keys:
                table = self.shard_table(shard).slice(keys.index(key), 1)
                row: dict[str, Any] = table.to_pylist()[0]
                return {**row, **self._media(shard, key, keys.index(key), row)}
        raise InputError(f"{self.folder.url} has no sample with key {key!r}.")

    def _media(self, shard: str, key: str, number: int, row: dict[str, Any]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        if "media" not in row:
            for name, refs, _ in self.layout.read_samples(self.folder, shard):
                if name.rpartition("/")[2] == key:
                    media = {ext: ref for ext, ref in refs.items() if ext not in TEXTS}
                    return {ext: self.layout.read(self.folder, ref) for ext, ref in media.items()}
            return found
        for extension, place in (row.get("media") or {}).items():
            if place is not None:
                ref = self.layout.locate(
                    self.folder, shard, key, number, extension, MemberPlace(**place)
                )
                found[extension] = self.layout.read(self.folder, ref)
        return found


def holds_media(field: pa.Field[Any], schema: pa.Schema) -> bool:
    """Whether a column holds media bytes, as the ``parquet`` format's do."""
    return bool(pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type)) and (
        "media" not in schema.names
        or any(part.name == field.name for part in schema.field("media").type)
    )
