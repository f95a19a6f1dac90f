"""Opening whatever a user has."""

from __future__ import annotations

import gc
import pickle
from pathlib import Path

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clipmill.core.errors import InputError, RecipeError
from clipmill.sources.base import Part
from clipmill.sources.columns import Columns
from clipmill.sources.folder import FolderSource
from clipmill.sources.open import open_source
from clipmill.sources.shards import ShardSource
from clipmill.sources.table import TableSource

ROWS = [{"url": "https://a.org/1", "n": 1}, {"url": "https://a.org/2", "n": None}]


class LikePolars:
    """A data frame of another library."""

    def to_arrow(self) -> pa.Table:
        return pa.Table.from_pylist(ROWS).cast(
            pa.schema([("url", pa.large_string()), ("n", pa.int64())])
        )


class LikeDuckdb:
    """Anything that hands out an Arrow stream."""

    def __arrow_c_stream__(self, requested_schema=None):
        return pa.Table.from_pylist(ROWS).__arrow_c_stream__(requested_schema)


def rows(given, **choices) -> list[dict]:
    source = open_source(given, Columns(**choices))
    return source.read(Part(0, 0, source.files()[0].rows)).to_pylist()


@pytest.mark.parametrize(
    "given",
    [
        ROWS,
        tuple(ROWS),
        iter(ROWS),
        (row for row in ROWS),
        datasets.Dataset.from_list(ROWS),
        datasets.Dataset.from_list([{"url": "x", "n": 0}, *ROWS[::-1]]).select([2, 1]),
        datasets.Dataset.from_list(ROWS).to_iterable_dataset(),
        pa.Table.from_pylist(ROWS),
        pa.RecordBatch.from_pylist(ROWS),
        pa.Table.from_pylist(ROWS).to_reader(),
        pd.DataFrame(ROWS, index=[7, 8]).astype({"n": "Int64"}),
        LikePolars(),
        LikeDuckdb(),
    ],
    ids=lambda given: type(given).__name__,
)
def test_rows_in_memory(given):
    assert rows(given) == ROWS


def test_a_list_of_strings_is_a_list_of_urls(tmp_path: Path):
    urls = ["https://a.org/1.mp4", None, "", str(tmp_path / "a.mp4")]
    assert rows(urls) == [{"url": url} for url in urls]
    assert rows([tmp_path / "a.mp4"]) == [{"url": str(tmp_path / "a.mp4")}]


def test_urls_come_from_a_generator_or_a_column_too():
    urls = ["https://a.org/1.mp4", "https://a.org/2.mp4"]
    expected = [{"url": url} for url in urls]
    assert rows(url for url in urls) == rows(pd.Series(urls, name="links")) == expected


def test_a_streamed_dataset_whose_types_change_is_explained():
    def made():
        yield from ({"url": "https://a.org/1", "n": None} for _ in range(10_000))
        yield {"url": "https://a.org/2", "n": "two"}

    streamed = datasets.IterableDataset.from_generator(made)
    with pytest.raises(InputError, match="Say what they hold with its `features`"):
        open_source(streamed)
    features = datasets.Features({"url": datasets.Value("string"), "n": datasets.Value("string")})
    typed = open_source(datasets.IterableDataset.from_generator(made, features=features))
    assert typed.read(Part(0, 10_000, 1)).to_pylist() == [{"url": "https://a.org/2", "n": "two"}]


def test_a_list_of_tables_is_several_inputs(tmp_path: Path):
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text(f"url\n{name}\n")
    source = open_source([tmp_path / "a.csv", str(tmp_path / "b.csv")])
    assert [Path(file.url).name for file in source.files()] == ["a.csv", "b.csv"]


def test_rows_in_memory_are_written_once_where_asked(tmp_path: Path):
    spill = tmp_path / "run" / "input"
    for _ in range(2):
        source = open_source(ROWS, spill=spill)
        source.schema()
    (kept,) = spill.iterdir()
    assert source.files()[0].url == str(kept)
    again = pickle.loads(pickle.dumps(source))
    assert again.read(Part(0, 1, 1)).to_pylist() == ROWS[1:]


def test_rows_in_memory_leave_nothing_behind():
    source = open_source(ROWS)
    folder = Path(source.files()[0].url).parent
    assert folder.exists()
    del source
    gc.collect()
    assert not folder.exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "rows given are empty"),
        (pd.DataFrame({"url": []}), "rows given are empty"),
        (["https://a.org/1", 7], "also holds 7"),
        ([{"url": "x"}, "https://a.org/1"], "also holds"),
        (7, "cannot be read from int"),
        (iter([]), "rows given are empty"),
        (datasets.Dataset.from_dict({"url": []}), "dataset given is empty"),
        (datasets.DatasetDict(train=datasets.Dataset.from_list(ROWS)), r"one split .* \['train'\]"),
        (pd.DataFrame([["a", "b"]], columns=["url", "url"]), "(?i)duplicate"),
        (pd.DataFrame({"url": ["a", "b"], "x": [1, "y"]}), "column x"),
        (pa.table([["a"], ["b"]], names=["url", "url"]), "two columns of one name"),
    ],
)
def test_what_is_no_rows_is_explained(given, message):
    with pytest.raises(InputError, match=message):
        open_source(given)


def test_the_kind_shows_by_itself(tmp_path: Path):
    for name in ("media/a.mp4", "table/a.csv", "shards/0.tar"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"")
    pq.write_table(pa.table({"url": ["x"]}), tmp_path / "table" / "b.parquet")
    kinds = {
        "media": FolderSource,
        "media/a.mp4": FolderSource,
        "table": TableSource,
        "table/*.csv": TableSource,
        "shards": ShardSource,
        "shards/*.tar": ShardSource,
    }
    for given, kind in kinds.items():
        assert type(open_source(str(tmp_path / given))) is kind, given


def test_a_kind_can_be_named(tmp_path: Path):
    (tmp_path / "a.csv").write_text("url\nx\n")
    assert type(open_source(str(tmp_path), kind="table")) is TableSource
    assert type(open_source(str(tmp_path), Columns(input_format="table"))) is TableSource
    with pytest.raises(RecipeError, match="Did you mean 'table'"):
        open_source(str(tmp_path), kind="tabel")
    with pytest.raises(InputError, match=r"no input format 'cvs'.*'csv'"):
        open_source(str(tmp_path), Columns(input_format="cvs"))


def test_the_url_of_one_video_is_no_input():
    with pytest.raises(InputError, match="Give a list of URLs"):
        open_source("https://a.org/video.mp4?token=x")


def test_a_folder_of_media_and_tables_names_the_first_of_each(tmp_path: Path):
    for name in ("b.webm", "a.mp4", "d.csv", "c.parquet"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"both media \(a\.mp4\) and tables \(c\.parquet\)"):
        open_source(str(tmp_path))
