"""Selecting samples: conditions, orders, samples and weights, and what each condition removed."""

import errno
import json
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import clipmill
from clipmill.cli.main import app, guarded
from clipmill.core.errors import OutputError, UserError
from clipmill.dataset.distribution import distributions
from clipmill.dataset.sweep import sweep
from select_data import MOTION, NAN, make_dataset, motion, write_cells, write_shard

CONDITION = "motion.mean > 0.15 and picture.black_share.mean < 0.1 and probe.duration_seconds > 2"


@pytest.fixture
def data(tmp_path):
    return make_dataset(tmp_path / "data")


def rows(stage, part):
    return stage[part]["rows"]


def test_a_condition_selects_successful_rows_in_the_datasets_order(data):
    found = data.select("motion.mean > 0.15", name="moving")
    assert found.keys() == ["000000", "000001", "000010"]
    again = clipmill.open(data.folder.url).selection("moving")
    assert again.keys() == found.keys()
    assert again.table(["key", "motion.mean"]).column("motion.mean").to_pylist() == (
        pytest.approx([0.5, 0.2, 0.9])
    )
    assert pq.read_table(data.folder.local("selections/moving.parquet")).schema.names == [
        "key", "shard",
    ]  # fmt: skip
    assert data.select("status != 'success'").keys() == []
    failed = data.select("select key from data where status != 'success'")
    assert failed.keys() == ["000002"]


def test_the_funnel_says_what_each_condition_removes(data):
    first, motion_, black, length = data.select(CONDITION).funnel
    assert (rows(first, "alone"), first["left"]) == (1, {"rows": 5, "hours": 3.75})
    assert (rows(motion_, "alone"), rows(motion_, "in_turn")) == (2, 2)
    assert motion_["unknown"] == {
        "rows": 2, "hours": 0.25, "failed": 1, "missing": 0, "absent": 0, "null": 1,
    }  # fmt: skip
    assert (rows(black, "alone"), rows(black, "in_turn")) == (4, 2)
    assert (black["unknown"]["rows"], black["unknown"]["missing"]) == (3, 3)
    assert black["left"] == {"rows": 1, "hours": 1.0}
    assert (rows(length, "alone"), length["unknown"]["null"]) == (1, 1)


@pytest.mark.parametrize("options", [{}, {"limit": 2}, {"per_source": 1}, {"sample": 2}])
def test_every_row_of_the_funnel_is_accounted_for(data, options):
    found = data.select(CONDITION.replace("and", "or"), **options)
    removed = sum(rows(stage, "in_turn") for stage in found.funnel)
    assert removed + len(found) == len(data) == found.facts["dataset"]["rows"]
    assert len(found.keys()) == len(found) == found.funnel[-1]["left"]["rows"]


def test_more_conditions_than_fit_into_a_number_are_counted_too(data):
    text = " and ".join(f"probe.duration_seconds != {number}" for number in range(40))
    found = data.select(f"{text} and motion.mean > 0.4")
    assert found.keys() == ["000000", "000010"]
    assert found.funnel[-1]["left"]["rows"] == 2


def test_an_order_and_a_limit(data):
    assert data.select("true", order="motion.mean desc, key", limit=3).keys() == [
        "000010", "000000", "000001",
    ]  # fmt: skip
    assert data.select("true", order="motion.mean", limit=0).keys() == []
    assert data.select("true", order="url desc").keys() == [
        "000010", "000011", "000012", "000000", "000001",
    ]  # fmt: skip


def test_so_many_of_each_source(data):
    assert data.select("true", per_source=1).keys() == ["000000", "000010"]
    best = data.select("true", per_source=1, order="probe.duration_seconds")
    assert best.keys() == ["000011", "000001"]


def test_a_sample_is_the_same_each_time_and_another_for_another_seed(tmp_path):
    for shard in ("00000", "00001"):
        write_shard(tmp_path, shard, [{"n": number} for number in range(500)])
    data = clipmill.open(tmp_path)
    tenth = data.select("true", sample=0.1).keys()
    assert 60 < len(tenth) < 140
    everything = data.select("true").keys()
    assert tenth == [key for key in everything if key in tenth]
    assert tenth == data.select("true", sample=0.1).keys()
    assert tenth != data.select("true", sample=0.1, seed=1).keys()
    assert set(tenth) < set(data.select("true", sample=0.5).keys())
    assert len(data.select("true", sample=30)) == 30
    assert len(data.select("n < 3", sample=30)) == 6


def test_weights_lie_beside_the_keys(data):
    found = data.select("true", weight="coalesce(motion.mean, 0) * 2", name="drawn")
    assert data.selection("drawn").weights() == pytest.approx([1.0, 0.4, 1.8, 0, 0])
    for wrong in ("motion.mean", "-1", "1e999", "'x'"):
        with pytest.raises(UserError):
            data.select("true", weight=wrong)
    assert found.facts["options"] == {"weight": "coalesce(motion.mean, 0) * 2"}


def test_a_whole_query_selects_what_it_names(data):
    found = data.select(
        "select key, 2.0 as weight from data where list_max(motion.values) > 0.2 order by key desc",
        name="asked",
    )
    assert found.keys() == ["000012", "000010", "000001", "000000"]
    assert found.weights() == [2.0] * 4
    twice = data.select("select unnest([key, key]) as key from data where url = 'u0'")
    assert twice.keys() == ["000000", "000001"]
    for query, told in (
        ("select url from data", "no column 'key'"),
        ("select 'x' as key from data", "of no sample"),
        ("select null as key from data", "of no sample"),
        ("select key, -1 as weight from data", "'weight' gives 6 rows no weight of 0 or more"),
        ("select key, motion.mean as weight from data", "'weight' gives 3 rows no weight"),
    ):
        with pytest.raises(UserError, match=told):
            data.select(query)
    with pytest.raises(UserError, match="--limit goes with a condition"):
        data.select("select key from data", limit=3)


def test_keys_that_occur_in_two_shards_are_told_apart(tmp_path):
    write_shard(tmp_path, "00000", [{"key": "same", "n": 1}, {"key": "other", "n": 2}])
    write_shard(tmp_path, "00001", [{"key": "same", "n": 3}])
    data = clipmill.open(tmp_path)
    found = data.select("n = 3")
    assert found.rows.to_pydict() == {"key": ["same"], "shard": ["00001"]}
    assert found.table(["n"]).to_pydict() == {"n": [3]}
    assert len(data.select("select key from data where n = 3")) == 2
    assert len(data.select("select key, shard from data where n = 3")) == 1


def test_an_empty_selection_is_one(data):
    found = data.select("motion.mean > 5", name="none")
    assert (found.keys(), len(data.selection("none"))) == ([], 0)
    assert data.selection("none").table(["key", "motion.mean"]).num_rows == 0
    assert data.select("motion.mean > 5", order="key", weight="1").keys() == []


def test_a_selection_is_replaced_only_when_that_is_asked_for(data):
    data.select("true", name="best")
    data.select("true", name="best")
    with pytest.raises(OutputError, match="--overwrite"):
        data.select("motion.mean > 0.4", name="best")
    assert len(data.selection("best")) == 5
    assert len(data.select("motion.mean > 0.4", name="best", overwrite=True)) == 2


def test_a_selection_knows_what_it_was_taken_from(data, tmp_path):
    found = data.select("motion.mean > 0.4", name="best")
    assert found.facts["dataset"]["groups"]["motion"] == "motion-aaaaaa"
    assert found.changed_shards() == []
    write_shard(tmp_path / "data", "00001", [{"caption": "new"}])
    data = clipmill.open(tmp_path / "data")
    assert data.selection("best").changed_shards() == ["00001"]
    write_shard(tmp_path / "data", "00001", [{"key": "x"}])
    with pytest.raises(UserError, match="1 sample of the selection 'best' lie"):
        data.selection("best").table(["key"])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"limt": 3}, "Did you mean 'limit'"),
        ({"limit": -1}, "at least 0"),
        ({"limit": 2.5}, "whole number"),
        ({"per_source": 0}, "at least 1"),
        ({"sample": 0}, "share between 0 and 1"),
        ({"sample": 1.5}, "share between 0 and 1"),
        ({"sample": NAN}, "share between 0 and 1"),
        ({"sample": float("inf")}, "share between 0 and 1"),
        ({"weight": "caption"}, "'caption' is no number: it gives a value of type string"),
        ({"order": "motion.mena"}, r"motion\.mean"),
        ({"weight": "motion.mena"}, r"motion\.mean"),
        ({"name": "../x"}, "name of a selection"),
    ],
)
def test_wrong_options_are_said(data, options, told):
    with pytest.raises(UserError, match=told):
        data.select("true", **options)


def test_distributions_tell_values_and_what_is_unknown(data):
    (found,) = distributions(data, ["motion.mean"])
    assert (found.rows, found.values) == (5, 3)
    assert found.unknown == {"failed": 1, "null": 1}
    assert (found.least, found.greatest) == pytest.approx((0.2, 0.9))
    assert found.quantiles["p50"] == pytest.approx(0.5)
    assert sum(found.histogram) == 3
    (frames,) = distributions(data, ["picture.luminance"])
    assert (frames.column, frames.values) == ("picture.luminance.values", 4)
    (texts,) = distributions(data, ["caption"])
    assert ("a cat", 1) in texts.top
    assert [one.column for one in distributions(data, [])][:2] == [
        "probe.duration_seconds", "motion.mean",
    ]  # fmt: skip


def test_quantiles_are_exact(tmp_path):
    write_shard(tmp_path, "00000", [{"n": number} for number in range(101)])
    (found,) = distributions(clipmill.open(tmp_path), ["n"])
    assert (found.quantiles["p5"], found.quantiles["p99"], found.mean) == (5, 99, 50)


def test_decimals_are_numbers(tmp_path):
    prices = [Decimal("0.5"), Decimal("1.5"), None]
    write_shard(tmp_path, "00000", [{"price": price} for price in prices])
    (found,) = distributions(clipmill.open(tmp_path), ["price"])
    assert (found.values, found.quantiles["p50"], sum(found.histogram)) == (2, 1.0, 2)


def test_all_frames_below_a_threshold_is_not_their_mean_below_it(tmp_path):
    dark = [motion(0.05, 0.05), motion(0.05, 0.9), motion(0.4, 0.05), motion(0.9, 0.9)]
    write_shard(tmp_path, "00000", [{}] * 4)
    write_cells(tmp_path, "motion-aaaaaa", 1, MOTION, {"00000": dark})
    data = clipmill.open(tmp_path)
    kept = {rule.rule.partition(" of ")[0]: rule for rule in sweep(data, ["motion"], [0.3], [])}
    assert {name: rule.rows for name, rule in kept.items()} == {
        "all": 1, "mean": 2, "first": 2, "any": 3,
    }  # fmt: skip
    for rule in kept.values():
        assert len(data.select(rule.condition)) == rule.rows


def test_the_commands_select_list_and_show(data, capsys):
    folder = data.folder.url
    assert guarded(lambda: app(["select", folder, "best", CONDITION])) == 0
    told = capsys.readouterr().out
    assert "best: 1 of 6 rows, 1.00 hours of 3.75 hours" in told
    assert "3 (3 missing)" in told
    assert guarded(lambda: app(["select", folder])) == 0
    assert "best" in capsys.readouterr().out
    assert guarded(lambda: app(["select", folder, "best", "--json"])) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 1
    assert guarded(lambda: app(["select", folder, "other", "motion.mena > 1"])) == 2
    assert (
        "Did you mean 'motion.mean'?\n  motion.mena > 1\n  ^^^^^^^^^^^" in capsys.readouterr().err
    )
    assert guarded(lambda: app(["select", folder, "best", "true"])) == 2
    assert "--overwrite" in capsys.readouterr().err
    write_shard(Path(folder), "00001", [{"caption": "new"}])
    for call in (["select", folder], ["select", folder, "best"]):
        assert guarded(lambda call=call: app(call)) == 0
        assert "1 shard changed since" in capsys.readouterr().out


def test_lengths_that_a_dataset_does_not_tell_are_not_shown_as_none(tmp_path, capsys):
    write_shard(tmp_path, "00000", [{"n": 2}])
    assert guarded(lambda: app(["select", str(tmp_path), "one", "n > 1"])) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "one: 1 of 1 row"
    assert told[2].split()[-1] == "left"


def test_the_command_stats_shows_distributions_and_thresholds(data, capsys):
    folder = data.folder.url
    call = ["stats", folder, "picture.luminance", "--below", "0.3", "--keep", "motion.mean > 0.4"]
    assert guarded(lambda: app(call)) == 0
    told = capsys.readouterr().out
    assert "picture.luminance.values: 4 values in 5 rows, 3 missing" in told
    assert "mean of picture.luminance.values < 0.3" in told
    assert "motion.mean > 0.4" in told
    assert guarded(lambda: app([*call, "--json"])) == 0
    found = json.loads(capsys.readouterr().out)
    assert [rule["rows"] for rule in found["thresholds"]] == [1, 2, 2, 2]
    assert guarded(lambda: app(["stats", folder, "--below", "1"])) == 2
    assert guarded(lambda: app(["stats", folder, "motion.mean", "--below", "nan"])) == 2
    assert "finite number" in capsys.readouterr().err
    write_shard(Path(folder), "00000", [{"caption": "a\n\x1b[2Jb"}])
    assert guarded(lambda: app(["stats", folder, "caption"])) == 0
    assert r"1 x a\n\x1b[2Jb" in capsys.readouterr().out
    assert guarded(lambda: app(["stats", folder, "probe"])) == 2
    assert "probe.width" in capsys.readouterr().err


def test_columns_of_the_input_may_be_called_as_they_like(tmp_path):
    named = {"shard": "s", "data": {"x": 1}, "select": 2, 'q"': 3, "ok": 4, "code": 5, "ms": 6}
    write_shard(tmp_path, "00000", [{**named, "weird": 1}, {**named, "weird": 2}])
    data = clipmill.open(tmp_path)
    found = data.select(
        'data.x = 1 and "select" = 2 and "q""" = 3 and ok = 4 and code = 5 and ms = 6 '
        "and shard = 's' and weird = 2"
    )
    assert found.rows.to_pydict() == {"key": ["000001"], "shard": ["00000"]}
    assert found.table(["shard", "data.x", "weird"]).to_pylist() == [
        {"shard": "s", "data.x": 1, "weird": 2}
    ]
    asked = data.select("select key, shard from data where weird = 1")
    assert asked.rows.to_pydict() == {"key": ["000000"], "shard": ["00000"]}


def test_a_full_disk_is_told_in_one_line(data, capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", "somewhere/rows.parquet")

    monkeypatch.setattr("clipmill.dataset.selection.SelectionWriter.commit", full)
    assert guarded(lambda: app(["select", data.folder.url, "other", CONDITION])) == 1
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith("Error: No space left on device while writing somewhere/rows.parquet.")
    assert "make room" in told
