"""Text tables read in blocks that end at a record: one pass plans them, then any part is read."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clipmill.core.errors import InputError
from clipmill.core.redact import redact_url
from clipmill.sources.forward import Chunk, ForwardReader
from clipmill.sources.streams import FileFacts, can_seek, open_plain, reading
from clipmill.sources.table_format import TableFormat, TablePlan

BLOCK_BYTES = 1 << 20
MAX_RECORD_BYTES = 256 << 20
BOM = b"\xef\xbb\xbf"


class BlockFormat(TableFormat):
    """A text format whose records end at newlines that can be found without parsing."""

    is_text = True

    @abstractmethod
    def last_record_end(self, data: bytes) -> int:
        """Where the last whole record ends; 0 when there is none. ``data`` starts at a record."""

    def plan(self, facts: FileFacts) -> TablePlan:
        """Go through the file once: count, note where blocks begin, settle types."""
        scan = self.scan(facts)
        block_rows, block_starts = [], []
        position, line = 0, 1
        with reading(facts.url):
            for start, whole in self._blocks(facts):
                check_utf8(whole, facts.url, line)
                header_size = 0 if start > len(BOM) else scan.begin(whole)
                position, block = start + header_size, whole[header_size:]
                line += whole.count(b"\n", 0, header_size)
                rows = scan.add(block, line) if block.strip() else 0
                if rows:
                    block_rows.append(rows)
                    block_starts.append(position)
                line += block.count(b"\n")
                position += len(block)
        plan = scan.finish()
        plan.rows = sum(block_rows)
        plan.chunk_rows = np.concatenate([[0], np.cumsum(block_rows, dtype=np.int64)])
        plan.chunk_bytes = np.array([*block_starts, position], dtype=np.int64)
        return plan

    @abstractmethod
    def scan(self, facts: FileFacts) -> BlockScan:
        """What takes in the blocks of one file while it is planned."""

    @abstractmethod
    def parse(self, block: bytes, plan: TablePlan, schema: pa.Schema, url: str) -> pa.Table:
        """Rows of one block of a planned file."""

    def reader(self, facts: FileFacts, plan: TablePlan, schema: pa.Schema) -> ForwardReader:
        """A cursor that seeks to any block, or, in a compressed file, only goes forwards."""
        assert plan.chunk_rows is not None
        assert plan.chunk_bytes is not None
        with reading(facts.url):
            seekable = facts.compression is None and can_seek(facts.url)
        seek_rows = plan.chunk_rows[:-1] if seekable else plan.chunk_rows[:1]
        parse = partial(self.parse, plan=plan, schema=schema, url=facts.url)
        open_at = partial(_planned_blocks, facts, plan.chunk_rows, plan.chunk_bytes, parse)
        return ForwardReader(open_at, seek_rows)

    def _blocks(self, facts: FileFacts) -> Iterator[tuple[int, bytes]]:
        """Blocks of whole records with their positions, byte-order mark left out."""
        with open_plain(facts.url, facts.compression) as file:
            data = file.read(BLOCK_BYTES)
            position = len(BOM) if data.startswith(BOM) else 0
            data = data[position:]
            wanted = BLOCK_BYTES
            while data:
                more = file.read(wanted)
                end = self.last_record_end(data) if more else len(data)
                if end:
                    yield position, data[:end]
                    position += end
                data = data[end:] + more
                wanted = BLOCK_BYTES if end else len(data)
                if not end and len(data) > MAX_RECORD_BYTES:
                    raise InputError(
                        f"{redact_url(facts.url)} has a record of more than "
                        f"{MAX_RECORD_BYTES >> 20} MiB from byte {position} on. "
                        "Is there a quote that is never closed?"
                    )


class BlockScan:
    """Takes in the blocks of one file while it is planned."""

    def begin(self, block: bytes) -> int:
        """Take what stands only once from the first block; says how many bytes that is."""
        return 0

    def add(self, block: bytes, line: int) -> int:
        """Take in one block that starts at ``line``; says how many rows it has."""
        raise NotImplementedError

    def finish(self) -> TablePlan:
        """Schema and header; the caller fills in rows and blocks."""
        raise NotImplementedError


def check_utf8(block: bytes, url: str, line: int) -> None:
    """Refuse text in another encoding.

    Raises:
        InputError: names the line and the byte.
    """
    try:
        block.decode()
    except UnicodeDecodeError as error:
        line += block.count(b"\n", 0, error.start)
        raise InputError(
            f"{redact_url(url)}, line {line}: byte 0x{block[error.start]:02x} is not UTF-8 text. "
            "Save the file as UTF-8 (it may be Latin-1 or Windows-1252)."
        ) from error


def _planned_blocks(
    facts: FileFacts,
    chunk_rows: npt.NDArray[np.int64],
    chunk_bytes: npt.NDArray[np.int64],
    parse: Callable[[bytes], pa.Table],
    first: int,
) -> Iterator[Chunk]:
    with reading(facts.url), open_plain(facts.url, facts.compression) as file:
        if first:
            file.seek(int(chunk_bytes[first]))
        else:
            _skip(file, int(chunk_bytes[0]))
        for index in range(first, len(chunk_rows) - 1):
            block = file.read(int(chunk_bytes[index + 1] - chunk_bytes[index]))
            rows = int(chunk_rows[index + 1] - chunk_rows[index])
            yield rows, partial(_parse_checked, parse, block, rows, facts.url)


def _parse_checked(
    parse: Callable[[bytes], pa.Table], block: bytes, rows: int, url: str
) -> pa.Table:
    table = parse(block)
    if table.num_rows != rows:
        raise InputError(f"{redact_url(url)} has changed since it was planned.")
    return table


def _skip(file: pa.NativeFile, size: int) -> None:
    while size > 0:
        skipped = len(file.read(min(size, BLOCK_BYTES)))
        if not skipped:
            return
        size -= skipped


class TxtFormat(BlockFormat):
    """One URL per line; spaces around it and empty lines are ignored, commas belong to it."""

    def last_record_end(self, data: bytes) -> int:
        """After the last newline."""
        return data.rfind(b"\n") + 1

    def scan(self, facts: FileFacts) -> BlockScan:
        """Count the lines that hold something."""
        return _TxtScan()

    def parse(self, block: bytes, plan: TablePlan, schema: pa.Schema, url: str) -> pa.Table:
        """The column ``url``."""
        return pa.table({"url": pa.array(_filled_lines(block), pa.string())})


class _TxtScan(BlockScan):
    def add(self, block: bytes, line: int) -> int:
        return len(_filled_lines(block))

    def finish(self) -> TablePlan:
        return TablePlan(rows=0, schema=pa.schema([("url", pa.string())]))


def _filled_lines(block: bytes) -> list[bytes]:
    return [line for line in map(bytes.strip, block.split(b"\n")) if line]
