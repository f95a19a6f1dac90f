"""An append-only journal of JSON entries that tolerates being cut off anywhere."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Identity of this machine's uptime; empty where the system does not tell."""
    return _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""


class Journal:
    """Entries are written straight to the operating system, so a killed process loses none of them.

    They are not synced to disk one by one: after a power cut a journal may be ahead of the files it
    describes, so its first line names the boot it was written under, and ``read`` ignores a
    journal from another one.

    Args:
        path: local file; created when missing, continued when present.
        identity: what the journal is about; a journal of something else is started over.
    """

    def __init__(self, path: Path, identity: str) -> None:
        self._header = {"identity": identity, "boot": boot_id()}
        self.entries, intact_size = _read(path, self._header)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        os.ftruncate(self._fd, intact_size)
        os.lseek(self._fd, 0, os.SEEK_END)
        if intact_size == 0:
            self._write(self._header)

    def append(self, entry: dict[str, Any]) -> None:
        """Add one entry; it survives the death of this process once this returns."""
        self._write(entry)

    def cut_to(self, count: int) -> None:
        """Forget all but the first entries.

        Args:
            count: how many are kept; no more than there are.
        """
        del self.entries[count:]
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        for entry in (self._header, *self.entries):
            self._write(entry)

    def _write(self, entry: dict[str, Any]) -> None:
        body = json.dumps(entry, separators=(",", ":"), ensure_ascii=False).encode(
            "utf-8", "surrogatepass"
        )
        line = b"%08x %s\n" % (zlib.crc32(body), body)
        written = os.write(self._fd, line)
        if written != len(line):
            raise OSError(28, "journal entry was cut short: no space left", None)

    def close(self) -> None:
        """Close the file; entries stay. May be called again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _lines(path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    size = 0
    with path.open("rb") as file:
        for line in file:
            size += len(line)
            checksum, _, body = line.rstrip(b"\n").partition(b" ")
            if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(body):
                return
            yield json.loads(body.decode("utf-8", "surrogatepass")), size


def _read(path: Path, header: dict[str, str]) -> tuple[list[dict[str, Any]], int]:
    """Intact entries and the size up to which the file is intact."""
    if not path.exists():
        return [], 0
    lines = list(_lines(path))
    if not lines or lines[0][0] != header:
        return [], 0
    return [entry for entry, _ in lines[1:]], lines[-1][1]
