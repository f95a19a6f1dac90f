"""Files that sources are fetched into, used again and again.

Making and removing a file costs more than writing a small video into one that is there: file
systems look for a free inode and pass over those lately freed. Small files keep their bytes until
they are written over, which costs half of emptying and filling them, as their memory stays theirs.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections import deque
from pathlib import Path

_PREFIX = ".work-"
_KEPT = 128
_FULL_BYTES = 1 << 20
"""Files up to this size stay as they are: 128 MiB on disk at the most, beside the budget."""


class ScratchFiles:
    """A worker's own folder of files to fetch into.

    Args:
        scratch: local folder for work in hand; leavings of workers that died there are removed.
    """

    def __init__(self, scratch: Path) -> None:
        for folder in scratch.glob(f"{_PREFIX}*"):
            if not _is_alive(int(folder.name.removeprefix(_PREFIX))):
                shutil.rmtree(folder, ignore_errors=True)
        self.folder = scratch / f"{_PREFIX}{os.getpid()}"
        self.folder.mkdir(parents=True)
        self._free: deque[Path] = deque()
        self._made = 0

    def take(self) -> Path:
        """A path to write to or over; no other file's name begins like it.

        The file given back last comes first: its memory is the likeliest to be at hand.
        """
        if self._free:
            return self._free.pop()
        self._made += 1
        return self.folder / f"{self._made:06d}"

    def give_back(self, path: Path) -> None:
        """The file is not needed any more. May be called from a thread."""
        try:
            status = path.lstat()
        except FileNotFoundError:
            self._free.append(path)
            return
        # one that has another name is somebody's: the user's own, or a member of a shard
        if stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and len(self._free) < _KEPT:
            if status.st_size > _FULL_BYTES:
                os.truncate(path, 0)
        else:
            path.unlink()
        self._free.append(path)

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
