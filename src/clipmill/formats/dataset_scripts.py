"""Folders of videos and one table, as Hugging Face's video-dataset-scripts keep them.

::

    00000/000000.mp4    media
    videos.parquet      of each: file, seen from here, and the columns of the table, flattened
    00000.parquet       the table of all rows, failed ones too

The scripts take the folder as ``--path`` and ``videos.parquet`` as ``--parquet-path``
(``video_processing/README.md`` there).
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from clipmill.formats.flat import flat_table, rows_with_media
from clipmill.formats.huggingface import main_extension
from clipmill.formats.table_files import TableFilesFormat
from clipmill.formats.tables import table_name
from clipmill.io.folder import Folder

TABLE = "videos.parquet"
_FILE = "file"
_CAPTION = "caption"
_CAPTIONS = "input_caption"
_FRAMES = "frames"
"""Pictures the scripts took of videos that were called otherwise; they refuse to take them anew
where the column is there."""


class DatasetScriptsFormat(TableFilesFormat):
    """Media in folders, and one table of them."""

    name: ClassVar[str] = "video-dataset-scripts"
    texts: ClassVar[frozenset[str]] = frozenset()
    index_files: ClassVar[tuple[str, ...]] = (TABLE,)

    def conclude(self, folder: Folder, shards: Sequence[str], about: Mapping[str, Any]) -> None:
        """Write the table of all videos; columns that some shards lack are null there."""
        tables = []
        for shard in shards:
            with folder.open(table_name(shard)) as file:
                tables.append(_videos(pq.ParquetFile(file).read(use_threads=False), shard))
        sink = io.BytesIO()
        whole = pa.concat_tables(tables, promote_options="permissive")
        pq.write_table(whole, sink, compression="snappy")  # as the scripts do
        folder.write_bytes(TABLE, sink.getvalue())


def _videos(table: pa.Table, shard: str) -> pa.Table:
    """What the scripts would know of a shard's videos: ``file`` first, captions as lists."""
    there = rows_with_media(table)
    known = flat_table(table, there, {_FILE})
    placed = table.select(["key", "media"]) if there else table.schema.empty_table()
    places = placed.take(pa.array(there, pa.int64())).to_pylist()
    files = [f"{shard}/{row['key']}.{main_extension(row['media'])}" for row in places]
    made: dict[str, Any] = {_FILE: pa.array(files, pa.string())}
    made |= {name: known.column(name) for name in known.column_names if name != _FRAMES}
    if _CAPTIONS in made and pa.types.is_list(made[_CAPTIONS].type):
        made[_CAPTION] = made.pop(_CAPTIONS)
    elif _CAPTION in made:
        texts = [[text] if text else [] for text in made[_CAPTION].to_pylist()]
        made[_CAPTION] = pa.array(texts, pa.list_(pa.string()))
    return pa.table(made)
