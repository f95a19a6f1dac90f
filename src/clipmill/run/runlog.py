"""The structured log of a run: one JSON object per line, beside the dataset."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from clipmill.io.folder import Folder
from clipmill.io.layout import RUN_FOLDER

LOG_FILE = "log.jsonl"


class RunLog:
    """Appends events to ``_run/log.jsonl`` of the output, or uploads it at the end.

    Args:
        output: the dataset's folder.
        scratch: local folder; the log grows there when the output is not local.
    """

    def __init__(self, output: Folder, scratch: Path) -> None:
        self._output = output
        folder = output.local(RUN_FOLDER) if output.is_local else scratch
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / LOG_FILE
        kept = f"{RUN_FOLDER}/{LOG_FILE}"
        if not output.is_local and not self.path.exists() and output.exists(kept):
            self.path.write_bytes(output.read_bytes(kept))
        self._file = self.path.open("a", encoding="utf-8")

    def write(self, event: str, **facts: Any) -> None:
        """Add one line with the event's name, the time and its facts."""
        entry = {"time": round(time.time(), 3), "event": event, "pid": os.getpid(), **facts}
        self._file.write(json.dumps(entry, ensure_ascii=False, default=str) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file; a remote output gets its copy now."""
        self._file.close()
        if not self._output.is_local:
            self._output.write_bytes(f"{RUN_FOLDER}/{LOG_FILE}", self.path.read_bytes())
