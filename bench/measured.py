"""Run a command and tell what it and all its descendants took: time, processor, memory."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import resource
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SAMPLE_SECONDS = 0.05
SAMPLER_SHARE = 0.1  # of one core: proportional memory is read less often where reading it is slow
MB = 1_000_000
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)


class BenchError(Exception):
    """A run that did not do its work, or a program that is missing."""


@dataclass
class Usage:
    """What a command and all its descendants took; memory is the peak of sums over processes."""

    status: int | None = None  # None: still running when its time was up
    started: float = 0.0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    rss_mb: float = 0.0
    pss_mb: float = 0.0
    processes: int = 0
    pss_samples: int = 0
    left_behind: int = 0


class Tree:
    """The descendants of this process, found by reading /proc."""

    def __init__(self) -> None:
        self.members, self.strangers = {os.getpid()}, set[int]()

    def refresh(self) -> list[int]:
        alive = {int(name) for name in os.listdir("/proc") if name.isdigit()}
        self.strangers &= alive
        self.members &= alive
        for pid in sorted(alive - self.members - self.strangers):
            with contextlib.suppress(OSError):
                parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
                (self.members if parent in self.members else self.strangers).add(pid)
        return sorted(self.members - {os.getpid()})


def _sum_kb(pids: Sequence[int], name: str, label: str) -> int:
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):  # it may end while being read
            for line in Path(f"/proc/{pid}/{name}").read_text().splitlines():
                if line.startswith(label):
                    total += int(line.split()[1])
                    break
    return total


def _collect_ended(main: int, usage: Usage) -> None:
    """Wait for every child that has ended; raises ChildProcessError once there is none at all."""
    while (ended := os.waitpid(-1, os.WNOHANG))[0]:
        if ended[0] == main:
            usage.status = os.waitstatus_to_exitcode(ended[1])


def _watch(main: int, usage: Usage, tree: Tree, limit: float) -> None:
    """Sample memory until `main` and all that descends from it have ended, or time is up."""
    clock, pss_due, handle = time.monotonic(), 0.0, os.pidfd_open(main)
    while time.monotonic() - clock < limit:
        pids = tree.refresh()
        usage.processes = max(usage.processes, len(pids))
        usage.rss_mb = max(usage.rss_mb, _sum_kb(pids, "status", "VmRSS:") * 1024 / MB)
        before = time.monotonic()
        if before >= pss_due:
            usage.pss_mb = max(usage.pss_mb, _sum_kb(pids, "smaps_rollup", "Pss:") * 1024 / MB)
            usage.pss_samples += 1
            pss_due = time.monotonic() + (time.monotonic() - before) / SAMPLER_SHARE
        if usage.status is not None:
            time.sleep(SAMPLE_SECONDS)
        elif select.select([handle], [], [], SAMPLE_SECONDS)[0]:
            usage.seconds = time.time() - usage.started
            limit = min(limit, usage.seconds + 10)  # for what it left running
        _collect_ended(main, usage)


def _measure_into(sender: Any, command: list[str], folder: Path, limit: float) -> None:
    """Run a command and send its Usage; needs a process of its own."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    # Orphans come to us instead of to init, so that their processor time is counted too.
    ctypes.CDLL(None, use_errno=True).prctl(SUBREAPER, 1, 0, 0, 0)
    env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # else every process compiles what it imports
    usage, tree = Usage(), Tree()
    with (folder / "log").open("wb") as log:
        usage.started = time.time()
        main = subprocess.Popen(
            command, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True
        ).pid
    try:
        with contextlib.suppress(ChildProcessError):
            _watch(main, usage, tree, limit)
    finally:
        for pid in tree.refresh():
            usage.left_behind += 1
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    usage.cpu_seconds = spent.ru_utime + spent.ru_stime
    sender.send(usage)


def measure(command: list[str], folder: Path, limit: float) -> Usage:
    """Run a command in `folder`, for `limit` seconds at most; its output goes to `folder/log`."""
    spawn = multiprocessing.get_context("spawn")
    receiver, sender = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_measure_into, args=(sender, command, folder, limit))
    process.start()
    sender.close()
    try:
        usage: Usage = receiver.recv()
    except BaseException:
        process.terminate()
        raise
    finally:
        process.join()
    if usage.status != 0 or usage.left_behind:
        tail = (folder / "log").read_text(errors="replace")[-3000:]
        raise BenchError(
            f"exit status {usage.status}, {usage.left_behind} processes left behind:\n"
            f"  {shlex.join(command)}\n{tail}"
        )
    return usage
