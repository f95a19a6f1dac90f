"""Selecting among millions of rows: seconds and peak memory of a condition on three columns.

    python bench/selection.py --work /tmp/clipmill-bench --shards 1000

The dataset has 10,000 rows a shard, a table as `clipmill download` writes it, and two column
groups with raw values of ten frames; 3 % of rows and of cells failed. Eight shards are made; the
others are hard links to them, so keys repeat. Every measurement runs in a fresh process, imports
left out, by turns with a bare DuckDB query over the same files, which only counts. The dataset is
removed afterwards.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROWS = 10_000
MADE = 8
FAILED = 0.03
GROUPS = {"motion-aaaaaa": 1, "picture-bbbbbb": 2}
CONDITION = "motion.mean > 0.3 and picture.black_share.mean < 0.1 and probe.duration_seconds > 2"
CASES = ("bare DuckDB, counting", "sql, counting", "select, in memory", "select, to a file")
CASES += ("select, ordered, first 1000", "list_max over raw values, to a file")


def base_table(shard: int):
    """A table of downloaded samples."""
    import numpy as np
    import pyarrow as pa

    from clipmill.media.probe_type import PROBE_TYPE

    random = np.random.default_rng(shard)
    keys = [f"{shard:05}{row:04}" for row in range(ROWS)]
    given = {"duration_seconds": random.random(ROWS) * 10, "width": random.integers(64, 2000, ROWS)}
    kinds = [PROBE_TYPE.field(number) for number in range(PROBE_TYPE.num_fields)]
    probe = pa.StructArray.from_arrays(
        [
            pa.array(given[kind.name]).cast(kind.type)
            if kind.name in given
            else pa.nulls(ROWS, kind.type)
            for kind in kinds
        ],
        fields=kinds,
    )
    places = {
        "offset": random.integers(0, 1 << 40, ROWS),
        "size": random.integers(0, 1 << 24, ROWS),
    }
    hashes = [random.bytes(32).hex() for _ in range(ROWS)]
    place = pa.StructArray.from_arrays(
        [pa.array(places["offset"]), pa.array(places["size"]), pa.array(hashes)],
        ["offset", "size", "sha256"],
    )
    status = np.where(random.random(ROWS) < FAILED, "failed_to_download", "success")
    return pa.table(
        {
            "key": keys,
            "uid": [random.bytes(16).hex() for _ in range(ROWS)],
            "status": status,
            "error_message": pa.nulls(ROWS, pa.string()),
            "url": [f"https://videos.example.org/{key}.mp4" for key in keys],
            "caption": [f"caption of the video with the key {key}" for key in keys],
            "probe": probe,
            "media": pa.StructArray.from_arrays([place], ["mp4"]),
        }
    )


def cells_table(base, group: str):
    """What a step that scores frames says of them."""
    import numpy as np
    import pyarrow as pa

    from clipmill.dataset.columns import group_schema

    random = np.random.default_rng(len(group))
    failed = random.random(ROWS) < FAILED

    def score() -> dict[str, object]:
        values = random.random((ROWS, 10)).astype("float32")
        found = {"mean": values.mean(1) if group < "n" else values[:, 0], "max": values.max(1)}
        found = {name: pa.array(column, mask=failed) for name, column in found.items()}
        return {**found, "values": pa.array(list(values), pa.list_(pa.float32()), mask=failed)}

    said = score()
    if group.startswith("picture"):
        names = ("black_share", "luminance", "sharpness")
        scores = {name: score() for name in names}
        said = {
            name: pa.StructArray.from_arrays(list(one.values()), list(one))
            for name, one in scores.items()
        }
    kinds = pa.schema([(name, column.type) for name, column in said.items()])
    columns = {
        "key": base["key"],
        "mark": random.integers(0, 1 << 62, ROWS),
        **said,
        "status": np.where(failed, "failed", "success"),
        "error_class": pa.nulls(ROWS, pa.string()),
        "error_message": pa.nulls(ROWS, pa.string()),
        "seconds": random.random(ROWS),
    }
    return pa.table(columns).cast(group_schema(kinds))


def make_dataset(folder: Path, shards: int) -> None:
    """A dataset of hard links; its state and its groups' are as a run would leave them."""
    import pyarrow.compute as pc

    from clipmill.core.config import fingerprint
    from clipmill.formats.tables import write_table
    from clipmill.run.shard_columns import write_cells

    for group in GROUPS:
        (folder / "columns" / group).mkdir(parents=True)
    states: dict[str, str] = {}
    succeeded: dict[tuple[str, int], int] = {}
    for number in range(shards):
        shard, made = f"{number:05}.parquet", f"{number % MADE:05}.parquet"
        if number < MADE:
            base = base_table(number)
            write_table(folder, f"{number:05}", base)
            for group in GROUPS:
                cells = cells_table(base, group)
                write_cells(cells, folder / "columns" / group / shard)
                succeeded[group, number] = pc.sum(pc.equal(cells["status"], "success")).as_py()
        else:
            for part in (folder, *(folder / "columns" / group for group in GROUPS)):
                os.link(part / made, part / shard)
        stats = {"count": ROWS, "start_time": number, "schema": "the same"}
        (folder / f"{number:05}_stats.json").write_text(json.dumps(stats))
        states[f"{number:05}"] = fingerprint(stats)
    for group, number in GROUPS.items():
        place = folder / "columns" / group
        step = {"step": group.partition("-")[0], "number": number}
        (place / "step.json").write_text(json.dumps(step))
        index = {}
        for at, (shard, state) in enumerate(states.items()):
            fine = succeeded[group, at % MADE]
            held = {"rows": ROWS, "success": fine, "absent": 0, "failed": {"error": ROWS - fine}}
            index[shard] = {"state": state, **held}
        (place / "shards.json").write_text(json.dumps(index))


def bare(folder: Path) -> int:
    """The same condition as one writes it by hand, without statuses, hours or keys."""
    import duckdb

    parts = [folder, *(folder / "columns" / group for group in GROUPS)]
    tables = []
    for part, name in zip(parts, ("base", "motion", "picture"), strict=True):
        files = sorted(str(place) for place in part.glob("*.parquet"))
        tables.append(f"read_parquet({files}) AS {name}")
    sql = f"SELECT count(*) FROM {' POSITIONAL JOIN '.join(tables)} WHERE {CONDITION}"
    return duckdb.sql(sql).fetchall()[0][0]


def load() -> None:
    """Import everything beforehand: start-up is another matter."""
    for name in ("clipmill.api", "clipmill.dataset.ask", "clipmill.dataset.select", "duckdb"):
        importlib.import_module(name)


def run(folder: Path, case: str) -> int:
    """Do one case; the number of rows found."""
    if case.startswith("bare"):
        return bare(folder)
    import clipmill

    data = clipmill.open(folder)
    if case.startswith("sql"):
        found = data.sql(f"select count(*) as n from data where {CONDITION}")
        return found.column("n")[0].as_py()
    if case.startswith("list"):
        lists = "list_max(picture.luminance.values) < 0.9"
        return len(data.select(lists, name="bench", overwrite=True))
    options = {"order": "motion.mean desc", "limit": 1000} if "ordered" in case else {}
    name = "bench" if "file" in case else None
    return len(data.select(CONDITION, name=name, overwrite=True, **options))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("/tmp/clipmill-bench"))
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        load()
        started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        rows = run(arguments.work, arguments.case)
        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
        told = [time.perf_counter() - started, cpu, used.ru_maxrss * 1024]
        print(json.dumps([rows, *told]))
        return
    folder = arguments.work / f"select-{arguments.shards}"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        make_dataset(folder, arguments.shards)
        report(folder, arguments.shards, arguments.rounds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def report(folder: Path, shards: int, rounds: int) -> None:
    """Print the least of each case's rounds, which go by turns."""
    best: dict[str, list[float]] = {}
    for _ in range(rounds):
        for case in CASES:
            command = [sys.executable, __file__, "--work", str(folder), "--case", case]
            answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            numbers = json.loads(answer.stdout)
            best[case] = [min(pair) for pair in zip(best.get(case, numbers), numbers, strict=True)]
    print(f"{shards * ROWS:,} rows in {shards:,} shards\n")
    print("| case | rows found | seconds | CPU s | peak MB |\n|---|---|---|---|---|")
    for case, (rows, seconds, cpu, peak) in best.items():
        print(f"| {case} | {rows:,} | {seconds:.1f} | {cpu:.1f} | {peak / 1e6:.0f} |")


if __name__ == "__main__":
    main()
