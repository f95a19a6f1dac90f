"""Columns beside the data: what steps say of samples, kept, found again, and made anew."""

from __future__ import annotations

import json
import shutil
import textwrap
from pathlib import Path

import pytest

import clipmill
from clipmill.cli.main import app, guarded
from clipmill.core.errors import InputError, OutputError, RecipeError, RunError, UserError
from clipmill.dataset.columns import column_groups, newest_groups
from clipmill.demo.media import make_video
from clipmill.demo.server import Origin
from clipmill.run.annotate import annotate_dataset
from clipmill.run.retry import retry_dataset
from clipmill.steps.describe import describe_step
from clipmill.steps.load import StepOrder, make_step, step_fingerprint, step_orders
from test_dataset_open import peer_shard

STEPS = """
import os
import signal
import time

import numpy as np
import pyarrow as pa
from pathlib import Path

import clipmill
from clipmill.core.errors import ProcessError
from clipmill.demo.media import read_frame_number
from clipmill.steps.base import Annotate, InBatches, InStretches


@clipmill.step(wants=clipmill.Frames(fps=5), columns={"numbers": "list<int64>"})
def numbers(seen):
    "The numbers painted on the frames that were seen."
    return [read_frame_number(frame) for frame in seen.frames]


@clipmill.step(wants=clipmill.Audio(rate=8000, channels=1), columns={"samples": "int64"})
def sound(seen):
    "How many samples of sound there were."
    return seen.audio.shape[1]


@clipmill.step(reads=["caption", "nothing"], columns={"letters": "int64", "extra": "string"})
def letters(seen, add: int = 0):
    "Length of the caption."
    return {"letters": len(seen.row["caption"] or "") + add, "extra": seen.row["nothing"]}


class Sizes(InBatches):
    "How many samples came at once."
    name = "sizes"
    batch_size: int = 4
    log: str = ""
    columns = pa.schema([("at_once", pa.int64()), ("vector", pa.list_(pa.float32(), 3))])
    wants = clipmill.Frames(count=2, size=(8, 8))

    def setup(self):
        self.__dict__["is_ready"] = True
        if self.log:
            with open(self.log, "a") as file:
                file.write("set up ")

    def annotate(self, batch):
        assert self.is_ready and all(seen.frames.shape == (2, 8, 8, 3) for seen in batch)
        return [{"at_once": len(batch), "vector": np.arange(3)} for _ in batch]


@clipmill.step(wants=clipmill.Frames(count=1), columns={"value": "float32"})
def picky(seen, way: str = "value", log: str = ""):
    "Fails on the second clip in one way or another."
    if log:
        with open(log, "a") as file:
            file.write(seen.key + "\\n")
    if way == "all die":
        os.kill(os.getpid(), signal.SIGKILL)
    if not seen.key.endswith("1"):
        return 1.0
    if way == "hangs":
        time.sleep(100)
    if way == "raises":
        raise ValueError("no such picture")
    if way == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if way == "silent":
        raise RuntimeError from ValueError("the weights are gone")
    if way == "process":
        raise ProcessError("too dark", error_class="too_dark")
    if way == "bug":
        return seen.no_such_thing
    return {"nan": float("nan"), "huge": 1e300, "type": "text", "names": {"other": 1}}[way]


def fails(name):
    @clipmill.step(wants=clipmill.Frames(count=1), columns={"value": "float32"}, name=name)
    def fail(seen):
        return picky(seen, way=name)

    return fail


raises, silent, process, nan, huge, wrong = map(
    fails, ["raises", "silent", "process", "nan", "huge", "type"]
)


class Forgets(Annotate):
    "Says nothing at all."
    name = "forgets"
    columns = pa.schema([("value", pa.float32())])
    wants = clipmill.Frames(count=1)

    def annotate(self, batch):
        [{"value": 1.0} for _ in batch]


class Unready(Forgets):
    "Has no weights."
    name = "unready"

    def setup(self):
        raise ValueError("weights.pt is no file of weights")


class Wishful(Forgets):
    "Wants what there is not."
    name = "wishful"

    @property
    def wants(self):
        return "frames"


class Torn(Forgets):
    "Wants two things at once."
    name = "torn"

    @property
    def wants(self):
        return clipmill.Frames(fps=1, count=1)
"""


@pytest.fixture(scope="module")
def steps_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("steps") / "my_steps.py"
    path.write_text(textwrap.dedent(STEPS))
    return str(path)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("annotate")
    videos = folder / "videos"
    videos.mkdir()
    make_video(videos / "a.mp4", seconds=3, fps=25, gop=10)
    make_video(videos / "b.mp4", seconds=2, fps=25, first_number=500, audio=None)
    (videos / "c.mp4").write_bytes((videos / "a.mp4").read_bytes()[:2000])
    (videos / "a.txt").write_text("a caption")
    clipmill.download(videos, folder / "raw", quiet=True)
    return folder / "raw"


@pytest.fixture(scope="module")
def split(raw: Path) -> Path:
    clips = raw.parent / "clips"
    clipmill.open(raw).split(clips, detector="stride", stride_seconds=1, quiet=True)
    return clips


@pytest.fixture
def clips(split: Path, tmp_path: Path) -> clipmill.Dataset:
    return clipmill.open(shutil.copytree(split, tmp_path / "clips"))


def cells(dataset: clipmill.Dataset, step: str) -> dict[str, dict]:
    """The newest cells of a step, by key."""
    group = newest_groups(dataset.folder)[step]
    tables = [group.shard_table(shard) for shard in dataset.shards]
    return {row["key"]: row for table in tables for row in table.to_pylist()}


def test_a_function_sees_exactly_the_frames_it_wants_of_every_virtual_clip(clips, steps_file):
    clips.annotate("numbers", modules=[steps_file], quiet=True)
    found = {key: row["numbers"] for key, row in cells(clips, "numbers").items()}
    assert found["00000000_00000"] == [0, 5, 10, 15, 20]
    assert found["00000000_00002"] == [50, 55, 60, 65, 70]
    assert found["00000001_00001"] == [525, 530, 535, 540, 545]
    assert list(found) == clips.table(["key"]).column(0).to_pylist()


def test_all_steps_and_all_clips_of_a_source_share_one_decode(clips, steps_file):
    report = annotate_dataset(
        clips.folder.url, step_orders(["numbers", "sizes"], [steps_file]), quiet=True
    )
    # 3 s and 2 s of video; frames that nobody wants and nobody leans on are not decoded at all
    assert 0 < report.decoded_seconds <= 5
    assert report.counts.successes == 5
    assert report.exit_code == 0


def test_what_a_step_has_nothing_to_look_at_of_is_absent(clips, steps_file):
    clips.annotate("sound", modules=[steps_file], quiet=True)
    found = cells(clips, "sound")
    assert found["00000000_00001"]["samples"] == 8000
    assert found["00000001_00000"]["status"] == "absent"
    assert found["00000001_00000"]["samples"] is None


def test_a_step_that_only_reads_rows_decodes_nothing(raw, tmp_path, steps_file):
    dataset = shutil.copytree(raw, tmp_path / "raw")
    orders = step_orders([{"letters": {"add": 2}}], [steps_file])
    report = annotate_dataset(str(dataset), orders, quiet=True)
    assert report.decoded_seconds == 0
    found = cells(clipmill.open(dataset), "letters")
    assert found["00000002"]["status"] is None, "the sample itself has failed"
    assert found["00000000"]["letters"] == len("a caption") + 2
    assert found["00000001"]["letters"] == 2
    assert found["00000000"]["extra"] is None


def test_batches_reach_across_samples_and_sources(clips, steps_file, tmp_path):
    log = tmp_path / "log"
    clips.annotate({"sizes": {"log": str(log)}}, modules=[steps_file], quiet=True)
    assert log.read_text() == "set up ", "once, and in a process of its own"
    found = [row for row in cells(clips, "sizes").values() if row["status"] == "success"]
    assert len(found) == 5
    assert max(row["at_once"] for row in found) <= 4
    assert {tuple(row["vector"]) for row in found} == {(0.0, 1.0, 2.0)}


def test_what_is_there_is_not_made_again_unless_it_is_forced(clips, steps_file, tmp_path):
    log = tmp_path / "log"
    step = {"picky": {"way": "raises", "log": str(log)}}
    for _ in range(2):
        clips.annotate(step, modules=[steps_file], quiet=True)
    assert len(log.read_text().split()) == 5
    clips.annotate(step, modules=steps_file, retry=["value_error"], quiet=True)
    clips.annotate(step, modules=[steps_file], retry=["timeout"], quiet=True)
    assert sorted(log.read_text().split()[5:]) == ["00000000_00001", "00000001_00001"]
    with pytest.raises(UserError, match=r"No cell failed with valu_error. Did you mean 'value_e"):
        clips.annotate(step, modules=[steps_file], retry=["timeout", "valu_error"], quiet=True)
    clips.annotate(step, modules=[steps_file], force=True, quiet=True)
    assert len(log.read_text().split()) == 12


WAYS = {
    "raises": ("value_error", "ValueError: no such picture"),
    "process": ("too_dark", "too dark"),
    "silent": ("runtime_error", "RuntimeError: the weights are gone"),
    "nan": ("not_finite", "column 'value' holds a value that is no number"),
    "huge": ("not_finite", "column 'value' holds a number too large for float"),
    "type": ("wrong_type", "column 'value' is float: "),
}


def test_what_goes_wrong_with_one_sample_is_said_in_its_cell(clips, steps_file):
    clips.annotate(*WAYS, modules=[steps_file], quiet=True)
    for way, (error_class, message) in WAYS.items():
        found = cells(clips, way)
        failed = [row for row in found.values() if row["status"] == "failed"]
        assert {row["error_class"] for row in failed} == {error_class}
        assert failed[0]["error_message"].startswith(message)
        assert found["00000000_00000"]["value"] == 1.0


@pytest.mark.parametrize(
    ("way", "error_class", "message"),
    [
        ("dies", "step_crashed", "the step died of SIGKILL"),
        ("hangs", "step_hung", "the step did not get on for 3 s"),
    ],
)
def test_a_step_that_ends_its_process_takes_no_sample_and_no_step_with_it(
    clips, steps_file, way, error_class, message
):
    run = {"sample_timeout_seconds": 3 if way == "hangs" else 60}
    recipe = clipmill.Recipe.model_validate({"run": run})
    orders = step_orders([{"picky": {"way": way}}, "numbers"], [steps_file])
    annotate_dataset(clips.folder.url, orders, recipe=recipe, quiet=True)
    picky = cells(clips, "picky")
    lost = {"00000000_00001", "00000001_00001"}
    found = {key for key, row in picky.items() if row["error_class"] == error_class}
    assert found == lost
    assert picky["00000001_00001"]["error_message"].startswith(message)
    assert all(row["value"] == 1.0 for key, row in picky.items() if row["status"] == "success")
    assert sum(row["status"] == "success" for row in picky.values()) == 3
    assert sum(row["status"] == "success" for row in cells(clips, "numbers").values()) == 5


def test_a_step_that_ends_its_process_over_every_sample_is_not_tried_with_all(
    raw, tmp_path, steps_file
):
    videos = tmp_path / "videos"
    videos.mkdir()
    shutil.copy(raw.parent / "videos" / "b.mp4", videos)
    halves = {"detector": "stride", "stride_seconds": 0.5}
    clips = clipmill.open(_split_folder(videos, tmp_path / "clips", halves))
    log = tmp_path / "log"
    step = {"picky": {"way": "all die", "log": str(log)}}
    clips.annotate(step, "numbers", modules=[steps_file], quiet=True)
    picky = list(cells(clips, "picky").values())
    assert picky[3]["error_message"].startswith("not tried, since over 3 samples beside it")
    assert len(log.read_text().split()) == 3 * 2
    clips.annotate(step, modules=[steps_file], retry="step_not_tried", quiet=True)
    lost = [row["error_class"] for row in cells(clips, "picky").values()]
    assert (lost, len(log.read_text().split())) == (["step_crashed"] * 4, 3 * 2 + 2)
    assert {row["status"] for row in cells(clips, "numbers").values()} == {"success"}


def test_a_wrong_step_stops_the_run_with_its_traceback(clips, steps_file):
    with pytest.raises(RunError, match="Step 'picky' has a programming error") as caught:
        clips.annotate({"picky": {"way": "bug"}}, modules=[steps_file], quiet=True)
    assert "no_such_thing" in caught.value.message
    assert "Traceback" in caught.value.fields["traceback"]
    assert not list(Path(clips.folder.root).glob("columns/*/*.parquet"))


@pytest.mark.parametrize(
    ("step", "message", "where"),
    [
        ("forgets", "'forgets' has a programming error.*not NoneType", "in checked"),
        ("unready", "'unready' could not be set up: ValueError: weights.pt is no", "in setup"),
    ],
)
def test_what_is_wrong_with_every_sample_stops_the_run(clips, steps_file, step, message, where):
    with pytest.raises(RunError, match=message) as caught:
        clips.annotate(step, modules=[steps_file], quiet=True)
    assert where in caught.value.fields["traceback"]


def test_other_settings_or_other_code_make_another_group(clips, tmp_path):
    code = "import clipmill\n@clipmill.step(columns={'n': 'int64'})\ndef one(seen, by: int = 1):\n"
    path = tmp_path / "one.py"
    path.write_text(f"{code}    return by\n")
    clips.annotate("one", modules=[str(path)], quiet=True)
    clips.annotate({"one": {"by": 7}}, modules=[str(path)], quiet=True)
    assert cells(clips, "one")["00000000_00000"]["n"] == 7
    clips.annotate("one", modules=[str(path)], quiet=True)
    assert cells(clips, "one")["00000000_00000"]["n"] == 1
    assert len(column_groups(clips.folder)) == 2
    path.write_text(f"{code}    return -by\n")
    clips.annotate("one", modules=[str(path)], quiet=True)
    assert cells(clips, "one")["00000000_00000"]["n"] == -1
    assert len(column_groups(clips.folder)) == 3


def test_what_a_step_uses_of_its_file_is_its_code_too(tmp_path):
    path = tmp_path / "one.py"
    code = """
import clipmill
from clipmill.cli.main import app, guarded
BY, OTHER = 2, 3
WANTS = clipmill.Frames(fps=BY)

def times(value):
    return value * BY

@clipmill.step(wants=WANTS, columns={"n": "float32"})
def one(seen):
    return times(1)

def another(seen):
    return 5
"""

    def after(old: str, new: str) -> str:
        path.write_text(code.replace(old, new))
        return step_fingerprint(make_step(StepOrder("one", {}, str(path))))

    as_it_is = after("", "")
    assert describe_step("one", str(path))["summary"] == "", "no words of its own, and no others"
    assert as_it_is == after("return 5", "return 6  # of another step")
    changes = ("BY, OTHER = 2", "BY, OTHER = 4"), ("value * BY", "-value"), ("(fps", "(count")
    assert len({as_it_is, *(after(*change) for change in changes)}) == 4


def test_rows_that_a_retry_mended_are_seen_then_and_others_not_again(
    media, tmp_path, steps_file, write_csv
):
    served = shutil.copytree(media, tmp_path / "served")
    (served / "c.mp4").write_bytes(b"")
    log = tmp_path / "log"
    step = {"picky": {"log": str(log), "way": "raises"}}
    with Origin(served) as origin:
        table = write_csv([{"url": origin.url(f"{name}.mp4")} for name in "abc"])
        raw = tmp_path / "raw"
        clipmill.download(table, raw, allow_private_addresses=True, quiet=True)
        clipmill.open(raw).annotate(step, modules=[steps_file], quiet=True)
        assert sorted(log.read_text().split()) == ["00000000", "00000001"]
        shutil.copy(media / "c.mp4", served)
        retry_dataset(str(raw), every=True, quiet=True)
    again = clipmill.open(raw).annotate(step, modules=[steps_file], quiet=True)
    assert log.read_text().split()[2:] == ["00000002"]
    endings = [row["status"] for row in cells(again, "picky").values()]
    assert endings == ["success", "failed", "success"]


def test_a_dataset_whose_parent_moved_says_where_it_looked(raw, tmp_path, steps_file):
    parent = tmp_path / "raw"
    shutil.copytree(raw, parent)
    clips = clipmill.open(parent).split(tmp_path / "clips", detector="whole", quiet=True)
    moved = parent.rename(tmp_path / "moved")
    with pytest.raises(InputError, match=f"should lie in {parent}, .*--parent"):
        clips.annotate("numbers", modules=[steps_file], quiet=True)
    clips.annotate("numbers", modules=[steps_file], parent=str(moved), quiet=True)
    assert cells(clips, "numbers")["00000000_00000"]["status"] == "success"


def test_a_source_that_cannot_be_read_any_more_fails_its_cells_alone(raw, tmp_path, steps_file):
    videos = tmp_path / "videos"
    shutil.copytree(raw.parent / "videos", videos)
    clips = clipmill.open(_split_folder(videos, tmp_path / "clips"))
    (videos / "a.mp4").unlink()
    clips.annotate("numbers", modules=[steps_file], quiet=True)
    found = cells(clips, "numbers")
    failed = {key for key, row in found.items() if row["status"] == "failed"}
    assert failed == {key for key in found if key.startswith("00000000")}


def test_a_source_that_was_replaced_is_not_looked_at(raw, tmp_path, steps_file):
    videos = tmp_path / "videos"
    shutil.copytree(raw.parent / "videos", videos)
    clips = clipmill.open(_split_folder(videos, tmp_path / "clips"))
    make_video(videos / "a.mp4", seconds=3, fps=25, first_number=300)
    clips.annotate("numbers", modules=[steps_file], quiet=True)
    endings = [(row["status"], row["error_class"]) for row in cells(clips, "numbers").values()]
    assert endings == [("failed", "source_changed"), ("success", None), (None, None)]


def _split_folder(videos: Path, output: Path, split: dict | None = None) -> str:
    from clipmill.run.recipe_file import load_recipe
    from clipmill.run.runner import run_recipe

    recipe = {
        "source": {"path": str(videos)},
        "steps": [{"split": split or {"detector": "whole"}}],
        "write": {"to": str(output)},
    }
    run_recipe(load_recipe(recipe), quiet=True)
    return str(output)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (["numbrs"], "Did you mean 'numbers'"),
        ([{"letters": {"ad": 1}}], "Unknown key 'ad'. Did you mean 'add'"),
        (["letters", {"letters": {"add": 1}}], "given twice"),
        ([{"picture": {"fps": float("inf")}}], "fps: must be a finite number"),
        (["wishful"], "'wishful' wants 'frames': that must be Frames, Audio, Packets or None"),
        (["torn"], "'torn' cannot tell .*: ValueError: give only one of fps"),
        ([], "Name one step"),
    ],
)
def test_what_is_asked_wrongly_is_said_before_anything_is_written(
    clips, steps_file, steps, message
):
    with pytest.raises(RecipeError, match=message):
        clips.annotate(*steps, modules=[steps_file], quiet=True)
    assert not clips.folder.exists("columns")


def test_a_dataset_that_cannot_be_written_says_so(clips):
    lock = Path(clips.folder.root) / "_run/lock"
    lock.unlink()
    lock.mkdir()  # what keeps even the superuser from opening it
    with pytest.raises(OutputError, match=f"{clips.folder.root} cannot be written: Is a directory"):
        clips.annotate("picture", quiet=True)


def test_a_file_without_steps_or_with_an_error_is_refused(clips, tmp_path):
    empty, broken = tmp_path / "empty.py", tmp_path / "broken.py"
    empty.write_text("x = 1\n")
    broken.write_text("import no_such_module\n")
    for path, message in (empty, "defines no step"), (broken, "cannot be loaded"):
        with pytest.raises(RecipeError, match=message):
            clips.annotate("x", modules=[str(path)], quiet=True)
    half = tmp_path / "half.py"
    half.write_text("import clipmill\nclass Half(clipmill.Annotate):\n    'Half of a step.'\n")
    with pytest.raises(RecipeError, match="Class Half lacks name, annotate, columns"):
        clips.annotate("half", modules=[str(half)], quiet=True)
    with pytest.raises(RecipeError, match="not a Python file"):
        clips.annotate("x", modules=[str(tmp_path / "none.py")], quiet=True)


def test_too_many_failed_cells_are_exit_3_and_one_of_each_kind_is_told(clips, steps_file, capsys):
    orders = step_orders([{"picky": {"way": "raises"}}], [steps_file])
    recipe = clipmill.Recipe.model_validate({"run": {"failure_budget": 0.1}})
    assert annotate_dataset(clips.folder.url, orders, recipe=recipe, quiet=True).exit_code == 3
    assert annotate_dataset(clips.folder.url, orders, quiet=True).exit_code == 0
    command = ["annotate", clips.folder.url, "picky", "--set", "picky.way=raises"]
    command += ["--failure-budget", "0.1", "--module", steps_file]
    assert guarded(lambda: app(command)) == 3
    told = "  2 x value_error, such as 00000000_00001: ValueError: no such picture\n"
    assert told in capsys.readouterr().out


def test_the_step_is_written_down_in_words(clips, steps_file):
    clips.annotate({"letters": {"add": 3}}, modules=[steps_file], quiet=True)
    (group,) = column_groups(clips.folder)
    assert group.info["settings"] == {"add": 3}
    assert [one["name"] for one in group.info["columns"]] == ["letters", "extra"]
    index = json.loads(clips.folder.read_bytes(group.path("shards.json")))
    assert index["00000"]["success"] == 5


def test_a_dataset_of_the_peers_is_annotated_where_it_lies(tmp_path, steps_file):
    peer_shard(tmp_path / "peer", 0, "webdataset")
    data = clipmill.open(tmp_path / "peer").annotate("letters", modules=[steps_file], quiet=True)
    found = cells(data, "letters")
    assert list(found) == data.table(["key"]).column(0).to_pylist()
    assert {row["status"] for row in found.values()} == {"success", None}


def test_columns_that_never_came_to_be_are_none(clips):
    # as a disk that was full when they were begun leaves them
    clips.folder.local("columns/picture-0123ab").mkdir(parents=True)
    assert len(clips.select("true")) > 0
    seen = clips.annotate("picture", quiet=True).select("picture.luminance.mean >= 0")
    assert len(seen) > 0
