"""What the runs of bench/download.py come to, as tables and as figures for its JSON."""

from __future__ import annotations

import heapq
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import origin
from measured import MB, Usage


@dataclass
class Run:
    """A finished run: what it took, and what the server saw of it."""

    program: str
    rows: int
    kind: str
    connections: int | None
    size: int
    usage: Usage
    requests: int
    first_byte_seconds: float
    transfer_seconds: float  # from the first request to the last byte
    tail_seconds: float  # from the last byte to the end of the program
    busy_connections: float  # mean of requests in flight over the transfer

    @property
    def videos_per_second(self) -> float:
        return self.rows / self.usage.seconds

    @property
    def mb_per_second(self) -> float:
        return self.size / MB / self.usage.seconds

    @property
    def cpu_ms_per_video(self) -> float:
        return 1000 * self.usage.cpu_seconds / self.rows


def show(title: str, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    text = [[f"{c:.4g}" if isinstance(c, float) else str(c) for c in row] for row in [head, *rows]]
    widths = [max(map(len, column)) for column in zip(*text, strict=True)]
    print(f"\n{title}")
    for line in text:
        cells = [c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True)]
        print("  " + "  ".join([line[0].ljust(widths[0]), *cells]))


def medians(runs: Sequence[Run]) -> dict[str, float]:
    """The middle of each figure over the runs of one program and row count."""
    middle = {
        "seconds": lambda r: r.usage.seconds,
        "videos_per_second": lambda r: r.videos_per_second,
        "mb_per_second": lambda r: r.mb_per_second,
        "cpu_seconds": lambda r: r.usage.cpu_seconds,
        "cpu_ms_per_video": lambda r: r.cpu_ms_per_video,
        "rss_mb": lambda r: r.usage.rss_mb,
        "pss_mb": lambda r: r.usage.pss_mb,
        "first_byte_seconds": lambda r: r.first_byte_seconds,
        "tail_seconds": lambda r: r.tail_seconds,
    }
    return {name: statistics.median(map(of, runs)) for name, of in middle.items()}


def local_tables(runs: list[Run], few: int, many: int) -> dict[str, Any]:
    """Whole runs, ratios, and the rate between both row counts, which start-up does not touch."""
    groups: dict[tuple[str, int], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.program, run.rows), []).append(run)
    middle = {key: medians(group) for key, group in groups.items()}
    programs = list(dict.fromkeys(run.program for run in runs))
    for rows in (many, few):
        show(
            f"Whole runs of {rows} rows (medians)",
            (
                *("", "videos/s", "MB/s", "CPU ms/video"),
                *("PSS MB", "RSS MB", "first byte s", "tail s", "seconds"),
            ),
            [
                (
                    program,
                    *(m["videos_per_second"], m["mb_per_second"], m["cpu_ms_per_video"]),
                    *(m["pss_mb"], m["rss_mb"], m["first_byte_seconds"], m["tail_seconds"]),
                    m["seconds"],
                )
                for program in programs
                for m in [middle[program, rows]]
            ],
        )
    steady = {}
    for program in programs:
        small, large = middle[program, few], middle[program, many]
        steady[program] = {
            "videos_per_second": (many - few) / (large["seconds"] - small["seconds"]),
            "cpu_ms_per_video": 1000 * (large["cpu_seconds"] - small["cpu_seconds"]) / (many - few),
            "time_ratio": large["seconds"] / small["seconds"],
            "pss_ratio": large["pss_mb"] / small["pss_mb"],
        }
    show(
        f"Between {few} and {many} rows ({many / few:g}x)",
        ("", "steady videos/s", "steady CPU ms/video", "time x", "PSS x"),
        [(program, *figures.values()) for program, figures in steady.items()],
    )
    ratios = {}
    for other in programs:
        if "ours" not in programs or other == "ours":
            continue
        us, them = middle["ours", many], middle[other, many]
        ratios[f"ours / {other}"] = {
            "videos_per_second": us["videos_per_second"] / them["videos_per_second"],
            "steady_videos_per_second": steady["ours"]["videos_per_second"]
            / steady[other]["videos_per_second"],
            "cpu": us["cpu_ms_per_video"] / them["cpu_ms_per_video"],
            "steady_cpu": steady["ours"]["cpu_ms_per_video"] / steady[other]["cpu_ms_per_video"],
            "pss": us["pss_mb"] / them["pss_mb"],
        }
    if ratios:
        show(
            f"Ratios at {many} rows",
            ("", "videos/s", "steady videos/s", "CPU/video", "steady CPU/video", "PSS"),
            [(name, *figures.values()) for name, figures in ratios.items()],
        )
    medians_by_name = {f"{program} {rows}": m for (program, rows), m in middle.items()}
    return {"medians": medians_by_name, "steady": steady, "ratios": ratios}


def least_seconds(server: origin.Origin, rows: int, connections: int) -> float:
    """When the last byte can be there at best: rows in order, each on the first free connection."""
    free = [0.0] * connections
    for row in range(rows):
        takes = origin.latency_seconds(row) + server.size(row) / origin.RATE_BYTES_PER_SECOND
        heapq.heapreplace(free, free[0] + takes)
    return max(free)


def link_table(server: origin.Origin, runs: list[Run]) -> list[dict[str, Any]]:
    """How much of what the connections can carry came through."""
    figures = []
    for run in runs:
        assert run.connections is not None
        best = least_seconds(server, run.rows, run.connections)
        figures.append(
            {
                "program": run.program,
                "connections": run.connections,
                "ceiling": run.connections * origin.RATE_BYTES_PER_SECOND / MB,
                "link": run.size / MB / best,
                "transfer": run.size / MB / run.transfer_seconds,
                "whole": run.mb_per_second,
                "link_share": best / run.transfer_seconds,
                "busy": run.busy_connections,
                "cores": run.usage.cpu_seconds / run.usage.seconds,
            }
        )
    head = (
        "",
        "connections",
        "x 1 MB/s",
        "with latency",
        "MB/s",
        "whole run",
        "share",
        "in flight",
    )
    rows = [tuple(line.values()) for line in figures]
    show("A slow link: 50-300 ms and 1 MB/s per request, MB/s", (*head, "cores used"), rows)
    return figures
