"""SQL over a dataset and the columns of steps beside it."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import clipmill
from clipmill.core.errors import InputError, UserError
from clipmill.dataset import relation
from clipmill.dataset.distribution import distributions
from clipmill.dataset.load.step_columns import StepColumns
from select_data import MOTION, NAN, make_dataset, motion, write_cells, write_shard


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data"


def column(data, sql):
    return [next(iter(row.values())) for row in data.sql(f"select {sql} from data").to_pylist()]


def test_columns_of_steps_lie_beside_the_tables_own(folder):
    data = make_dataset(folder)
    assert column(data, "round(100 * motion.mean)") == [50, 20, None, 90, None, None]
    assert column(data, "motion.status") == [
        "success", "success", None, "success", "failed", "success",
    ]  # fmt: skip
    assert column(data, "picture.black_share.max is null")[3:] == [True] * 3
    assert column(data, "shard") == ["00000"] * 3 + ["00001"] * 3
    names = data.sql("select * from data").schema.names
    assert names == [*data.schema("00000").names, "motion", "picture", "shard"]


def test_whole_queries_group_join_and_nest(folder):
    data = make_dataset(folder)
    found = data.sql(
        "with good as (select * from data where status = 'success') "
        "select url, count(*) as n, max(list_max(motion.values)) from good group by url order by n"
    )
    assert found.column("n").to_pylist() == [2, 3]
    assert data.sql("select count(*) from data").to_pylist() == [{"count_star()": 6}]
    assert data.sql("select d from data d limit 1").to_pylist()[0]["d"]["key"] == "000000"
    joined = "select a.motion.mean from data a join data b using (key) where b.caption = 'a cat'"
    assert data.sql(joined).to_pylist() == [{"mean": 0.5}]
    assert data.sql("from data select key limit 1;").to_pylist() == [{"key": "000000"}]


def test_no_number_counts_as_unknown(folder):
    write_shard(folder, "00000", [{"score": NAN}, {"score": 1.0}, {"score": None}])
    data = clipmill.open(folder)
    assert column(data, "score > 0.5") == [None, True, None]


def test_what_a_condition_works_out_is_unknown_where_it_is_no_number(folder):
    write_shard(folder, "00000", [{"a": 0.0, "b": 0.0}, {"a": 4.0, "b": 1.0}, {"a": 1.0, "b": 9.0}])
    data = clipmill.open(folder)
    found = data.select("a / b > 3 and sqrt(a - 1) > 1")
    assert found.keys() == ["000001"]
    ratio, root = found.funnel[1:]
    assert (ratio["condition"], ratio["unknown"]["rows"]) == ("(a / b) > 3", 1)
    assert (root["condition"], root["unknown"]["rows"]) == ("sqrt((a - 1)) > 1", 1)
    assert data.select("not (a / b < 3)").keys() == ["000001"]
    ordered = data.select("true", order="a / b desc", weight="coalesce(a / b, 0.5)")
    assert ordered.keys() == ["000001", "000002", "000000"]
    assert ordered.weights() == pytest.approx([4, 1 / 9, 0.5])


def test_a_shard_that_a_step_has_not_seen_is_not_computed(folder):
    data = make_dataset(folder)
    write_shard(folder, "00002", [{"caption": "new"}])
    data = clipmill.open(folder)
    assert column(data, "motion.status")[6:] == [None]
    assert column(data, "picture.luminance.mean")[3:] == [None] * 4
    assert data.select("motion.mean > 0").keys() == ["000000", "000001", "000010"]


def test_of_a_shard_that_was_written_anew_the_same_samples_keep_their_cells(folder):
    make_dataset(folder)
    rows = clipmill.open(folder).shard_table("00001").to_pylist()
    rows[1]["uid"] = "another one"
    write_shard(folder, "00001", [*rows[::-1], {"caption": "further"}])
    data = clipmill.open(folder)
    assert column(data, "motion.status")[3:] == ["success", None, "success", None]
    assert [round(value, 2) for value in column(data, "motion.mean")[3:] if value] == [0.9]


def test_groups_are_found_without_their_index(folder):
    make_dataset(folder)
    (folder / "columns/motion-aaaaaa/shards.json").unlink()
    assert column(clipmill.open(folder), "motion.mean > 0.4")[0] is True


def test_the_newest_group_of_a_step_has_its_name_and_all_have_their_fingerprint(folder):
    make_dataset(folder)
    cells = {"00000": [motion(0.7)] * 3, "00001": [motion(0.7)] * 3}
    write_cells(folder, "motion-cccccc", 3, MOTION, cells)
    data = clipmill.open(folder)
    assert column(data, "round(10 * (motion.mean - motion_aaaaaa.mean))")[:2] == [2, 5]
    assert column(data, "motion.mean = motion_cccccc.mean") == [True] * 6
    (said,) = data.sql("select d.motion_cccccc.mean as m from data d limit 1").to_pylist()
    assert said == {"m": pytest.approx(0.7)}
    assert len(data.select("motion_cccccc.mean > 0.6 and motion_aaaaaa.mean > 0.3")) == 2
    (told,) = distributions(data, ["motion_cccccc.mean"])
    assert told.values == 5  # one row has failed
    loaded = StepColumns(data, ["motion_aaaaaa.mean", "motion_cccccc.mean"]).of("00000", None)
    assert [round(column[0].as_py(), 1) for column in loaded.values()] == [0.5, 0.7]


def test_second_names_are_listed_nowhere(folder):
    data = make_dataset(folder)
    names = {"motion_aaaaaa", "picture_bbbbbb"}
    assert not names & {*data.sql("select * from data").column_names}
    assert not names & {*data.select("true").table().column_names}
    assert not names & {told.column.partition(".")[0] for told in distributions(data, [])}
    with pytest.raises(InputError, match="Columns: ") as caught:
        data.select("nothing_like_it > 1")
    assert not any(name in str(caught.value) for name in names)


def test_a_column_that_differs_from_another_in_case_alone_has_another_name(folder):
    write_shard(folder, "00000", [{"caption": "a", "Caption": "b"}])
    data = clipmill.open(folder)
    assert len(data.select("caption = 'a' and Caption_1 = 'b'")) == 1
    for ask in (data.select, lambda text: data.sql(f"select {text} from data")):
        with pytest.raises(InputError, match="in queries this one is called 'Caption_1'"):
            ask("Caption = 'b'")
    with pytest.raises(InputError, match="called 'Caption_1'"):
        data.table(["Caption", "motion.mean"])


def test_a_column_of_the_input_keeps_its_name_before_a_step(folder):
    write_shard(folder, "00000", [{"motion": 3}])
    write_cells(folder, "motion-aaaaaa", 1, MOTION, {"00000": [motion(0.5)]})
    data = clipmill.open(folder)
    assert data.sql("select motion, motion_aaaaaa.mean from data").to_pylist() == [
        {"motion": 3, "mean": 0.5}
    ]


def test_a_group_whose_rows_are_not_the_shards_is_refused(folder):
    make_dataset(folder)
    place = folder / "columns/motion-aaaaaa/00000.parquet"
    pq.write_table(pq.read_table(place).slice(0, 2), place)
    with pytest.raises(UserError, match="do not have the rows of their shards"):
        clipmill.open(folder).sql("select motion.mean from data")


def test_tables_of_shards_may_differ(folder, monkeypatch):
    monkeypatch.setattr(relation, "CHUNK_SHARDS", 1)
    write_shard(folder, "00000", [{"a": 1, "media": {"mp4": {"size": 1}}, "n": None}])
    write_shard(
        folder, "00001", [{"a": 2.5, "media": {"m4a": {"size": 2}}, "n": "x", "late": True}]
    )
    data = clipmill.open(folder)
    assert column(data, "a") == [1.0, 2.5]
    assert column(data, "n") == [None, "x"]
    assert column(data, "late") == [None, True]
    assert column(data, "media.m4a.size") == [None, 2]
    assert column(data, "media")[0]["mp4"] == {"size": 1}
    assert data.select("a > 1 or late").keys() == ["000010"]
    assert data.table(["key", "media.m4a.size"]).column(1).to_pylist() == [None, 2]


def test_tables_of_one_schema_are_not_compared(folder, monkeypatch):
    """Stats name the schema of a shard's table: one table of each is looked at."""
    for number in range(3):
        write_shard(folder, f"0000{number}", [{"n": number, **({"more": "x"} if number else {})}])
        path = folder / f"0000{number}_stats.json"
        told = {**json.loads(path.read_text()), "schema": "b" if number else "a"}
        path.write_text(json.dumps(told))
    looked_at = []
    real = relation.table_of

    def table_of(connection, sql):
        looked_at.append(sql.count(".parquet'"))
        return real(connection, sql)

    monkeypatch.setattr(relation, "table_of", table_of)
    data = clipmill.open(folder)
    assert column(data, "more") == [None, "x", "x"]
    assert column(data, "n") == [0, 1, 2]
    assert looked_at == [2, 2]  # once for each query


def test_rows_come_in_the_datasets_order_however_many_chunks_there_are(folder, monkeypatch):
    monkeypatch.setattr(relation, "CHUNK_SHARDS", 2)
    for shard in range(9):
        write_shard(folder, f"{shard:05}", [{"n": 100 * shard + row} for row in range(20)])
    data = clipmill.open(folder)
    expected = [100 * shard + row for shard in range(9) for row in range(20)]
    assert column(data, "n") == expected
    assert data.table(["n", "shard"]).column("n").to_pylist() == expected
    keys = data.sql("select key from data where n % 7 = 0").column("key").to_pylist()
    assert data.select("n % 7 = 0").keys() == keys


def test_media_in_cells_are_neither_shown_nor_read(folder):
    folder.mkdir()
    table = {"key": ["a", "b"], "status": ["success"] * 2, "mp4": [b"x" * 99, b"y"], "n": [1, 2]}
    pq.write_table(pa.table(table), folder / "00000.parquet")
    (folder / "00000_stats.json").write_text('{"count": 2}')
    data = clipmill.open(folder)
    assert data.sql("select * from data").schema.names == ["key", "status", "n", "shard"]
    with pytest.raises(InputError, match="no column 'mp4'"):
        data.sql("select mp4 from data")


def test_a_peers_dataset_without_status_is_queried_all_the_same(folder):
    folder.mkdir()
    pq.write_table(
        pa.table({"key": ["a", "b"], "similarity": [0.1, 0.9]}), folder / "00000.parquet"
    )
    (folder / "00000_stats.json").write_text('{"count": 2}')
    found = clipmill.open(folder).select("similarity > 0.5")
    assert (found.keys(), found.facts["hours"]) == (["b"], 0.0)


def test_long_lists_are_no_trouble(folder):
    write_shard(folder, "00000", [{}, {}])
    write_cells(
        folder, "motion-aaaaaa", 1, MOTION, {"00000": [motion(*range(300_000)), motion(1, 2)]}
    )
    data = clipmill.open(folder)
    assert column(data, "len(motion.values)") == [300_000, 2]
    assert data.select("list_max(motion.values) < 3").keys() == ["000001"]


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("drop table data", "Only queries that read"),
        ("copy data to 'x.csv'", "Only queries that read"),
        ("attach 'x.db'", "Only queries that read"),
        ("install httpfs", "Only queries that read"),
        ("load httpfs", "Only queries that read"),
        ("set memory_limit = '1TB'", "Only queries that read"),
        ("pragma database_list", "reaches beyond|Only queries"),
        ("select 1; drop table data", "Only queries that read|One query"),
        ("select 1; select 2", "One query"),
        ("select * from '/etc/passwd'", "no table '/etc/passwd'"),
        ('select * from "/etc/passwd.csv"', "no table"),
        ("select * from read_csv('/etc/passwd')", r"read_csv\(\) reaches beyond"),
        ("select * from read_text('/etc/passwd')", "reaches beyond"),
        ("select * from glob('/*')", "reaches beyond"),
        ("select * from query('drop table data')", "reaches beyond"),
        ("select * from duckdb_settings()", "reaches beyond"),
        ("select * from information_schema.tables", "no table"),
        ("with data2 as (select * from sniff_csv('/etc/passwd')) from data2", "reaches beyond"),
        ("select (select content from read_blob('/etc/passwd'))", "reaches beyond"),
        ("select motion.mena from data", "Did you mean 'motion.mean'"),
        ("select key from data where keyy = 1", "Did you mean 'key'"),
        ("select key from dat", "the dataset is called 'data'"),
        ("select key frm data where", r"cannot be understood(?s:.*)\^"),
        ("select foo(key) from data", r"foo does not exist(?s:.*)\^"),
        ("select max(key), url from data", r"GROUP BY(?s:.*)\^"),
    ],
)
def test_queries_that_do_more_than_read_or_name_nothing_are_refused(folder, sql, told):
    data = make_dataset(folder)
    before = sorted(folder.rglob("*"))
    with pytest.raises(UserError, match=told):
        data.sql(sql)
    assert sorted(folder.rglob("*")) == before


def test_a_lost_or_damaged_table_is_said_by_name(folder):
    make_dataset(folder)
    (folder / "00001.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(InputError, match=r"00001\.parquet"):
        clipmill.open(folder).sql("select key from data")
    (folder / "00001.parquet").unlink()
    with pytest.raises(InputError, match=r"00001\.parquet"):
        clipmill.open(folder).sql("select key from data")


def test_a_dataset_without_shards_says_so(folder):
    folder.mkdir()
    (folder / "dataset.json").write_text(
        json.dumps({name: {} for name in ("run", "recipe", "fingerprint", "identity", "inputs")})
    )
    with pytest.raises(InputError, match="no finished shard"):
        clipmill.open(folder).sql("select key from data")


def test_tables_take_columns_and_fields_of_steps(folder):
    data = make_dataset(folder)
    found = data.table(["key", "motion.mean", "picture"])
    assert found.schema.names == ["key", "motion.mean", "picture"]
    assert found.column("motion.mean").to_pylist()[0] == 0.5
    assert data.table(["key", "status"]).num_rows == 6
    with pytest.raises(InputError, match=r"Did you mean 'motion\.mean'"):
        data.table(["key", "motion.men"])


def test_the_dataset_may_be_moved(folder, tmp_path):
    make_dataset(folder)
    shutil.move(folder, tmp_path / "it's here")
    data = clipmill.open(tmp_path / "it's here")
    assert data.select("motion.mean > 0.4").keys() == ["000000", "000010"]
