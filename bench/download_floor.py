"""The least that downloading and knowing what came can cost: curl, then a hash and a look at each.

    python bench/download_floor.py FOLDER curl --parallel ...

Nothing is kept of what is learnt; no sample can be resumed, and none is put into a shard.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import av


def look(path: Path) -> int:
    """Hash a file, and let libav find out what its streams are; their number."""
    hashlib.sha256(path.read_bytes()).hexdigest()
    with av.open(str(path)) as container:
        return len(container.streams)


def main() -> None:
    folder, *curl = sys.argv[1:]
    subprocess.run(curl, check=True)
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as processes:
        if not all(processes.map(look, sorted(Path(folder).glob("*.mp4")), chunksize=50)):
            sys.exit("a file has no streams")


if __name__ == "__main__":
    main()
