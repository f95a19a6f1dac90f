"""The ``clipmill`` command: finds the subcommand, and turns errors into messages and exit codes."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from clipmill import __version__
from clipmill.core.errors import ClipmillError, UserError
from clipmill.core.libraries import ONE_THREAD, hide_library_warnings
from clipmill.core.registry import nearest

COMMANDS: dict[str, str] = {
    "download": "Turn a list of URLs, a folder of media or shards into a dataset.",
    "split": "Find the clips of videos: a table of spans, nothing encoded.",
    "annotate": "Let steps say something of every sample, in columns beside the dataset.",
    "steps": "List the steps there are, with their columns, units and costs.",
    "stats": "Show how values are distributed, and what a threshold would keep.",
    "select": "Select samples by a condition over all columns; nothing is copied.",
    "export": "Make files of clips: cut, scaled, encoded once, and checked.",
    "run": "Carry out a recipe written in YAML.",
    "explain": "Show what a recipe will do, and what each source costs.",
    "retry": "Try failed rows of a dataset again.",
    "status": "Show how far a dataset is and how its rows ended.",
    "verify": "Re-read a dataset and compare it with its tables and hashes.",
    "video2dataset": "Take video2dataset's own arguments and configuration files.",
    "demo": "Make a small dataset from synthetic videos on a misbehaving local server.",
}
"""Name and one line of help per subcommand; its module is loaded when it is called."""


class LazyGroup(TyperGroup):
    """Lists subcommands without importing them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of a dataset's life."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | None:
        """A stand-in that knows its help line."""
        if cmd_name not in COMMANDS:
            return None
        # As a short help it is wrapped, where a help would be cut.
        return TyperCommand(name=cmd_name, help=COMMANDS[cmd_name], short_help=COMMANDS[cmd_name])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The real subcommand, imported now."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise UserError(f"There is no command {args[0]!r}. {nearest(args[0], list(COMMANDS))}")
        name, command, rest = super().resolve_command(ctx, args)
        if name is None or command is None:
            return name, command, rest
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        module = importlib.import_module(f"clipmill.cli.{name}")
        settings = getattr(module, "SETTINGS", {})
        single.command(name, help=module.command.__doc__, **settings)(module.command)
        return name, typer.main.get_command(single), rest


app = typer.Typer(
    cls=LazyGroup,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"clipmill {__version__}")
        raise typer.Exit


@app.callback()
def clipmill(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version."
    ),
) -> None:
    """Turn video and audio, wherever they lie, into datasets that models can be trained on.

    Every command explains itself: clipmill COMMAND --help
    """


def main() -> None:
    """Entry point: run the command line and exit with its status."""
    hide_library_warnings()
    os.environ.update(ONE_THREAD | os.environ)
    sys.exit(guarded(app))


def guarded(call: Callable[[], Any]) -> int:
    """Run a command; errors become one message on standard error and an exit code."""
    try:
        call()
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else int(bool(ending.code))
    except ClipmillError as error:
        if debugging():
            raise
        trace = error.fields.get("traceback")
        message = _in_words(str(error))
        typer.echo(f"{trace}\nError: {message}" if trace else f"Error: {message}", err=True)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read us is gone
        return 141
    except OSError as error:
        from clipmill.run.room import is_no_room, no_room

        if debugging() or not is_no_room(error):
            raise
        typer.echo(f"Error: {no_room(error, 'the disk')}", err=True)
        return 1
    except KeyboardInterrupt:
        typer.echo("Interrupted.", err=True)
        return 130
    return 0


def _in_words(message: str) -> str:
    """A message in the words of the command that was given: options, but for recipes keys."""
    if sys.argv[1:2] not in (["download"], ["split"], ["export"], ["retry"]):
        return message
    from clipmill.core.words import as_options
    from clipmill.run.settings import SECTIONS

    places = [(section, name) for section, part in SECTIONS.items() for name in part.model_fields]
    return as_options(message, places)


def debugging() -> bool:
    """Whether ``--debug`` was given anywhere."""
    return "--debug" in sys.argv
