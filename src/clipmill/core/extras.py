"""Optional libraries: declared, imported on use, and asked for politely."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable
from types import ModuleType

from clipmill.core.errors import MissingExtra


def require(module: str, *, extra: str, used_by: str) -> ModuleType:
    """Import an optional library or say exactly how to install it.

    Args:
        module: import name, such as ``yt_dlp``.
        extra: the extra of clipmill that brings it.
        used_by: what the user asked for that needs it.

    Raises:
        MissingExtra: the library is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise _missing(module, extra, used_by) from error


def check_installed(needs: Iterable[tuple[str, str]], *, used_by: str) -> None:
    """Say how to install what is missing, before anything is done; nothing is imported.

    Args:
        needs: pairs of a module and the extra of clipmill that brings it.
        used_by: what the user asked for that needs them.

    Raises:
        MissingExtra: one of them is not installed.
    """
    for module, extra in needs:
        if importlib.util.find_spec(module) is None:
            raise _missing(module, extra, used_by)


def _missing(module: str, extra: str, used_by: str) -> MissingExtra:
    return MissingExtra(
        f"{used_by} needs the Python module {module!r}, which is not installed. "
        f'Install it with: pip install "clipmill[{extra}]"'
    )
