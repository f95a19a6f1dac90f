"""Batches of samples for steps that judge many at a time."""

import asyncio

import numpy as np
import pytest

from clipmill.core.errors import RunError
from clipmill.core.seen import Seen
from clipmill.run.batches import Batcher
from clipmill.steps.load import StepOrder

STEP = """
import os
import time
from pathlib import Path

import pyarrow as pa
from clipmill.steps.base import InBatches

class Model(InBatches):
    "A model of sorts."
    name = "model"
    columns = pa.schema([("at_once", pa.int64())])
    way: str = ""
    log: str = ""

    def setup(self):
        self.say("set up")
        if self.way == "unready":
            os.abort()
        if self.way == "slow":
            time.sleep(5)

    def close(self):
        self.say("closed")

    def say(self, what):
        if self.log:
            with open(self.log, "a") as file:
                file.write(what + "\\n")

    def annotate(self, batch):
        if self.way == "large" and len(batch) > 2:
            os.abort()
        if any(seen.key.startswith("bad") for seen in batch):
            if self.way == "bug":
                return batch.nothing
            if self.way == "dies":
                os.abort()
            if self.way == "hangs":
                time.sleep(100)
            raise RuntimeError("no memory for it")
        return [{"at_once": len(batch)}] * (len(batch) - (self.way == "short"))
"""


@pytest.fixture
def judge(tmp_path):
    path = tmp_path / "model.py"
    path.write_text(STEP)

    async def judged(keys, timeout_seconds=30.0, **settings):
        batcher = Batcher(StepOrder("model", settings, str(path)), 4, timeout_seconds)
        frames = np.zeros((1, 2, 2, 3), np.uint8)
        seen = [Seen(key=key, duration_seconds=1.0, frames=frames) for key in keys]
        try:
            return await asyncio.gather(*map(batcher.cell, seen))
        finally:
            await batcher.close()

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


def test_a_sample_that_the_process_does_not_survive_fails_alone(judge, tmp_path):
    log = tmp_path / "log"
    cells = judge(["a", "bad", "c", "d"], way="dies", log=str(log))
    assert [cell.error_class for cell in cells] == [None, "step_crashed", None, None]
    assert cells[1].error_message.startswith("the step died of SIGABRT")
    assert [cell.values for cell in cells if cell.status == "success"] == [{"at_once": 1}] * 3
    # lost are the process of the batch and two with the sample alone
    assert log.read_text().split("\n") == ["set up"] * 4 + ["closed", ""]


def test_a_sample_that_the_step_hangs_over_fails_alone_after_the_time_limit(judge):
    cells = judge(["a", "bad"], way="hangs", timeout_seconds=4)
    assert [cell.error_class for cell in cells] == [None, "step_hung"]
    assert cells[1].error_message == "the step did not get on for 4 s (2 times in a row)"


def test_the_time_limit_is_not_for_setting_up(judge):
    (cell,) = judge("a", way="slow", timeout_seconds=2)
    assert cell.status == "success"


def test_batches_too_large_to_survive_are_smaller_from_then_on(judge, tmp_path):
    log = tmp_path / "log"
    cells = judge("abcdefgh", way="large", log=str(log))
    assert [cell.values["at_once"] for cell in cells[:4]] == [1, 1, 1, 1]
    assert [cell.status for cell in cells] == ["success"] * 8


def test_a_step_that_survives_no_sample_is_not_tried_with_all_of_them(judge, tmp_path):
    log = tmp_path / "log"
    cells = judge(["bad0", "bad1", "bad2", "bad3"], way="dies", log=str(log))
    assert [cell.error_class for cell in cells] == ["step_crashed"] * 3 + ["step_not_tried"]
    assert cells[3].error_message.startswith("not tried, since over 3 samples beside it the step")
    assert log.read_text().count("set up") == 1 + 3 * 2


def test_a_step_that_ends_its_process_while_it_is_set_up_stops_the_run(judge):
    with pytest.raises(RunError, match="Step 'model' could not be set up: the step died of SIGAB"):
        judge("abc", way="unready")
