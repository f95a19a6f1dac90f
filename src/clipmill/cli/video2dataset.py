"""``clipmill video2dataset``: the peer's own command line."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import typer

from clipmill.core.errors import RecipeError
from clipmill.core.registry import nearest

if TYPE_CHECKING:
    from clipmill.compat.v2d_arguments import Arguments

SETTINGS: dict[str, Any] = {
    "add_help_option": False,
    "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True},
}
"""All words come through to ``run``: the peer's command line has a syntax of its own."""

HELP = "Take video2dataset's own arguments and configuration files."
_USAGE = """\
Usage: clipmill video2dataset URL_LIST [OUTPUT_FOLDER] [--NAME=VALUE ...]

{help}

Names may be written with - or _. Lists and mappings are written as '[a,b]' and
'{{"video":"mp4"}}'. --NAME alone switches something on, --noNAME switches it off.

Options:
{options}
  --debug
      Show tracebacks.
"""


def command(context: typer.Context) -> None:
    """Take video2dataset's own arguments and configuration files."""
    if status := run(context.args):
        raise typer.Exit(status)


def run(arguments: list[str]) -> int:
    """Carry out the command; its exit code.

    Args:
        arguments: words after ``video2dataset``.

    Raises:
        UserError: wrong arguments, or input and output that cannot be used.
        RunError: the run stopped.
    """
    from clipmill.compat.v2d_arguments import Arguments
    from clipmill.core.config import parse_config

    words = [word for word in arguments if word != "--debug"]
    if not words or "--help" in words or "-h" in words:
        typer.echo(_help(Arguments))
        return 0
    given = read_words(words, Arguments)
    if "url_list" not in given:
        raise RecipeError("video2dataset needs --url_list: the table with the URLs.")

    from clipmill.cli.report import report_lines
    from clipmill.compat.v2d_recipe import recipe_of
    from clipmill.run.runner import run_recipe

    recipe, mode = recipe_of(parse_config(Arguments, given, "video2dataset"))
    report = run_recipe(recipe, mode=mode)
    for line in report_lines(report):
        typer.echo(line)
    return report.exit_code


def read_words(words: list[str], model: type[Arguments]) -> dict[str, str]:
    """Values by argument name: from ``--name=value``, ``--name value``, switches, bare values."""
    names = list(model.model_fields)
    given: dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.startswith("--"):
            name, value = _option(word, rest, model)
        else:
            name, value = _next_free(names, given, word), word
        if name in given:
            raise RecipeError(f"--{name} is given twice.")
        given[name] = value
    return given


def _option(word: str, rest: list[str], model: type[Arguments]) -> tuple[str, str]:
    """Name and value of an option; the value may be the first of the words that follow."""
    written, equals, value = word.removeprefix("--").partition("=")
    name = written.replace("-", "_")
    if name not in model.model_fields:
        positive = name.removeprefix("no").removeprefix("_")
        if not equals and _is_switch(model, positive):
            return positive, "False"
        raise RecipeError(_unknown(name, list(model.model_fields)))
    if equals:
        return name, value
    has_value = bool(rest) and not rest[0].startswith("--")
    if _is_switch(model, name):
        return name, rest.pop(0) if has_value and rest[0].lower() in ("true", "false") else "True"
    if not has_value:
        raise RecipeError(f"--{name} needs a value: --{name}=VALUE.")
    return name, rest.pop(0)


def _is_switch(model: type[Arguments], name: str) -> bool:
    return name in model.model_fields and model.model_fields[name].annotation is bool


def _next_free(names: list[str], given: dict[str, str], word: str) -> str:
    """The argument a bare value stands for: the first that has no value yet."""
    name = next((name for name in names if name not in given), None)
    if name is None:
        raise RecipeError(f"{word!r} is one value too many. Write options as --name=value.")
    return name


def _unknown(name: str, names: list[str]) -> str:
    from clipmill.compat.v2d_config import place_in_config

    place = place_in_config(name)
    if place is None:
        return f"There is no option --{name}. {nearest(name, names)}"
    return (
        f"There is no option --{name}: it belongs in the configuration, as {place}. "
        "Write it there and give the file as --config=FILE.yaml."
    )


def _help(model: type[Arguments]) -> str:
    from clipmill.core.docstrings import field_docs

    parts = []
    texts = field_docs(model)
    for name, field in model.model_fields.items():
        default = "" if field.is_required() or field.default is None else f" [{field.default}]"
        text = texts.get(name, "")
        parts += [f"  --{name}{default}", textwrap.indent(textwrap.fill(text, 88), " " * 6)]
    return _USAGE.format(help=HELP, options="\n".join(parts))
