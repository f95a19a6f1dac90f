"""A folder that ``datasets.load_dataset`` reads: media, what is known of them, and a card.

::

    README.md                   the card: which files are the data, where they come from, columns
    00000/000000.mp4            media
    00000/metadata.parquet      of each: file_name, and the columns of the table, flattened
    00000.parquet               the table of all rows, failed ones too

``datasets`` takes such a folder for its VideoFolder, or AudioFolder where only sound is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from clipmill.core.media_names import AUDIO_EXTENSIONS, IMAGE_EXTENSIONS
from clipmill.formats.card import Card
from clipmill.formats.files import FilesWriter
from clipmill.formats.flat import flat_table, rows_with_media
from clipmill.formats.media_table import media_column_names
from clipmill.formats.table_files import TableFilesFormat
from clipmill.formats.tables import COMPRESSION
from clipmill.io.folder import Folder

METADATA = "metadata.parquet"
FILE_NAME = "file_name"
_TAKEN = frozenset({FILE_NAME, "video", "audio", "image", "label"})
"""Names that the reader gives to columns of its own."""
_PATH = re.compile(r"(?:^|(?<=_))file_name(s?)$")
"""Ends of names by which the reader takes a column for paths of further media."""


class HuggingFaceWriter(FilesWriter):
    """Writes a folder of media, and beside them what is known of each."""

    def finish(self, table: pa.Table) -> list[str]:
        """Write ``metadata.parquet`` and the table; a shard without media has no folder."""
        known = flat_rows(table)
        if known.num_rows:
            pq.write_table(known, self._folder / METADATA, compression=COMPRESSION)
        return super().finish(table)


class HuggingFaceFormat(TableFilesFormat):
    """Media in folders, as the Hub and ``datasets`` read them."""

    name: ClassVar[str] = "huggingface"
    texts: ClassVar[frozenset[str]] = frozenset()
    index_files: ClassVar[tuple[str, ...]] = ("README.md",)

    def writer(self, staging: Path, shard: str) -> HuggingFaceWriter:
        """A writer of one folder."""
        return HuggingFaceWriter(staging, shard)

    def conclude(self, folder: Folder, shards: Sequence[str], about: Mapping[str, Any]) -> None:
        """Write the card."""
        card = Card(about)
        for shard in shards:
            if folder.exists(f"{shard}/{METADATA}"):
                with folder.open(f"{shard}/{METADATA}") as file:
                    card.add(pq.ParquetFile(file).read(use_threads=False))
        folder.write_bytes("README.md", card.text().encode())


def flat_rows(table: pa.Table) -> pa.Table:
    """What is known of every sample that has media, structs as columns of their own.

    Args:
        table: of a shard, failed rows too.

    Returns:
        ``file_name`` first, from the shard's folder; then of sound and images beside a video
        ``<extension>_path``; then ``probe_duration_seconds`` and so on.
    """
    extensions = media_column_names(table.schema)
    there = rows_with_media(table)
    rows = table.take(pa.array(there, pa.int64()))
    keys = rows.column("key").to_pylist()
    media: list[Any] = rows.column("media").to_pylist() if extensions else []
    names = [f"{key}.{main_extension(row)}" for key, row in zip(keys, media, strict=True)]
    made: dict[str, Any] = {FILE_NAME: pa.array(names, pa.string())}
    least = min(map(_rank, extensions), default=0)
    for extension in (name for name in extensions if _rank(name) > least):
        paths = [
            f"{key}.{extension}" if row[extension] else None
            for key, row in zip(keys, media, strict=True)
        ]
        made[f"{extension}_path"] = pa.array(paths, pa.string())
    known = flat_table(table, there, {*_TAKEN, *made})
    known = known.rename_columns(_without_paths(known.column_names))
    paths_first = pa.table(made)
    return pa.table(
        [*paths_first.columns, *known.columns],
        schema=pa.schema([*paths_first.schema, *known.schema]),
    )


def main_extension(media: Mapping[str, Any]) -> str | None:
    """The member that a sample is: its video, else its sound, else whatever there is."""
    return min((name for name, place in media.items() if place), key=_rank, default=None)


def _rank(extension: str) -> int:
    return (extension in AUDIO_EXTENSIONS) + 2 * (extension in IMAGE_EXTENSIONS)


def _without_paths(names: Sequence[str]) -> list[str]:
    """Names of columns, ``x_filename`` in place of ``x_file_name``, whose files it would open."""
    told: list[str] = []
    for name in names:
        plain = _PATH.sub(r"filename\1", name)
        while plain != name and (plain in told or plain in names):
            plain = f"input_{plain}"
        told.append(plain)
    return told
