"""How fast `clipmill download` is, beside video2dataset and `curl --parallel` as the limit.

    python bench/download.py --peer-python PEER_ENV/bin/python      # 3 rounds, all tables
    python bench/download.py --rows 20000 --tools ours --rounds 1   # 10x the rows

Every run is a fresh process on an empty folder; the programs take turns (A B C A B C). A run whose
output lacks one byte of one video stops the benchmark. See bench/README.md for what is measured.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import os
import platform
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import origin
from download_tables import Run, link_table, local_tables
from measured import MB, BenchError, Usage, measure

PEER = "video2dataset==1.3.0"
PEER_ABSENT = f"""The peer is not measured. To install it (Python 3.10, about 6 GB):
  uv venv --python 3.10 PEER_ENV && uv pip install --python PEER_ENV/bin/python {PEER}
  (or: python3.10 -m venv PEER_ENV && PEER_ENV/bin/pip install {PEER})
then add: --peer-python PEER_ENV/bin/python"""
PEER_CONFIG = """
subsampling: {{}}
reading:
  yt_args: {{download_size: 360, download_audio_rate: 44100, yt_metadata_args: null}}
  timeout: 60
  sampler: null
storage:
  {{number_sample_per_shard: {shard_rows}, oom_shard_count: 5, captions_are_subtitles: False}}
distribution:
  {{processes_count: 2, thread_count: {threads}, subjob_size: 1000, distributor: multiprocessing}}
"""
# --- the programs --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """One table to download, its folder, and how many connections to use in all."""

    rows: int
    kind: str  # fast or slow
    connections: int | None  # None: as the program does without being told
    shard_rows: int
    folder: Path

    @property
    def table(self) -> Path:
        return self.folder / "urls.csv"

    @property
    def out(self) -> Path:
        return self.folder / "out"


BUSY = 0.5  # load average beyond which other work shows in the figures
Program = Callable[[Job], list[str]]


def ours_command(program: str, job: Job) -> list[str]:
    command = [
        *(program, "download", str(job.table), str(job.out)),
        *("--allow-private-addresses", "--format", "webdataset"),
        *("--samples-per-shard", str(job.shard_rows)),
    ]
    if job.connections:
        half = str(math.ceil(job.connections / 2))
        command += ["--workers", "2", "--concurrency", half, "--concurrency-per-host", half]
    return command


def peer_command(python: str, job: Job) -> list[str]:
    config = job.folder / "peer.yaml"
    threads = math.ceil((job.connections or 64) / 2)  # 2 x 32 is its best here
    config.write_text(PEER_CONFIG.format(shard_rows=job.shard_rows, threads=threads))
    return [
        *(python, "-c", "from video2dataset.main import main; main()"),
        *(f"--url_list={job.table}", "--input_format=csv", "--url_col=url", "--stage=download"),
        *(f"--output_folder={job.out}", "--output_format=webdataset", "--enable_wandb=False"),
        *(f"--config={config}", f"--tmp_dir={job.folder}"),
    ]


def curl_command(program: str, job: Job) -> list[str]:
    urls = job.table.read_text().splitlines()[1:]
    lines = [f'url = "{url}"\noutput = "{job.out}/{n}.mp4"\n' for n, url in enumerate(urls)]
    listed = job.folder / "curl.txt"
    listed.write_text("".join(lines))
    many = str(min(job.connections or 32, 300))  # 300 is the most it takes
    return [program, "-qsSf", "-Z", "--parallel-max", many, "--create-dirs", "-K", str(listed)]


def floor_command(program: str, job: Job) -> list[str]:
    script = str(Path(__file__).with_name("download_floor.py"))
    return [sys.executable, script, str(job.out), *curl_command(program, job)]


def videos_in(out: Path) -> list[int]:
    """Sizes of every video under `out`, in tars or as files, smallest first."""
    sizes = [path.stat().st_size for path in out.rglob("*.mp4")]
    for path in out.rglob("*.tar"):
        with tarfile.open(path) as tar:
            sizes += [member.size for member in tar if member.name.endswith(".mp4")]
    return sorted(sizes)


# --- one run, checked ----------------------------------------------------------------------------


class Bench:
    """The programs, the origin they download from, and all runs so far."""

    def __init__(
        self, folder: Path, server: origin.Origin, programs: dict[str, Program], options: Any
    ) -> None:
        self.folder, self.server, self.programs, self.options = folder, server, programs, options
        self.count = 0
        self.runs: list[Run] = []

    def run(self, program: str, rows: int, kind: str, connections: int | None = None) -> Run:
        """Run one program once on an empty folder, check its output, and remove it."""
        shard_rows = self.options.samples_per_shard
        if kind == "slow":  # a shard for each of the two processes, so that both have work
            shard_rows = math.ceil(rows / 2)
        self.count += 1
        job = Job(rows, kind, connections, shard_rows, self.folder / f"run-{self.count:03d}")
        job.folder.mkdir()
        urls = [self.server.url(row, kind) for row in range(rows)]
        job.table.write_text("url\n" + "".join(f"{url}\n" for url in urls))
        command = self.programs[program](job)
        os.sync()  # what the run before left to write is not this run's work
        self.server.forget()
        usage = measure(command, job.folder, self.options.timeout)
        run = self._checked(program, job, usage)
        # Emptied, not removed: ext4 makes new files slowly for minutes after many were removed.
        for path in job.folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                os.truncate(path, 0)
        self.runs.append(run)
        print(
            f"  {program:5} {rows:6} rows  {usage.seconds:7.2f} s  {run.videos_per_second:6.0f} "
            f"videos/s  {run.cpu_ms_per_video:6.2f} CPU ms/video  {usage.pss_mb:6.0f} MB",
            flush=True,
        )
        return run

    def _checked(self, program: str, job: Job, usage: Usage) -> Run:
        wanted = sorted(self.server.size(row) for row in range(job.rows))
        if (found := videos_in(job.out)) != wanted:
            tail = (job.folder / "log").read_text(errors="replace")[-3000:]
            raise BenchError(
                f"{program} wrote {len(found)} videos of {sum(found)} bytes, not {job.rows} of "
                f"{sum(wanted)}:\n{tail}"
            )
        seen = self.server.requests(job.rows)
        whole = {r.path for r in seen if r.method == "GET" and r.status == 200}
        if len(whole) != job.rows:
            raise BenchError(f"{program} asked the server for {len(whole)} of {job.rows} videos")
        first, last = min(r.start for r in seen), max(r.end for r in seen)
        return Run(
            program=program,
            rows=job.rows,
            kind=job.kind,
            connections=job.connections,
            size=sum(wanted),
            usage=usage,
            requests=len(seen),
            first_byte_seconds=first - usage.started,
            transfer_seconds=last - first,
            tail_seconds=usage.started + usage.seconds - last,
            busy_connections=sum(r.end - r.start for r in seen) / (last - first),
        )


# --- the whole -----------------------------------------------------------------------------------


def find_programs(options: argparse.Namespace) -> dict[str, Program]:
    """What can be run of what was asked for; absent ones are named."""
    programs: dict[str, Program] = {}
    beside = Path(sys.executable).parent / "clipmill"
    ours = options.clipmill or (str(beside) if beside.exists() else shutil.which("clipmill"))
    if "ours" in options.tools:
        if ours is None:
            raise BenchError("clipmill is not installed here: give --clipmill PATH")
        programs["ours"] = functools.partial(ours_command, ours)
    if "peer" in options.tools and options.peer_python is None:
        print(PEER_ABSENT)
    elif "peer" in options.tools:
        asked = [options.peer_python, "-c", "import video2dataset"]
        if subprocess.run(asked, capture_output=True, check=False).returncode:
            raise BenchError(f"{options.peer_python} has no video2dataset.\n{PEER_ABSENT}")
        programs["peer"] = functools.partial(peer_command, options.peer_python)
    for name, command in (("floor", floor_command), ("curl", curl_command)):
        if name in options.tools:
            curl = shutil.which("curl")
            if curl is None:
                raise BenchError("curl is not installed")
            programs[name] = functools.partial(command, curl)
    return programs


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--peer-python", help=f"Python of an environment with {PEER}")
    add("--clipmill", help="our program (default: beside this Python, else on PATH)")
    add(
        "--tools",
        default="ours,peer,floor,curl",
        help="which to run, in this order (default: %(default)s)",
    )
    add("--rounds", type=int, default=3, help="rounds of the local tables (default: 3)")
    add("--rows", type=int, default=2000, help="rows of the large run (default: 2000)")
    add(
        "--few-rows",
        type=int,
        help="rows of the small run (default: 500, or a tenth from 20000 on)",
    )
    add("--samples-per-shard", type=int, default=1000, help="(default: 1000)")
    add("--link", default="16,64,192", help="connections over the slow link; '' leaves it out")
    add("--link-rows", type=int, default=12, help="rows per connection there (default: 12)")
    add("--timeout", type=float, default=900, help="seconds a run may take (default: 900)")
    add("--work", type=Path, default=Path(tempfile.gettempdir()) / "clipmill-bench")
    add("--results", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    options.work = options.work.resolve()
    for name in ("clipmill", "peer_python"):  # runs have a working folder of their own
        if given := getattr(options, name):
            setattr(options, name, os.path.abspath(shutil.which(given) or given))
    options.tools = options.tools.split(",")
    options.few_rows = options.few_rows or (
        options.rows // 10 if options.rows >= 20_000 else options.rows // 4
    )
    options.link = [int(part) for part in options.link.split(",") if part]
    if unknown := set(options.tools) - {"ours", "peer", "floor", "curl"}:
        parser.error(f"--tools knows ours, peer, floor and curl, not {', '.join(sorted(unknown))}")
    return options


def machine() -> dict[str, Any]:
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return {
        "processor": cpu[0].partition(":")[2].strip() if cpu else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // MB,
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
    }


def run_all(bench: Bench) -> dict[str, Any]:
    """All rounds, then the tables."""
    options, tables = bench.options, dict[str, Any]()
    # The first run pays for memory this machine has not touched yet: it is made and left out.
    print("warm-up")
    bench.run(list(bench.programs)[-1], min(options.rows, 2000), "fast")
    bench.runs.clear()
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}")
        for rows in (options.rows, options.few_rows):
            for program in bench.programs:
                bench.run(program, rows, "fast")
    local = list(bench.runs)
    if local:
        tables["local"] = local_tables(local, options.few_rows, options.rows)
    if options.link:
        print("\nthe slow link")
        for connections in options.link:
            for program in bench.programs:
                bench.run(program, connections * options.link_rows, "slow", connections)
        tables["link"] = link_table(bench.server, bench.runs[len(local) :])
    return tables


def main() -> int:
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers and folders go
    options.work.mkdir(parents=True, exist_ok=True)
    if (load := os.getloadavg()[0]) > BUSY:
        print(f"The machine is busy (load average {load:.1f}): wall times will tell little.")
    began = time.time()
    report: dict[str, Any] = {"machine": machine(), "failed": None}
    try:
        programs = find_programs(options)
        with tempfile.TemporaryDirectory(prefix="bench-", dir=options.work) as name:
            folder = Path(name)
            (folder / "origin").mkdir()
            with origin.serve(folder / "origin", options.work / "media") as server:
                bench = Bench(folder, server, programs, options)
                try:
                    report["tables"] = run_all(bench)
                except BenchError as error:
                    report["failed"] = str(error)
                report["runs"] = [asdict(run) for run in bench.runs]
    except BenchError as error:
        report["failed"] = str(error)
    report["seconds"] = time.time() - began
    options.results.mkdir(parents=True, exist_ok=True)
    target = options.results / time.strftime("download-%Y%m%d-%H%M%S.json", time.gmtime(began))
    target.write_text(json.dumps(report, indent=1))
    if report["failed"]:
        print(f"FAILED: {report['failed']}", file=sys.stderr)
    print(f"\n{report['seconds']:.0f} s; written to {target}")
    return 1 if report["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
