"""What one row says or holds never stops the others, nor poisons a resumed run."""

import datetime
import json

import pyarrow as pa
import pytest

import clipmill
from clipmill.core.errors import DownloadError, InputError
from clipmill.core.outcome import Outcome
from clipmill.run.recipe_file import load_recipe
from clipmill.run.rows import info_row
from clipmill.run.runner import run_recipe

HERE = {"allow_private_addresses": True, "quiet": True, "retries": 0}


def test_text_that_is_no_unicode_is_stored_as_question_marks():
    outcome = Outcome.of_error(DownloadError("bad \udcff", error_class="http_status"), "download")
    assert outcome.error_message == "bad ?"
    row = info_row({"title": "\ud800", "view_count": 10**30, "tags": ["\udfff"]}, "{}")
    assert (row["title"], row["view_count"], row["tags"]) == ("?", None, ["?"])


def test_rows_in_python_may_hold_any_text(origin, tmp_path):
    data = clipmill.download(["\ud800", origin.url("a.mp4")], tmp_path / "out", **HERE)
    assert data.table().column("status").to_pylist() == ["failed_to_download", "success"]


def test_dates_that_python_does_not_know_stay_in_the_table(origin, tmp_path):
    moments = pa.array([2**62, 0], pa.timestamp("us"))
    rows = pa.table({"url": [origin.url("a.mp4"), origin.url("b.mp4")], "taken": moments})
    data = clipmill.download(rows, tmp_path / "out", **HERE)
    assert data.table().column("status").to_pylist() == ["success"] * 2
    assert data.table().column("taken").cast(pa.int64()).to_pylist() == [2**62, 0]
    again = data.table().column("taken")[1].as_py()
    assert again == datetime.datetime(1970, 1, 1)


def test_days_that_python_does_not_know_stay_in_the_table(origin, tmp_path):
    days = pa.array([2**30], pa.int32()).cast(pa.date32())
    rows = pa.table({"url": [origin.url("a.mp4")], "day": days})
    data = clipmill.download(rows, tmp_path / "out", **HERE)
    assert data.table().column("day").cast(pa.int32()).to_pylist() == [2**30]


def test_a_lost_plan_is_said(origin, tmp_path):
    urls = [origin.url("a.mp4")]
    clipmill.download(urls, tmp_path / "out", **HERE)
    (tmp_path / "out" / "_run" / "plan-0.npz").unlink()
    with pytest.raises(InputError, match=r"plan-0\.npz"):
        clipmill.download(urls, tmp_path / "out", **HERE)


@pytest.mark.parametrize("cell", ["[[0]]", "[[0, 1, 2]]", "[[2, 1]]", "[[-1, 1]]"])
def test_a_span_that_is_none_fails_its_row_alone(origin, write_csv, tmp_path, cell):
    rows = [{"url": origin.url("a.mp4"), "cut": cut} for cut in (cell, "[[0, 1]]")]
    data = clipmill.download(write_csv(rows), tmp_path / "out", clip_col="cut", **HERE)
    assert data.table().column("error_class").to_pylist() == ["invalid_span", None]


def test_a_span_that_is_none_costs_its_clip_alone_where_spans_become_clips(
    origin, write_csv, tmp_path
):
    flood = json.dumps([[0, 0.1]] * 100_001)
    spans = "[[0, 0.1], [2, 1], ['nan', 1], [0.1, 0.2]]"
    rows = [{"url": origin.url("a.mp4"), "cut": cell} for cell in (spans, flood)]
    recipe = {
        "source": {"table": str(write_csv(rows)), "clip_col": "cut"},
        "steps": [
            {"download": {"allow_private_addresses": True}},
            {"split": {"detector": "column"}},
            {"render": {}},
        ],
        "write": {"to": str(tmp_path / "out")},
    }
    run_recipe(load_recipe(recipe), quiet=True)
    classes = clipmill.open(tmp_path / "out").table().column("error_class").to_pylist()
    assert classes == [None, "invalid_span", "invalid_span", None, "too_many_clips"]


def test_modules_in_the_working_directory_are_not_run(origin, tmp_path, monkeypatch):
    (tmp_path / "queue.py").write_text("raise SystemExit('imported from the working directory')")
    monkeypatch.chdir(tmp_path)
    data = clipmill.download([origin.url("a.mp4")], "out", **HERE)
    assert data.table().column("status").to_pylist() == ["success"]
