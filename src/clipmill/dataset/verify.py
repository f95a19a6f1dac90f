"""Re-read a dataset and compare what is there with what its tables promise."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from clipmill.core.errors import UserError
from clipmill.core.keys import SHARD_DIGITS, shard_name
from clipmill.core.outcome import STATUSES, Counts
from clipmill.core.words import counted
from clipmill.dataset.dataset import Dataset
from clipmill.formats.base import MemberPlace
from clipmill.io.layout import STATS_SUFFIX

NAMED_SHARDS = 10
"""Missing shards that are named; of more, only the number is told."""


@dataclass(slots=True)
class Verification:
    """What a verification found.

    Args:
        shards: shards looked at.
        rows: rows looked at.
        bytes_read: media bytes read and hashed.
        problems: one line each; empty when the dataset is whole.
    """

    shards: int = 0
    rows: int = 0
    bytes_read: int = 0
    problems: list[str] = field(default_factory=list)


def verify_dataset(dataset: Dataset, *, hashes: bool = True, threads: int = 4) -> Verification:
    """Check that all planned shards are there, and in each the counts, keys, members and hashes.

    A peer's dataset has no plan and no hashes; its keys, counts and members are checked.

    Args:
        dataset: what to check.
        hashes: read and hash all media; else only look at names, places and counts.
        threads: shards read at a time.
    """
    found = Verification()
    keys: set[str] = set()
    with ThreadPoolExecutor(threads) as pool:
        for shard, result in zip(
            dataset.shards,
            pool.map(lambda name: _Shard(dataset, name, hashes), dataset.shards),
            strict=True,
        ):
            found.shards += 1
            found.rows += len(result.keys)
            found.bytes_read += result.bytes_read
            found.problems += [f"shard {shard}: {problem}" for problem in result.problems]
            twice = keys.intersection(result.keys)
            found.problems += [f"shard {shard}: key {key} exists twice" for key in sorted(twice)]
            keys.update(result.keys)
    found.problems += _strangers(dataset)
    found.problems += _missing(dataset, found.rows)
    return found


class _Shard:
    def __init__(self, dataset: Dataset, shard: str, hashes: bool) -> None:
        self._dataset = dataset
        self._shard = shard
        self.keys: list[str] = []
        self.bytes_read = 0
        self.problems: list[str] = []
        try:
            self._check(hashes)
        except (UserError, OSError, ValueError) as error:
            self.problems.append(str(error))

    def _check(self, hashes: bool) -> None:
        dataset, shard = self._dataset, self._shard
        if dataset.layout.table_name(shard) is None:
            return
        rows = dataset.shard_table(shard).to_pylist()
        self.keys = [row["key"] for row in rows]
        if len(set(self.keys)) < len(self.keys):
            self.problems.append("keys are not unique")
        elif dataset.numbers_its_keys and self.keys != sorted(self.keys):
            self.problems.append("keys are not in order")
        self._check_counts(rows)
        stored = {
            key: members for key, members, _ in dataset.layout.read_samples(dataset.folder, shard)
        }
        promised = {row["key"] for row in rows if _has_media(row)}
        for key in sorted(promised - stored.keys()):
            self.problems.append(f"sample {key}: its media are missing")
        for key in sorted(stored.keys() - set(self.keys)):
            self.problems.append(f"sample {key}: its media are there, but no row is")
        for number, row in enumerate(rows):
            for extension, place in (row.get("media") or {}).items():
                if place is not None and row["key"] in stored:
                    self._check_member(number, row["key"], extension, MemberPlace(**place), hashes)

    def _check_counts(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            if self._dataset.manifest and row["status"] not in STATUSES:
                self.problems.append(f"sample {row['key']}: unknown status {row['status']!r}")
        stats = self._dataset.stats.get(self._shard)
        if stats is None or stats.get("volumes", 1) > 1:
            return  # counts of a shard in several volumes are over all of them
        counts = Counts()
        for row in rows:
            known = row["status"] in STATUSES  # peers have names of their own for the second kind
            counts.add(row["status"] if known else "failed_to_process", None, 0)
        for name, number in counts.row_counts().items():
            if name in stats and stats[name] != number:
                self.problems.append(f"stats say {name} {stats[name]}, the table {number}")

    def _check_member(
        self, number: int, key: str, extension: str, place: MemberPlace, hashes: bool
    ) -> None:
        layout, folder = self._dataset.layout, self._dataset.folder
        ref = layout.locate(folder, self._shard, key, number, extension, place)
        if not hashes:
            return
        size, digest = 0, hashlib.sha256()
        for chunk in layout.chunks(folder, ref):
            digest.update(chunk)
            size += len(chunk)
        self.bytes_read += size
        if (size, digest.hexdigest()) != (place.size, place.sha256):
            self.problems.append(f"sample {key}: {extension} differs from its recorded hash")


def _has_media(row: dict[str, Any]) -> bool:
    """Whether a row says that its media are there; a peer's does so by its status alone."""
    return any((row["media"] or {}).values()) if "media" in row else row["status"] == "success"


def _strangers(dataset: Dataset) -> Iterator[str]:
    """Shard files that belong to no finished shard: left by a crash, or stats were deleted."""
    known = set(dataset.shards)
    for name in dataset.folder.list():
        stem = name.removesuffix(STATS_SUFFIX).split(".")[0]
        if stem[:1].isdigit() and stem not in known:
            yield f"{name} belongs to no finished shard; resume the run to finish it"


def _missing(dataset: Dataset, rows: int) -> Iterator[str]:
    """What ``dataset.json`` plans and the shards do not have; nothing is known of a peer's plan."""
    inputs = dataset.manifest.get("inputs", [])
    recipe = dataset.manifest.get("recipe", {})
    digits = recipe.get("write", {}).get("shard_digits", SHARD_DIGITS)
    planned = [
        shard_name(shard, digits)
        for entry in inputs
        for shard in range(entry["first_shard"], entry["first_shard"] + entry["shards"])
    ]
    missing = [shard for shard in planned if shard not in dataset.stats]
    unsettled = [entry for entry in inputs if not entry.get("settled", True)]
    if missing:
        named = ", ".join(missing[:NAMED_SHARDS]) + (", ..." if missing[NAMED_SHARDS:] else "")
        newest = [entry for entry in inputs if "retry_of" not in entry][-1]
        mine = range(newest["first_shard"], newest["first_shard"] + newest["shards"])
        is_newest = any(int(shard) in mine for shard in missing)
        command = "the command that made the dataset" if is_newest else "`clipmill retry`"
        yield (
            f"{len(missing):,} of {counted(len(planned), 'shard')} not finished: {named}. The run "
            f"was interrupted, or they were removed; give {command} again to do them."
        )
    elif unsettled:
        yield "a retry into new shards was interrupted; give `clipmill retry` again to finish it"
    elif inputs:
        wanted = sum(entry["rows"] for entry in inputs if "retry_of" not in entry)
        has_tables = dataset.layout.table_name(planned[0] if planned else "") is not None
        there = rows if has_tables else len(dataset)
        if recipe.get("split") is not None:  # a row of the input is as many rows as it has clips
            there = sum(stats["input_rows"] for stats in dataset.stats.values())
        if there != wanted:
            yield f"there are {there:,} rows, but {wanted:,} were given to the run"
