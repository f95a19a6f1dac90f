"""Batches of samples for steps that judge many at a time."""

import asyncio

import numpy as np
import pytest

from clipmill.core.errors import RunError
from clipmill.core.seen import Seen
from clipmill.run.batches import Batcher
from clipmill.steps.load import StepOrder

STEP = """
import pyarrow as pa
from clipmill.steps.base import InBatches

class Model(InBatches):
    "A model of sorts."
    name = "model"
    columns = pa.schema([("at_once", pa.int64())])
    way: str = ""

    def annotate(self, batch):
        if any(seen.key == "bad" for seen in batch):
            if self.way == "bug":
                return batch.nothing
            raise RuntimeError("no memory for it")
        return [{"at_once": len(batch)}] * (len(batch) - (self.way == "short"))
"""


@pytest.fixture
def judge(tmp_path):
    path = tmp_path / "model.py"
    path.write_text(STEP)

    async def judged(keys, **settings):
        batcher = Batcher(StepOrder("model", settings, str(path)), 4)
        frames = np.zeros((1, 2, 2, 3), np.uint8)
        seen = [Seen(key=key, duration_seconds=1.0, frames=frames) for key in keys]
        try:
            return await asyncio.gather(*map(batcher.cell, seen))
        finally:
            batcher.close()

    return lambda keys, **settings: asyncio.run(judged(keys, **settings))


def test_full_batches_are_judged_and_what_is_left_after_a_moment(judge):
    assert [cell.values["at_once"] for cell in judge("abcdef")] == [4, 4, 4, 4, 2, 2]


def test_a_sample_that_a_batch_fails_of_fails_alone(judge):
    cells = judge(["a", "bad", "c"])
    assert [cell.status for cell in cells] == ["success", "failed", "success"]
    assert cells[1].error_class == "runtime_error"
    assert cells[0].values == {"at_once": 1}


@pytest.mark.parametrize(("way", "words"), [("bug", "nothing"), ("short", "2 mappings for 3")])
def test_a_wrong_step_stops_the_run(judge, way, words):
    with pytest.raises(RunError, match=words):
        judge(["a", "bad" if way == "bug" else "b", "c"], way=way)
