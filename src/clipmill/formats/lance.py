"""One Lance dataset of all shards: media as blobs, and what is known of them as flat columns.

::

    dataset.lance/data/00000.lance    a fragment: those samples of a shard that have media
    dataset.lance/_versions           which fragments there are; written once all shards are done
    00000.parquet                     the table of all rows, and where media lie in the fragment

Blobs lie in a fragment as they are, so this package reads them by offset, without Lance.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from clipmill.core.extras import require
from clipmill.core.sample import MediaRef
from clipmill.formats.base import MemberPlace, ShardFormat
from clipmill.formats.flat import flat_table, rows_with_media
from clipmill.formats.lance_dataset import Fragment, bare_schema, write_dataset
from clipmill.formats.media_table import media_cells, media_column_names, row_groups
from clipmill.formats.spool import SpoolWriter
from clipmill.formats.table_files import read_rows
from clipmill.formats.tables import table_name, with_offsets, write_table
from clipmill.io.byte_reader import ByteReader
from clipmill.io.folder import Folder
from clipmill.io.tar import TarMember

ROOT = "dataset.lance"
_MODULE, _EXTRA = "lance", "lance"
_VERSION = (2, 1)
"""Of the file format: the newest in which blobs lie in the fragment itself."""
_BLOB = {"lance-encoding:blob": "true"}
_UNLIMITED = 2**60


def fragment_name(shard: str) -> str:
    """Name of a shard's fragment."""
    return f"{ROOT}/data/{shard}.lance"


class LanceWriter(SpoolWriter):
    """Writes a fragment; which fragments there are is said when all are done."""

    layout: ClassVar[str] = "lance"

    def finish(self, table: pa.Table) -> list[str]:
        """Write the fragment, and the table that tells where in it media lie."""
        cells, rows = self.spooled(), rows_with_media(table)
        if not rows:
            return [write_table(self.staging, self.shard, table)]
        names = media_column_names(table.schema)
        known = flat_table(table, rows, names)
        keys = [str(key) for key in table.column("key").take(pa.array(rows)).to_pylist()]
        media = {name: [cells.get(name, {}).get(key) for key in keys] for name in names}
        work = self.staging / f"{self.shard}.work"
        shutil.rmtree(work, ignore_errors=True)
        offsets = _write_fragment(work, known, media, self.spool_path)
        final = self.staging / fragment_name(self.shard)
        final.parent.mkdir(parents=True, exist_ok=True)
        (made,) = (work / "data").iterdir()  # its name is drawn by chance
        os.replace(made, final)
        placed = with_offsets(table, rows, offsets)
        return [fragment_name(self.shard), write_table(self.staging, self.shard, placed)]


def _with_blobs(known: pa.Schema, names: Sequence[str]) -> pa.Schema:
    """The columns of a fragment: those of the flat table, then a blob for each extension."""
    blobs = [pa.field(name, pa.large_binary(), metadata=_BLOB) for name in names]
    return pa.schema([*known.remove_metadata(), *blobs])


def _write_fragment(
    work: Path,
    known: pa.Table,
    media: Mapping[str, Sequence[TarMember | None]],
    spool_path: Path,
) -> dict[str, list[int | None]]:
    """Write one data file below ``work``; where in it the media of each row begin."""
    lance = require(_MODULE, extra=_EXTRA, used_by="format 'lance'")
    known = known.cast(bare_schema(known.schema)).combine_chunks()
    schema = _with_blobs(known.schema, list(media))
    members = list(media.values())

    def batches() -> Iterator[pa.RecordBatch]:
        for start, end in row_groups(members, known.num_rows):
            (batch,) = known.slice(start, end - start).to_batches()
            blobs = [media_cells(one[start:end], spool, pa.large_binary()) for one in members]
            yield pa.RecordBatch.from_arrays([*batch.columns, *blobs], schema=schema)

    with ByteReader(spool_path) as spool:
        fragments = lance.fragment.write_fragments(
            pa.RecordBatchReader.from_batches(schema, batches()),
            work,
            schema=schema,
            mode="create",
            max_rows_per_file=known.num_rows,
            max_bytes_per_file=_UNLIMITED,
            data_storage_version=".".join(map(str, _VERSION)),
        )
    made = lance.LanceDataset.commit(work, lance.LanceOperation.Overwrite(schema, fragments))
    found = made.scanner(columns=list(media), blob_handling="blobs_descriptions").to_table()
    return {
        name: [place and place["position"] for place in found.column(name).to_pylist()]
        for name in media
    }


class LanceFormat(ShardFormat):
    """A Lance dataset, which fetches the media of any row by themselves."""

    name: ClassVar[str] = "lance"
    texts: ClassVar[frozenset[str]] = frozenset()
    members_are_columns: ClassVar[bool] = True
    index_files: ClassVar[tuple[str, ...]] = (ROOT,)
    needs: ClassVar[tuple[tuple[str, str], ...]] = ((_MODULE, _EXTRA),)

    def writer(self, staging: Path, shard: str) -> LanceWriter:
        """A writer of one fragment."""
        return LanceWriter(staging, shard)

    def table_name(self, shard: str) -> str:
        """``<shard>.parquet``."""
        return table_name(shard)

    def read_samples(
        self, folder: Folder, shard: str
    ) -> Iterator[tuple[str, Mapping[str, MediaRef], Mapping[str, Any]]]:
        """Samples in row order, failed ones too, as the table tells of them."""
        path = folder.url_of(fragment_name(shard))
        for row in read_rows(folder, shard):
            places = {name: place for name, place in (row.get("media") or {}).items() if place}
            yield (
                row["key"],
                {
                    name: MediaRef(path, name, place["offset"], place["size"])
                    for name, place in places.items()
                },
                row,
            )

    def locate(
        self, folder: Folder, shard: str, key: str, row: int, extension: str, place: MemberPlace
    ) -> MediaRef:
        """A stretch of the fragment."""
        return MediaRef(folder.url_of(fragment_name(shard)), extension, place.offset, place.size)

    def conclude(self, folder: Folder, shards: Sequence[str], about: Mapping[str, Any]) -> None:
        """Make a dataset of the fragments, as its first version."""
        lance = require(_MODULE, extra=_EXTRA, used_by="format 'lance'")
        found = [one for shard in shards if (one := _fragment(folder, shard))]
        write_dataset(Folder(folder.url_of(ROOT)), found, _VERSION, lance)


def _fragment(folder: Folder, shard: str) -> Fragment | None:
    """What a shard's table says of its fragment; None where no sample has media."""
    with folder.open(table_name(shard)) as file:
        table = pq.ParquetFile(file)
        schema = table.schema_arrow
        rows = rows_with_media(table.read(columns=["media"]))
    if not rows:
        return None
    name = fragment_name(shard)
    known = flat_table(schema.empty_table(), [], media_column_names(schema))
    with ByteReader(folder.url_of(name)) as reader:
        size = reader.size
    columns = _with_blobs(known.schema, media_column_names(schema))
    return Fragment(name.rpartition("/")[2], columns, len(rows), size)
