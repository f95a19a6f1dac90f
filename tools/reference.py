"""Write ``docs/cli.md`` from what ``clipmill COMMAND --help`` says; ``--check`` only compares.

Run by ``make docs`` and, with ``--check``, by ``make check``.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from clipmill.cli.main import COMMANDS

TARGET = Path(__file__).parent.parent / "docs" / "cli.md"
PROGRAM = Path(sys.executable).with_name("clipmill")
COLUMNS = 100
HEADER = """\
# Command line reference

Made by `make docs` from `clipmill --help`; edit the commands, not this page.
"""


def reference() -> str:
    """The whole page."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        pages = list(pool.map(help_page, [(), *((name,) for name in COMMANDS)]))
    return "\n".join([HEADER, *pages])


def help_page(words: tuple[str, ...]) -> str:
    """What one command says of itself, as a section."""
    command = " ".join(("clipmill", *words))
    # Nothing of the terminal, nor of the environment it runs in, may show in the page.
    environment = {
        name: value
        for name, value in os.environ.items()
        if not re.match(r"TERM|FORCE_COLOR|CLICOLOR|GITHUB_ACTIONS|PY_COLORS|_?TYPER|LINES", name)
    }
    answer = subprocess.run(
        [PROGRAM, *words, "--help"],
        env=environment
        | {"COLUMNS": str(COLUMNS), "TERMINAL_WIDTH": str(COLUMNS), "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    lines = [line.rstrip() for line in answer.stdout.strip().splitlines()]
    return f"## {command}\n\n```text\n" + "\n".join(lines) + "\n```\n"


def main() -> int:
    """Write the page, or say whether it is current."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 if the page is not current")
    check = parser.parse_args().check
    page = reference()
    if not check:
        TARGET.parent.mkdir(exist_ok=True)
        TARGET.write_text(page)
        return 0
    if TARGET.exists() and TARGET.read_text() == page:
        return 0
    sys.stderr.write("docs/cli.md differs from `clipmill --help`: run `make docs`.\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
