"""Every command and every program in README.md and docs/ is run, in order, in a folder per page.

CONTRIBUTING.md ("Examples in the README") says how the page is read.
"""

from __future__ import annotations

import csv
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from clipmill.demo.media import make_video
from clipmill.demo.server import Origin

ROOT = Path(__file__).parent.parent
PAGES = (
    "README.md",
    "docs/inputs.md",
    "docs/clips.md",
    "docs/annotate.md",
    "docs/select.md",
    "docs/export.md",
    "docs/load.md",
    "docs/python.md",
    "docs/recipes.md",
    "docs/errors.md",
)
BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<excuse>.+?) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.M | re.S,
)
# The page's reader has links to the internet. Ours lead to this machine, which is refused by
# default; every Python started here is told that this machine's addresses are public.
PUBLIC_LOOPBACK = """
from clipmill.fetch import addresses
addresses.is_public = lambda address: True
"""


@dataclass(frozen=True)
class Example:
    """A block of the page: its language, its text, and the line it begins in."""

    language: str
    text: str
    line: int

    def commands(self) -> list[list[str]]:
        """The words of each ``$ clipmill ...`` in a console block; the other lines are output."""
        joined = self.text.replace("\\\n", " ")
        lines = [line[2:] for line in joined.splitlines() if line.startswith("$ ")]
        words = [shlex.split(line, comments=True) for line in lines]
        return [command for command in words if command[:1] == ["clipmill"]]


def examples(page: str) -> list[Example]:
    """The blocks that are run or written, in order."""
    return [
        Example(found["language"], found["text"], page.count("\n", 0, found.start()) + 1)
        for found in BLOCK.finditer(page)
        if not found["excuse"]
    ]


def run(example: Example, folder: Path, page: str) -> None:
    """Run a block; one whose first line is a comment with a name becomes that file."""
    name = re.match(r"# (\S+\.(?:ya?ml|py))\n", example.text)
    if name:
        (folder / name[1]).write_text(example.text)
    elif example.language == "python":
        python(folder, "-c", example.text, place=f"{page}:{example.line}")
    elif example.language == "console":
        for words in example.commands():
            python(folder, "-m", *words, place=f"{page}:{example.line}")


def python(folder: Path, *arguments: str, place: str) -> None:
    patched = {**os.environ, "PYTHONPATH": str(folder / ".site"), "NO_COLOR": "1"}
    ended = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=patched, capture_output=True, text=True
    )
    assert ended.returncode == 0, f"{place}: {arguments}\n{ended.stdout}\n{ended.stderr}"


def prepare(folder: Path, origin: Origin) -> None:
    """What the page's reader is supposed to have: ``videos.csv`` with ``url`` and ``caption``."""
    with (folder / "videos.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["url", "caption"])
        table.writerows([origin.url(f"{n}.mp4"), f"video number {n}"] for n in range(3))
    (folder / ".site").mkdir()
    (folder / ".site" / "sitecustomize.py").write_text(PUBLIC_LOOPBACK)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", PAGES)
def test_every_example_of_a_page_runs(name: str, tmp_path: Path) -> None:
    videos, folder = tmp_path / "videos", tmp_path / "reader"
    videos.mkdir()
    folder.mkdir()
    for number in range(3):
        make_video(videos / f"{number}.mp4", seconds=1 + number)
    ran = examples((ROOT / name).read_text())
    assert {"console", "python"} & {example.language for example in ran}
    with Origin(videos) as origin:
        prepare(folder, origin)
        for example in ran:
            run(example, folder, name)
    assert all(origin.count(f"{number}.mp4") for number in range(3))


PAGE = """
```console
$ pip install clipmill
$ clipmill download videos.csv raw \\
    --caption-col caption   # the main job
3 samples
$ clipmill status raw
```
<!-- not run: needs a bucket -->
```console
$ clipmill download s3://bucket/list.csv raw
```
```python
print("hello")
```
"""


def test_examples_are_found_in_a_page() -> None:
    console, program = examples(PAGE)
    assert console.commands() == [
        ["clipmill", "download", "videos.csv", "raw", "--caption-col", "caption"],
        ["clipmill", "status", "raw"],
    ]
    assert (program.text, program.line) == ('print("hello")\n', 13)


@pytest.mark.parametrize("name", [*PAGES, "docs/cli.md", "docs/video2dataset.md"])
def test_links_between_pages_lead_somewhere(name: str) -> None:
    page = ROOT / name
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_a_failing_example_is_reported_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"README.md:7: (?s:.*)ZeroDivisionError"):
        run(Example("python", "1 / 0", line=7), tmp_path, "README.md")
