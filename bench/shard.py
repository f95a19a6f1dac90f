"""Planning the shards of a 20-million-row Parquet table: seconds, peak memory, time to first rows.

    python bench/shard.py --work /tmp/clipmill-bench

The table is made once in the work folder and used again. Every measurement runs in a fresh process.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

WRITTEN_ROWS = 250_000
SAMPLES_PER_SHARD = 1000
CASES = {
    "in order": {"table": "clips.parquet", "grouped": False},
    "grouped, rows of a URL together": {"table": "clips.parquet", "grouped": True},
    "grouped, rows of a URL scattered": {"table": "scattered.parquet", "grouped": True},
}


def make_table(path: Path, rows: int, scattered: bool) -> None:
    """Four rows per URL, as clip tables have; written in streaming row groups."""
    if path.exists() and pq.ParquetFile(path).metadata.num_rows == rows:
        return
    random = np.random.default_rng(0)
    draft = path.with_suffix(".tmp")
    writer = None
    for start in range(0, rows, WRITTEN_ROWS):
        numbers = np.arange(start, min(start + WRITTEN_ROWS, rows))
        videos = random.integers(0, rows // 4, len(numbers)) if scattered else numbers // 4
        table = pa.table(
            {
                "url": [f"https://videos.example.org/{v % 997}/{v:012x}.mp4" for v in videos],
                "caption": [f"caption number {n} of a video about something" for n in numbers],
                "duration": random.random(len(numbers)) * 600,
                "width": random.integers(128, 3840, len(numbers)),
                "language": random.choice(["en", "de", "fr", "ja"], len(numbers)),
            }
        )
        writer = writer or pq.ParquetWriter(draft, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()
    draft.rename(path)


def measure(path: Path, grouped: bool) -> dict[str, float]:
    """Plan and read in this process, which does nothing else."""
    started = time.perf_counter()
    from clipmill.sources.columns import Columns
    from clipmill.sources.open import open_source
    from clipmill.sources.shard_plan import plan_shards, read_shard

    source = open_source(str(path), Columns(caption_col="caption"))
    plan = plan_shards(source, SAMPLES_PER_SHARD, grouped)
    planned, planned_mb = time.perf_counter(), peak_mb()
    first = read_shard(source, plan, 0)
    ready = time.perf_counter()
    for shard in range(1, 11):
        read_shard(source, plan, shard)
    ten = time.perf_counter()
    middle = read_shard(source, plan, plan.shards // 2)
    done = time.perf_counter()
    assert 0 < first.num_rows <= SAMPLES_PER_SHARD >= middle.num_rows
    return {
        "rows": plan.rows,
        "shards": plan.shards,
        "plan_seconds": planned - started,
        "first_rows_seconds": ready - started,
        "next_shard_seconds": (ten - ready) / 10,
        "middle_shard_seconds": done - ten,
        "planned_mb": planned_mb,
        "peak_mb": peak_mb(),
    }


def peak_mb() -> float:
    """The most memory this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for the tables")
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--measure", nargs=2, metavar=("TABLE", "GROUPED"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        table, grouped = options.measure
        print(json.dumps(measure(Path(table), grouped == "True")))
        return
    if options.make:
        make_table(options.make, options.rows, options.make.name.startswith("scattered"))
        return
    options.work.mkdir(parents=True, exist_ok=True)
    for name in sorted({str(case["table"]) for case in CASES.values()}):
        run_self(options, "--make", str(options.work / name))
    heads = ("plan s", "first s", "next s", "middle s", "plan MB", "peak MB")
    print(f"{'case':36}" + "".join(f"{head:>9}" for head in heads))
    for name, case in CASES.items():
        found = measured(options.work / str(case["table"]), bool(case["grouped"]), options)
        print(
            f"{name:36}{found['plan_seconds']:9.2f}{found['first_rows_seconds']:9.2f}"
            f"{found['next_shard_seconds']:9.3f}{found['middle_shard_seconds']:9.3f}"
            f"{found['planned_mb']:9.0f}{found['peak_mb']:9.0f}"
        )


def measured(table: Path, grouped: bool, options: argparse.Namespace) -> dict[str, float]:
    found: dict[str, float] = json.loads(run_self(options, "--measure", str(table), str(grouped)))
    return found


def run_self(options: argparse.Namespace, *arguments: str) -> str:
    """Run a part of this script in a fresh process.

    This process itself stays small: Linux counts a parent's memory as its child's peak.
    """
    command = [sys.executable, __file__, "--work", str(options.work), "--rows", str(options.rows)]
    return subprocess.run(
        [*command, *arguments], check=True, stdout=subprocess.PIPE, text=True
    ).stdout


if __name__ == "__main__":
    main()
