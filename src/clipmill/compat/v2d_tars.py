"""Samples of tars with all their members, as WebDataset has them."""

from __future__ import annotations

import io
import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from clipmill.core.errors import DamagedInput, InputError, ProcessError
from clipmill.core.sample import MediaRef
from clipmill.io.tar import TarReader
from clipmill.io.tar_samples import TarSample, whole_samples
from clipmill.sources.folder_kind import list_folder
from clipmill.sources.paths import expand, is_folder
from clipmill.sources.streams import reading

_KEPT_TARS = 64
"""Tars whose members' places are in memory: about as many as a window of the order touches."""
_THREADS = 8
_TEXTS = frozenset({"txt", "text", "transcript"})
_JSON = frozenset({"json", "jsn"})
_NUMBERS = frozenset({"cls", "cls2", "class", "count", "index", "inx", "id"})


class Members(NamedTuple):
    """One sample: its key, the tar it lies in, and where its members lie, by extension."""

    key: str
    url: str
    refs: dict[str, MediaRef]


class Tars:
    """The samples of tars that one of several processes has. Picklable.

    Args:
        given: tars by path, glob, braces or URL, or folders of them.
        rank: number of the process among those that train together.
        ranks: how many there are.
        even: leave out the last samples, so that all processes have equally many.

    Raises:
        InputError: there are no tars, or nothing in one of them can be read.
    """

    def __init__(self, given: Sequence[str], rank: int, ranks: int, *, even: bool) -> None:
        found = [path for one in given for path in expand(one)]
        self._paths = [tar for path in found for tar in _tars_at(path)]
        if not self._paths:
            raise InputError(f"There are no tars in {given[0]}.")
        with ThreadPoolExecutor(_THREADS) as threads:
            sizes = list(threads.map(lambda path: len(_walked(path)), self._paths))
        self.total = sum(sizes)
        usable = self.total - self.total % ranks if even else self.total
        self._ranks = ranks
        self._firsts: list[int] = []
        self.counts: list[int] = []
        start = 0
        for size in sizes:
            first = (rank - start) % ranks
            self._firsts.append(first)
            self.counts.append(len(range(first, min(size, usable - start), ranks)))
            start += size
        self._kept: OrderedDict[int, list[TarSample | DamagedInput]] = OrderedDict()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": OrderedDict(), "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def sample(self, tar: int, place: int) -> Members:
        """One sample.

        Args:
            tar: number of its tar.
            place: its place among those of the tar that this process has.

        Raises:
            ProcessError: it is lost, since the tar is damaged there (``damaged_input``).
        """
        path = self._paths[tar]
        with self._lock:
            found = self._samples(tar)[self._firsts[tar] + place * self._ranks]
        if isinstance(found, DamagedInput):
            raise ProcessError(found.message, error_class="damaged_input")
        key, members = found
        refs = {
            extension: MediaRef(path, extension, offset=member.offset, size=member.size)
            for extension, member in members.items()
        }
        return Members(key, path, refs)

    def _samples(self, tar: int) -> list[TarSample | DamagedInput]:
        if tar in self._kept:
            self._kept.move_to_end(tar)
            return self._kept[tar]
        self._kept[tar] = _walked(self._paths[tar])
        if len(self._kept) > _KEPT_TARS:
            self._kept.popitem(last=False)
        return self._kept[tar]


def decoded(name: str, data: bytes) -> Any:
    """A member as WebDataset's basic decoders give it; pickles and the like stay bytes.

    Args:
        name: its extension.
        data: its bytes.

    Raises:
        ProcessError: it is not what its extension says (``damaged_member``).
    """
    kind = name.rpartition(".")[2]
    try:
        if kind in _TEXTS:
            return data.decode()
        if kind in _JSON:
            return json.loads(data)
        if kind in _NUMBERS:
            return int(data)
        if kind == "npy":
            return np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, RecursionError) as error:
        raise ProcessError(
            f"its member {name!r} cannot be read: {error}", error_class="damaged_member"
        ) from error
    return data


def _tars_at(path: str) -> list[str]:
    if not is_folder(path):
        return [path]
    folder = path.rstrip("/")
    names = sorted(entry.name for entry in list_folder(folder) if entry.name.endswith(".tar"))
    return [f"{folder}/{name}" for name in names]


def _walked(path: str) -> list[TarSample | DamagedInput]:
    with reading(path), TarReader(path) as tar:
        return list(whole_samples(tar))
