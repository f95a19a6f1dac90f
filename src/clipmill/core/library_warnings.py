"""Warnings of libraries are for those who develop with them, not for those who use a command."""

from __future__ import annotations

import sys
import warnings


def hide_library_warnings() -> None:
    """Keep what libraries warn of off the user's terminal, in a process that is ours alone.

    ``PYTHONWARNINGS=default`` shows them.
    """
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
