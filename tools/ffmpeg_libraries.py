"""Link to the FFmpeg libraries that PyAV's wheel brings along, under the names others ask for.

Run as ``python tools/ffmpeg_libraries.py FOLDER``. With the folder in LD_LIBRARY_PATH, torchcodec
finds them, so that the tests of it need no FFmpeg of the system. Elsewhere than on Linux, and where
PyAV was built from source, the folder stays empty.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import files
from pathlib import Path

# As in av.libs/libavcodec-5e6b81c2.so.62.28.102: the name, and the major version.
_LIBRARY = re.compile(r"(lib(?:av|sw)[a-z]+)-[0-9a-f]+(\.so\.\d+)")


def main() -> None:
    """Make the links anew."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for file in files("av") or ():
        if (named := _LIBRARY.match(file.name)) and file.parent.name == "av.libs":
            (folder / "".join(named.groups())).symlink_to(Path(str(file.locate())).resolve())


if __name__ == "__main__":
    main()
