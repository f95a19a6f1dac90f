"""What every registered step keeps to."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from clipmill.cli import steps
from clipmill.core import registry
from clipmill.core.errors import RecipeError
from clipmill.core.request import Audio, Packets
from clipmill.core.seen import Cell, Seen
from clipmill.demo.media import make_video
from clipmill.steps.base import InBatches, InStretches
from clipmill.steps.describe import describe_step
from clipmill.steps.judge import checked
from clipmill.steps.load import GROUP, StepOrder, find_steps, make_step, step_fingerprint
from clipmill.steps.look import Showing
from clipmill.steps.observe import observe

STEPS = registry.names(GROUP)
ROW = {
    "caption": "A red car drives slowly through the rain.",
    "subtitles": [
        {"language": "en", "start_seconds": 0.0, "end_seconds": 1.0, "text": "Where are we going?"}
    ],
    "media": {"mp4": {"offset": 0, "size": 10, "sha256": "ab" * 32}},
}


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return make_video(tmp_path_factory.mktemp("steps") / "a.mp4", seconds=3, fps=25)


@pytest.fixture(params=STEPS)
def step(request):
    kind = registry.load(GROUP, request.param)
    for module, _ in kind.needs:
        pytest.importorskip(module)
    return make_step(StepOrder(request.param))


def shown(step, video, key="a", span=None):
    order = StepOrder(step.name)
    path = None if step.wants is None else video
    return observe(path, [Showing(key, span, ROW, (0,))], [order]).cells[0][0]


def test_it_tells_what_it_is(step):
    told = describe_step(step.name)
    assert told["summary"].endswith(".")
    assert all(column["description"] for column in told["columns"])
    assert all(setting["help"] for setting in told["settings"])
    json.dumps(told)


def test_its_fingerprint_is_the_same_every_time(step):
    again = make_step(StepOrder(step.name))
    assert step_fingerprint(step) == step_fingerprint(again)
    json.dumps(step.identity())


def test_it_says_something_of_a_video_and_the_same_again(step, video):
    if isinstance(step, InBatches):
        step.setup()
        seen = shown(step, video)
        cells = checked(step, step.annotate([seen, seen]), ["a", "a"])
    else:
        cells = [shown(step, video), shown(step, video)]
    for cell in cells:
        assert isinstance(cell, Cell)
        assert cell.status == "success", cell.error_message
        assert set(cell.values) == set(step.columns.names)
    assert cells[0].values == cells[1].values
    rows = pa.Table.from_pylist([dict(cells[0].values)], schema=step.columns)
    assert rows.num_rows == 1


def test_stretches_come_to_the_same_as_the_whole(step, video, monkeypatch):
    if not isinstance(step, InStretches):
        pytest.skip("it is shown samples as a whole")
    whole = shown(step, video)
    monkeypatch.setattr("clipmill.steps.look.STRETCH_BYTES", 1)
    pieces = shown(step, video)
    assert pieces.values.keys() == whole.values.keys()
    for name, value in whole.values.items():
        assert close(pieces.values[name], value), name


def close(one, other):
    if isinstance(one, dict):
        return all(close(one[name], other[name]) for name in one)
    if isinstance(one, list) and one and isinstance(one[0], int | float):
        return np.allclose(one, other, rtol=1e-4, atol=1e-5)
    if isinstance(one, float):
        return bool(np.isclose(one, other, rtol=1e-4, atol=1e-5))
    return one == other


def test_a_video_without_what_it_looks_at_is_absent(step, tmp_path):
    if step.wants is None:
        pytest.skip("it looks at nothing")
    if isinstance(step.wants, Packets):
        pytest.skip("sound and pictures alike have packets")
    if isinstance(step.wants, Audio):
        path = make_video(tmp_path / "a.mp4", seconds=1, audio=None)
    else:
        path = tmp_path / "a.wav"
        path.write_bytes(silent_wave())
    assert shown(step, path).status == "absent"


def silent_wave():
    import io
    import wave

    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(bytes(16000))
    return file.getvalue()


def test_a_step_with_a_required_setting_is_listed_and_says_so(tmp_path, capsys):
    path = tmp_path / "needy.py"
    path.write_text(
        "import clipmill, pyarrow as pa\n"
        "class Needy(clipmill.Annotate):\n"
        "    'Numbers.'\n"
        "    name = 'needy'\n"
        "    size: int\n"
        "    times: int = 2\n"
        "    @property\n"
        "    def columns(self):\n"
        "        return pa.schema([('values', pa.list_(pa.int64(), self.size))])\n"
        "    def annotate(self, batch): ...\n"
    )
    steps.command(modules=[str(path)])
    assert "Numbers.   needs the setting size\n" in capsys.readouterr().out
    steps.command(["needy"], modules=[str(path)])
    told = capsys.readouterr().out
    assert "    size (required)" in told
    assert "    times = 2" in told
    assert "columns: as its settings say" in told
    with pytest.raises(RecipeError, match="step 'needy': size: must be given"):
        make_step(StepOrder("needy", {}, str(path)))


def test_a_parameter_without_a_default_is_a_setting_that_must_be_given(tmp_path, capsys):
    path = tmp_path / "named.py"
    path.write_text(
        "import clipmill\n"
        "@clipmill.step(columns={'n': 'int64'})\n"
        "def named(seen, word: str, times: int = 2):\n"
        "    return len(word * times)\n"
    )
    steps.command(modules=[str(path)])
    assert "needs the setting word\n" in capsys.readouterr().out
    step = make_step(StepOrder("named", {"word": "abc"}, str(path)))
    assert step.annotate([Seen(key="0", duration_seconds=1.0)]) == [{"n": 6}]
    with pytest.raises(RecipeError, match="step 'named': word: must be given"):
        make_step(StepOrder("named", {}, str(path)))
    path.write_text(path.read_text().replace("times: int = 2", "**more"))
    with pytest.raises(RecipeError, match="named: '\\*\\*more' cannot be a setting"):
        find_steps([str(path)])


def test_a_step_written_as_contributing_says_is_a_step_at_once(tmp_path, video):
    page = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text()
    (code,) = re.findall(r"^```python\n(\"\"\"How sharp.*?)^```$", page, re.M | re.S)
    assert code.count("\n") < 40
    path = tmp_path / "sharpness.py"
    path.write_text(code)
    assert find_steps([str(path)])["sharpness"] == str(path)
    told = describe_step("sharpness", str(path))
    assert [one["name"] for one in told["columns"]] == ["mean"]
    assert [one["name"] for one in told["settings"]] == ["fps"]
    order = StepOrder("sharpness", {"fps": 2}, str(path))
    (cell,) = observe(video, [Showing("a", None, {}, (0,))], [order]).cells[0]
    assert cell.status == "success"
    assert cell.values["mean"] > 0
