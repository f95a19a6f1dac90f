"""What a step says is taken whole or not at all: nothing of it is rounded off or left out."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pytest

from clipmill.steps.base import Annotate
from clipmill.steps.judge import checked


class Says(Annotate):
    """Has a column of each kind."""

    name = "says"
    columns = pa.schema(
        {
            "number": pa.float32(),
            "count": pa.int32(),
            "counts": pa.list_(pa.int64()),
            "box": pa.struct({"x": pa.int32(), "share": pa.float32()}),
            "word": pa.string(),
        }
    )

    def annotate(self, batch: Sequence[object]) -> Sequence[Mapping[str, object]]:
        """See ``Annotate.annotate``."""
        return [{} for _ in batch]


SAID = {
    "number": np.float32(0.1),
    "count": np.int64(3),
    "counts": np.arange(3),
    "box": {"x": 2.0, "share": 0.1},
    "word": "red",
}


def test_what_columns_can_hold_is_a_value():
    (cell,) = checked(Says(), [SAID], ["a"])
    assert cell.status == "success"
    assert cell.values["counts"] == [0, 1, 2]
    assert cell.values["box"]["x"] == 2
    (empty,) = checked(Says(), [dict.fromkeys(SAID)], ["a"])
    assert empty.status == "success", "None is a value of every column"


@pytest.mark.parametrize(
    ("name", "value", "error_class", "words"),
    [
        ("number", np.inf, "not_finite", "no number"),
        ("number", 1e300, "not_finite", "too large for float"),
        ("count", 2.5, "wrong_type", "2.5 is no whole number"),
        ("count", 2**40, "wrong_type", "int32"),
        ("counts", np.array([1.0, 2.5]), "wrong_type", "2.5 is no whole number"),
        ("box", {"x": 1, "shares": 0.5}, "wrong_type", "it has no field 'shares'"),
        ("box", {"x": 1.5}, "wrong_type", "1.5 is no whole number"),
        ("word", 3, "wrong_type", "string"),
        ("word", "\ud800", "wrong_type", "surrogates not allowed"),
    ],
)
def test_what_they_cannot_hold_fails_the_cell_and_no_other(name, value, error_class, words):
    failed, fine = checked(Says(), [{**SAID, name: value}, SAID], ["a", "b"])
    assert (failed.status, failed.error_class) == ("failed", error_class)
    assert f"column {name!r}" in failed.error_message
    assert words in failed.error_message
    assert fine.status == "success"
