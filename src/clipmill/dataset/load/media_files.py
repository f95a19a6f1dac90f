"""Media of samples, open for decoding wherever their bytes lie."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from clipmill.core.request import DecoderName
from clipmill.core.sample import MediaRef, refuse_changed
from clipmill.dataset.load.far_bytes import FarBytes, cut_short, gone
from clipmill.io.filesystem import open_filesystem
from clipmill.io.parquet_cells import ParquetCells
from clipmill.io.remote import from_remote
from clipmill.io.stretch import Place, Stretch, file_of, mapped
from clipmill.media.decode import Index, MediaFile
from clipmill.media.torchcodec_reader import check_decoder

_PIECE_BYTES = 1 << 24
_INDEXES_KEPT = 2048
"""Of clips some ten kilobytes each, of an hour some megabytes; those of long files count more."""
_FRAMES_PER_INDEX = 1000


class MediaFiles:
    """Opens media for decoding; what is far away is fetched once and kept while there is room.

    What was learnt of a file's frames is kept too: clips share it, and so do epochs.

    Args:
        cache_bytes: bytes of far media to keep in memory.
        decoder: of pictures.

    Raises:
        MissingExtra: the decoder cannot be loaded.
    """

    def __init__(self, cache_bytes: int, decoder: DecoderName = "pyav") -> None:
        check_decoder(decoder)
        self._decoder = decoder
        self._far = FarBytes(cache_bytes)
        self._indexes: OrderedDict[tuple[MediaRef, int, bool], Index] = OrderedDict()
        self._weight = 0
        self._lock = threading.Lock()
        self._cells = ParquetCells()

    def fetch(self, refs: Iterable[MediaRef]) -> None:
        """Fetch from far storage what is about to be opened, as far as that saves requests."""
        self._far.fetch(ref for ref in refs if "://" in ref.path and ref.row is None)

    @contextmanager
    def open(self, ref: MediaRef, *, hears: bool) -> Iterator[MediaFile]:
        """The media of a sample, open for as long as the context lasts.

        Args:
            ref: where they lie.
            hears: whether their sound is of interest.

        Raises:
            ProcessError: they are not there any more (``media_gone``), are others than clips were
                found in (``source_changed``), or cannot be read.
        """
        with self._place(ref) as place:
            # Another file under the same name is another file.
            changed = os.stat(file_of(place)).st_mtime_ns if "://" not in ref.path else 0
            identity = (ref, changed, hears)
            with self._lock:
                known = self._indexes.get(identity)
            if known is None and ref.sha256 is not None:
                with mapped(place) as (data, start, end):
                    refuse_changed(ref, hashlib.sha256(memoryview(data)[start:end]).hexdigest())
            with MediaFile(place, hears=hears, known=known, decoder=self._decoder) as media:
                if known is None:
                    self._remember(identity, media.index)
                yield media

    def _remember(self, identity: tuple[MediaRef, int, bool], index: Index) -> None:
        with self._lock:
            if identity not in self._indexes:
                self._indexes[identity] = index
                self._weight += _weight(index)
            while self._weight > _INDEXES_KEPT:
                self._weight -= _weight(self._indexes.popitem(last=False)[1])

    @contextmanager
    def _place(self, ref: MediaRef) -> Iterator[Place]:
        if "://" not in ref.path and ref.row is None:
            yield _local(ref)
            return
        data = self._far.read(ref) if ref.row is None else self._cell(ref)
        with _memory_file(data) as path:
            yield path

    def read(self, ref: MediaRef) -> bytes:
        """The bytes of a medium.

        Args:
            ref: where they lie.

        Raises:
            ProcessError: they are not there any more (``media_gone``), or not all of them
                (``truncated``).
        """
        if ref.row is not None:
            return self._cell(ref)
        if "://" in ref.path:
            return self._far.read(ref)
        place = _local(ref)
        if isinstance(place, Stretch):
            with place.path.open("rb") as file:
                file.seek(place.offset)
                return file.read(place.size)
        return Path(place).read_bytes()

    def _cell(self, ref: MediaRef) -> bytes:
        assert ref.row is not None
        with from_remote(ref.path):
            filesystem, path = open_filesystem(ref.path)
            return self._cells.read(filesystem, path, ref.extension, ref.row).to_pybytes()


def _weight(index: Index) -> int:
    frames, _ = index
    return 1 + len(frames or ()) // _FRAMES_PER_INDEX


def _local(ref: MediaRef) -> Place:
    try:
        size = os.stat(ref.path).st_size
    except OSError as error:
        raise gone(ref.path) from error
    if ref.offset is None or ref.size is None:
        return Path(ref.path)
    if ref.offset + ref.size > size:
        raise cut_short(ref, size)
    return Stretch(Path(ref.path), ref.offset, ref.size)


@contextmanager
def _memory_file(data: bytes) -> Iterator[Path]:
    """Bytes as a file that lies in memory, or where systems have none, in the temporary folder."""
    if not hasattr(os, "memfd_create"):
        with tempfile.NamedTemporaryFile(prefix="clipmill-") as file:
            file.write(data)
            file.flush()
            yield Path(file.name)
        return
    descriptor = os.memfd_create("clipmill")
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view[:_PIECE_BYTES]) :]
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
