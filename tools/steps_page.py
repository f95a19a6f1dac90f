"""``docs/steps.md``: every registered step, from what it tells of itself."""

from __future__ import annotations

from typing import Any

from clipmill.cli.steps import STATISTICS
from clipmill.core.registry import names
from clipmill.steps.describe import describe_step
from clipmill.steps.load import GROUP

HEADER = """\
# Steps

Made by `make docs` from the steps themselves (`clipmill steps` shows the same); edit those, not
this page.
How they are run, and how to write one: [annotate.md](annotate.md).

Columns of the type *statistics* hold `mean`, `min`, `max`, `p10`, `first` and the raw `values`, one
for each frame or pair that was looked at: `picture.luminance.mean`.

| step | cost | says |
|---|---|---|
"""


def steps_page() -> str:
    """The whole page."""
    told = [describe_step(name) for name in names(GROUP)]
    rows = [
        f"| [`{one['name']}`](#{one['name']}) | {one['cost']} | {one['summary']} |" for one in told
    ]
    return HEADER + "\n".join(rows) + "\n" + "".join(map(_section, told))


def _section(step: dict[str, Any]) -> str:
    lines = [f"\n## {step['name']}\n", step["summary"], "", f"It wants `{step['wants']}`."]
    if step["settings"]:
        lines += ["", "| setting | default | meaning |", "|---|---|---|"]
        lines += [
            f"| `{one['name']}` | `{one['default']}` | {' '.join(one['help'].split())} |"
            for one in step["settings"]
        ]
    lines += ["", "| column | type | unit | meaning |", "|---|---|---|---|"]
    for one in step["columns"]:
        kind = "statistics" if one["type"].startswith(STATISTICS) else f"`{one['type']}`"
        lines.append(f"| `{one['name']}` | {kind} | {one['unit']} | {one['description']} |")
    return "\n".join(lines) + "\n"
