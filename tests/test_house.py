"""The house itself: light imports, small files, words for every room."""

from __future__ import annotations

import ast
import inspect
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

from clipmill.core import errors
from clipmill.core.errors import ClipmillError, SampleError

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "clipmill"
FILES = sorted(PACKAGE.rglob("*.py"))
PACKAGES = sorted(path.parent for path in FILES if path.name == "__init__.py")
HEAVY = {"torch", "av", "ray", "pyspark", "cv2", "pandas", "duckdb", "pyarrow", "numpy", "aiohttp"}
START_SECONDS = 0.3


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=True, cwd=ROOT
    )


IMPORT = "import clipmill"
HELP = """
import runpy, sys
sys.argv = ["clipmill", "--help"]
try:
    runpy.run_module("clipmill", run_name="__main__")
except SystemExit as ending:
    assert not ending.code
"""


@pytest.mark.parametrize("code", [IMPORT, HELP], ids=["import", "help"])
def test_starting_loads_nothing_heavy(code: str) -> None:
    told = python("-c", f"{code}\nimport sys, json\nprint(json.dumps(sorted(sys.modules)))")
    modules = json.loads(told.stdout.splitlines()[-1])
    assert "clipmill" in modules
    assert HEAVY.isdisjoint(modules)


def test_a_worker_loads_neither_decoder_nor_detectors() -> None:
    told = python("-c", "import clipmill.run.worker, sys, json; print(json.dumps([*sys.modules]))")
    assert {"av", "cv2", "torch"}.isdisjoint(json.loads(told.stdout))


def test_finding_and_making_clips_loads_no_tables() -> None:
    code = "import clipmill.run.one_pass, sys, json; print(json.dumps([*sys.modules]))"
    assert {"pyarrow", "duckdb", "fsspec", "yaml"}.isdisjoint(json.loads(python("-c", code).stdout))


PANDAS = """
import sys
from clipmill.core.libraries import keep_pandas_out
keep_pandas_out()
import numpy, pyarrow
pyarrow.array(["a"]), pyarrow.array(numpy.arange(3)), pyarrow.table({"a": [1]}).to_pylist()
assert "pandas" not in sys.modules
import pandas
assert pyarrow.table(pandas.DataFrame({"a": [1]})).to_pandas().shape == (1, 1)
"""


def test_tables_do_without_pandas_unless_a_step_brings_it() -> None:
    python("-c", PANDAS)


@pytest.mark.parametrize("code", [IMPORT, HELP], ids=["import", "help"])
def test_starting_costs_little_beyond_the_interpreter(code: str) -> None:
    bare = min(cpu_seconds("pass") for _ in range(5))
    ours = min(cpu_seconds(code) for _ in range(5))
    assert ours - bare < START_SECONDS


def cpu_seconds(code: str) -> float:
    """User and system time of a fresh interpreter that runs some code."""
    measure = (
        "import resource, subprocess, sys\n"
        "subprocess.run([sys.executable, '-c', sys.argv[1]], check=True, stdout=subprocess.DEVNULL)"
        "\nused = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(used.ru_utime + used.ru_stime)"
    )
    return float(python("-c", measure, code).stdout)


@pytest.mark.parametrize("folder", PACKAGES, ids=name_of)
def test_a_package_says_what_it_is_and_imports_nothing(folder: Path) -> None:
    tree = ast.parse((folder / "__init__.py").read_text())
    assert ast.get_docstring(tree)
    if folder not in (PACKAGE, PACKAGE / "compat"):
        assert len(tree.body) == 1, "an __init__ that imports makes every import heavy"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_stay_small_and_say_what_they_are(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    assert ast.get_docstring(ast.parse(text))


def test_nothing_is_called_by_what_it_is_not() -> None:
    vague = {"utils", "util", "common", "helpers", "helper", "misc", "stuff", "tools"}
    parts = {part for path in FILES for part in path.relative_to(PACKAGE).with_suffix("").parts}
    assert vague.isdisjoint(parts)


def test_every_package_has_its_files_declared() -> None:
    """A folder without ``__init__`` would be importable, and escape every rule above."""
    folders = {path.parent for path in FILES}
    assert folders == set(PACKAGES)


@pytest.mark.parametrize("page", ["README.md", "ARCHITECTURE.md"])
def test_pages_mention_every_room(page: str) -> None:
    text = (ROOT / page).read_text()
    rooms = [folder.name for folder in PACKAGES if folder.parent == PACKAGE]
    assert [room for room in rooms if not re.search(rf"\b{room}/", text)] == []


def test_the_changelog_has_a_place_for_what_comes() -> None:
    assert "## Unreleased" in (ROOT / "CHANGELOG.md").read_text().splitlines()


def test_constraints_name_versions_and_no_place() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert pins == sorted(pins, key=str.lower)
    assert [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", pin)] == []


ERRORS = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, ClipmillError)
]


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_errors_survive_the_way_between_processes(kind: type[ClipmillError]) -> None:
    fields = {"error_class": "timeout", "retryable": True, "details": {"attempts": 3}}
    error = kind("It took too long.", **(fields if issubclass(kind, SampleError) else {"at": 7}))
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is kind
    assert str(back) == back.message == "It took too long."
    assert vars(back) == vars(error)


@pytest.mark.slow
def test_the_command_line_reference_is_current() -> None:
    python("tools/reference.py", "--check")
