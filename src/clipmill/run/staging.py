"""One shard under way: its staging folder, its journal, and its commit."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipmill.io.folder import Folder
from clipmill.io.journal import Journal, boot_id

_COMMIT_FILE = "commit.json"


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one sample.

    Args:
        rows: its row, or those of its clips; each knows its ``volume``.
        source: its row in the table of sources, when it was split.
    """

    rows: list[dict[str, Any]]
    source: dict[str, Any] | None = None


class StagedShard:
    """Local folder in which files of one shard are written before they are committed.

    What is finished is journalled, so that a worker that takes over goes on from there.

    Args:
        scratch: local folder shared by all shards of the output.
        shard: shard name.
        identity: what is being done; work in hand for anything else is thrown away.
    """

    def __init__(self, scratch: Path, shard: str, identity: str) -> None:
        self.folder = scratch / shard
        self.files = self.folder / "files"
        self.files.mkdir(parents=True, exist_ok=True)
        self._journal = Journal(self.folder / "journal", identity)
        if not self._journal.entries:
            shutil.rmtree(self.files)
            self.files.mkdir()

    @property
    def entries(self) -> list[dict[str, Any]]:
        """What an earlier worker journalled, in order."""
        return self._journal.entries

    def append(self, entry: dict[str, Any]) -> None:
        """Journal what is finished."""
        self._journal.append(entry)

    def cut_to(self, entries: int) -> None:
        """Forget what was journalled beyond the first ``entries``."""
        if entries < len(self._journal.entries):
            self._journal.cut_to(entries)

    def close(self) -> None:
        """Close the journal; what is in hand stays for the next worker."""
        self._journal.close()

    def commit(self, output: Folder, run: str, names: Sequence[str]) -> None:
        """Make the staged files part of the output, the last one last, and remove the staging.

        The list is written down first, so that a commit cut off half-way is carried to its end.

        Args:
            output: the dataset.
            run: id of the run the shard was made by.
            names: of files and folders, the stats file last.
        """
        self.close()
        plan = {"run": run, "boot": boot_id(), "names": list(names)}
        draft = self.folder / f"{_COMMIT_FILE}.tmp"
        draft.write_text(json.dumps(plan))
        os.replace(draft, self.folder / _COMMIT_FILE)
        _put(self.folder, output, names)


class Staging(StagedShard):
    """A shard whose samples are finished in order.

    Each is journalled with the writer's position, so a worker that takes over truncates the writer
    there and goes on with the next sample.
    """

    @property
    def finished(self) -> list[Result]:
        """Results of the samples an earlier worker finished, in order."""
        return [Result(entry["rows"], entry["source"]) for entry in self.entries]

    @property
    def position(self) -> dict[str, int]:
        """Where the writers stood after the last finished row, per volume."""
        return dict(self.entries[-1]["position"]) if self.entries else {}

    def journal(self, result: Result, position: dict[str, int]) -> None:
        """Record one finished sample."""
        self.append({"rows": result.rows, "source": result.source, "position": position})


def carry_on_commit(folder: Path, output: Folder, run: str) -> bool:
    """Carry a commit that was cut off to its end; whether there was one.

    A commit of another run is thrown away with its staging, and so is one from before the machine
    was started anew: not all of its files may have reached the disk.

    Args:
        folder: staging folder of a shard.
        output: the dataset.
        run: id of the run that goes on.
    """
    commit = folder / _COMMIT_FILE
    if not commit.exists():
        return False
    plan = json.loads(commit.read_text())
    if (plan["run"], plan["boot"]) != (run, boot_id()):
        shutil.rmtree(folder)
        return False
    _put(folder, output, plan["names"])
    return True


def roll_forward(scratch: Path, output: Folder, run: str) -> None:
    """Carry every commit that was cut off to its end."""
    for folder in sorted(scratch.iterdir()) if scratch.is_dir() else ():
        carry_on_commit(folder, output, run)


def _put(folder: Path, output: Folder, names: Sequence[str]) -> None:
    staged = folder / "files"
    if (staged / names[-1]).exists():
        output.remove(names[-1])  # of an earlier state: the shard is not done until it is again
    for name in names:
        if (staged / name).exists():  # else it was put before the commit was cut off
            output.put(staged / name, name)
    shutil.rmtree(folder)
