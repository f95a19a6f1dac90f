"""Write the pages of ``docs/`` that are made from the code; ``--check`` only compares.

``cli.md`` is what ``clipmill COMMAND --help`` says, ``recipes.md`` the keys of recipes,
``errors.md`` the ways a row can fail, ``steps.md`` what steps want, take and give. Of ``load.md``
the table of settings is made.

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

from error_page import error_page
from load_page import load_page
from recipe_page import recipe_page
from steps_page import steps_page

from clipmill.cli.main import COMMANDS
from clipmill.media.containers import AUDIO_ONLY, CONTAINERS

DOCS = Path(__file__).parent.parent / "docs"
PROGRAM = Path(sys.executable).with_name("clipmill")
COLUMNS = 100
HEADER = """\
# Command line reference

Made by `make docs` from `clipmill --help`; edit the commands, not this page.

- An option that takes several values is given once per value:
  `--headers 'Accept-Language: en' --headers 'Referer: https://example.org'`,
  `--subtitle-languages en --subtitle-languages de`.
- `--site-options` takes an option of yt-dlp as `NAME=VALUE`: `--site-options geo_bypass=true`.
- `--encode-formats` takes a list with commas: `video=mp4,audio=m4a`. Containers for video: VIDEO;
  for audio: AUDIO. `original` keeps a file as it is.
- Sizes are numbers of bytes or texts such as `500MB` and `2GiB`.
""".replace("VIDEO", ", ".join(name for name in CONTAINERS if name not in AUDIO_ONLY)).replace(
    "AUDIO", ", ".join(sorted(AUDIO_ONLY))
)


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


PAGES = {
    "cli.md": reference,
    "recipes.md": recipe_page,
    "errors.md": error_page,
    "load.md": load_page,
    "steps.md": steps_page,
}


def main() -> int:
    """Write the pages, or say which is not current."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 if a page is not current")
    check = parser.parse_args().check
    stale = []
    for name, make in PAGES.items():
        page, target = make(), DOCS / name
        if not check:
            target.parent.mkdir(exist_ok=True)
            target.write_text(page)
        elif not target.exists() or target.read_text() != page:
            stale.append(f"docs/{name}")
    if stale:
        sys.stderr.write(f"{', '.join(stale)} differ from the code: run `make docs`.\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
