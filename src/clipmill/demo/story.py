"""The demonstration: a web server that misbehaves, the real command, and what comes of it.

Every command shown is the command that is run, and every line of Python shown is run as it stands.
"""

from __future__ import annotations

import csv
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.rule import Rule
from rich.syntax import Syntax
from rich.table import Table

from clipmill.core.errors import OutputError, RunError
from clipmill.demo.media import sample_set
from clipmill.demo.server import Origin

MARK = "README.txt"
PARTS = ("origin", "videos.csv", "raw")
_NOTE = "Made by `clipmill demo`, which replaces what it made when it runs again.\n"
_LICENSE = "CC0-1.0"
_ON_ANY_BACKGROUND: dict[str, Any] = {"theme": "ansi_dark", "background_color": "default"}
_STATUS_STYLES = {"success": "green", "dropped": "yellow"}
_LOADING = """\
import tarfile
import clipmill

raw = clipmill.open({raw!r})  # or what video2dataset or img2dataset made
table = raw.table(["key", "status", "caption", "license"])  # an Arrow table
print(table.num_rows, "rows; the first:", table.to_pylist()[0])

sample = raw.sample({key!r})  # read from where it lies in its shard
print("caption:", sample["caption"], "| mp4 bytes:", len(sample["mp4"]))

with tarfile.open({shard!r}) as tar:  # any WebDataset reader takes it
    for member in tar.getmembers()[:6]:
        print(member.name, member.size)
"""


def tell(folder: Path, console: Console) -> None:
    """Make the demonstration in a folder, and show every step of it.

    Args:
        folder: what an earlier demonstration made there is replaced.
        console: where to show it.

    Raises:
        OutputError: the folder holds something else.
        RunError: a command that should succeed did not.
    """
    started = time.monotonic()
    _make_room(folder)
    raw, table = folder / "raw", folder / "videos.csv"
    _chapter(console, "Videos in several codecs, on a web server that misbehaves")
    videos = [path for path in sample_set(folder / "origin") if path.stem != "tone"]
    with Origin(folder / "origin") as origin:
        rows = list(_rows(origin, videos))
        _write_csv(table, rows)
        console.print(_table_of_csv(rows, table))
        _chapter(console, "The command")
        words = ["--caption-col", "caption", "--samples-per-shard", "10", "--retries", "1"]
        _run(console, "download", str(table), str(raw), *words, "--allow-private-addresses")
    _chapter(console, "What came of every row")
    found = pa.concat_tables(pq.read_table(path) for path in sorted(raw.glob("*.parquet")))
    console.print(_table_of_outcomes(found))
    _chapter(console, "What lies on disk")
    console.print(_table_of_files(folder))
    _show_stats(console, min(raw.glob("*_stats.json")))
    _chapter(console, "How the dataset is, and whether it is whole")
    _run(console, "status", str(raw))
    _run(console, "verify", str(raw))
    _chapter(console, "How to load it")
    _load(console, raw, found)
    seconds = time.monotonic() - started
    console.print(Rule(style="dim"))
    console.print(
        f"That took {seconds:.0f} seconds. It is all in [bold]{folder}[/bold]: look around."
    )


def _make_room(folder: Path) -> None:
    there = [part for part in PARTS if (folder / part).exists()]
    if there and not (folder / MARK).exists():
        raise OutputError(
            f"{folder} holds {', '.join(there)}, not made by clipmill demo. "
            "Give another folder with --folder."
        )
    for part in there:
        path = folder / part
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARK).write_text(_NOTE)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written to: {error.strerror}. Give another with --folder."
        ) from error


def _rows(origin: Origin, videos: list[Path]) -> Iterator[tuple[str, str, str]]:
    """Rows of the table (url, caption, license), the good ones and the bad ones mixed."""
    good = [(origin.url(path.name), path.name, _LICENSE) for path in videos]
    name = videos[0].name
    yield from good[:4]
    yield origin.url(name, "missing"), "is missing", _LICENSE
    yield origin.url(name, "html"), "is HTML", _LICENSE
    yield from good[4:7]
    yield origin.url(name, "truncated"), "breaks off", _LICENSE
    yield origin.url(name, "slow", seconds=2), "comes slowly", _LICENSE
    yield origin.url(name, "flaky"), "fails first", _LICENSE
    yield from good[7:]
    yield origin.url(name), "once more", _LICENSE
    yield "", "has no link", _LICENSE


def _write_csv(path: Path, rows: list[tuple[str, str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("url", "caption", "license"), *rows])


def _chapter(console: Console, title: str) -> None:
    console.print()
    console.print(Rule(f"[bold]{title}", align="left", style="cyan"))


def _run(console: Console, *words: str) -> None:
    """Show a command, and run it in a process of its own."""
    console.print(f"[bold cyan]$[/] [bold]{shlex.join(['clipmill', *words])}", soft_wrap=True)
    _execute(console, [sys.executable, "-m", "clipmill", *words], f"clipmill {words[0]}")


def _execute(console: Console, command: list[str], what: str) -> None:
    console.file.flush()  # what it prints must come after what was printed
    status = subprocess.run(command, check=False).returncode
    if status:
        raise RunError(f"{what} ended with status {status}; what it printed above says why.")


def _load(console: Console, raw: Path, found: pa.Table) -> None:
    """Show how a dataset is loaded in Python, and run what is shown."""
    rows = found.select(["key", "status"]).to_pylist()
    key = next(row["key"] for row in rows if row["status"] == "success")
    shard = str(raw / f"{found.column('key')[0].as_py()[:5]}.tar")
    source = _LOADING.format(raw=str(raw), key=key, shard=shard)
    _show(console, source, "python")
    _execute(console, [sys.executable, "-c", source], "This program")


def _table_of_csv(rows: list[tuple[str, str, str]], path: Path) -> Table:
    table = Table(title=str(path), title_justify="left", box=None, header_style="bold")
    for name in ("url", "caption", "license"):
        table.add_column(name, no_wrap=name != "url", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _codec(row: dict[str, Any]) -> str | None:
    video = (row["probe"] or {}).get("video") or {}
    return video.get("codec")


_COLUMNS: dict[str, Callable[[dict[str, Any]], object]] = {
    "key": lambda row: row["key"],
    "status": lambda row: row["status"],
    "error_class": lambda row: row["error_class"],
    "codec": _codec,
    "size": lambda row: _kilobytes((row["fetch"] or {}).get("size")),
    "seconds": lambda row: _seconds((row["probe"] or {}).get("duration_seconds")),
    "caption": lambda row: row["caption"],
}
_NUMBERS = {"size", "seconds"}


def _table_of_outcomes(found: pa.Table) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, collapse_padding=True)
    for name in _COLUMNS:
        table.add_column(name, justify="right" if name in _NUMBERS else "left", no_wrap=True)
    for row in found.to_pylist():
        style = _STATUS_STYLES.get(row["status"], "red")
        cells = [value(row) for value in _COLUMNS.values()]
        table.add_row(*("" if cell is None else str(cell) for cell in cells), style=style)
    return table


def _table_of_files(folder: Path) -> Table:
    table = Table(box=None, show_header=False)
    for path in sorted((folder / "raw").iterdir()):
        if path.is_file():
            table.add_row(os.fspath(path), _kilobytes(path.stat().st_size))
    return table


def _show_stats(console: Console, path: Path) -> None:
    stats = json.loads(path.read_text())
    del stats["status_dict"]  # messages; `clipmill status` shows them
    console.print(f"\n[bold]{path}[/] says, besides error messages:")
    _show(console, json.dumps(stats, indent=2), "json")


def _show(console: Console, text: str, language: str) -> None:
    """Code in colours on a terminal; elsewhere whole lines, whatever their length."""
    if console.is_terminal:
        console.print(Syntax(text, language, word_wrap=True, **_ON_ANY_BACKGROUND))
    else:
        console.print(text, markup=False, soft_wrap=True)


def _kilobytes(size: int | None) -> str | None:
    return None if size is None else f"{size / 1000:,.1f} kB"


def _seconds(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds:.1f}"
