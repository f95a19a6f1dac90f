"""What libraries do without being asked, in processes that are ours alone."""

from __future__ import annotations

import sys
import warnings

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""For the environment of a process, before NumPy is loaded: the threads it would start for linear
algebra, of which there is none, cost a tenth of a second, though the processes fill the cores."""


def hide_library_warnings() -> None:
    """Keep what libraries warn of off the user's terminal.

    ``PYTHONWARNINGS=default`` shows them.
    """
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


class _NoPandas:
    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


def keep_pandas_out() -> None:
    """Make pyarrow do without pandas, which it otherwise loads with its first array if it is there.

    That is a fifth of a second and tens of megabytes for nothing. Steps may still load pandas, and
    where one has, it stays.
    """
    if "pandas" in sys.modules:
        return
    import pyarrow as pa

    sys.meta_path.insert(0, _NoPandas)
    try:
        pa.array([0])  # it looks once
    finally:
        sys.meta_path.remove(_NoPandas)
