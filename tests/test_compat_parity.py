"""The parity page: nothing of the peer is missing from it, and every row has its tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clipmill.compat.v2d_arguments import OUTPUT_FORMATS, STAGES, TABLE_FORMATS, Arguments
from clipmill.compat.v2d_config import (
    BUNDLED,
    DISTRIBUTORS,
    SUBSAMPLERS,
    Distribution,
    Reading,
    SiteArgs,
    SiteMetadata,
    Storage,
)
from clipmill.compat.v2d_loader_arguments import AudioDecoding, LoaderArguments, VideoDecoding
from clipmill.compat.v2d_subsamplers import ARGUMENTS

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "video2dataset.md").read_text()
STATES = {
    "same",
    "better",
    "other",
    "ours",
    "later",
    "refused",
    "refused unless allowed",
    "no effect",
}
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and " | state | " not in line
]
NAMES = [
    *Arguments.model_fields,
    *OUTPUT_FORMATS,
    *TABLE_FORMATS,
    *STAGES,
    *DISTRIBUTORS,
    *BUNDLED,
    *SUBSAMPLERS,
    *(f"{name}.{key}" for name, model in ARGUMENTS.items() for key in model.model_fields),
    *SiteMetadata.model_fields,
    *(f"storage.{key}" for key in Storage.model_fields),
    *(f"distribution.{key}" for key in Distribution.model_fields),
    *(f"reading.{key}" for key in Reading.model_fields if key != "yt_args"),
    *(f"reading.yt_args.{key}" for key in SiteArgs.model_fields),
    *LoaderArguments.model_fields,
    *VideoDecoding.model_fields,
    *AudioDecoding.model_fields,
]


@pytest.mark.parametrize("name", sorted(set(NAMES)))
def test_every_name_of_the_peer_has_a_row(name):
    told = [
        row for row in ROWS if re.search(rf"`(subsampling\.)?{re.escape(name)}`", " ".join(row))
    ]
    assert told


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_row_has_a_state_and_tests_that_exist(row):
    _, state, _, cited = row
    assert state in STATES
    names = re.findall(r"`(test_\w+)`", cited)
    assert names
    missing = [name for name in names if f"def {name}(" not in ALL_TESTS]
    assert not missing


ALL_TESTS = "\n".join(path.read_text() for path in sorted(TESTS.glob("test_*.py")))
