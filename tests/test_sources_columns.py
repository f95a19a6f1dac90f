"""Column choices: which columns mean what, what is kept, how clips are read."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clipmill.core.errors import InputError
from clipmill.core.time import Span
from clipmill.sources.base import Part
from clipmill.sources.columns import Columns
from clipmill.sources.open import open_source


def read(given, **choices) -> pa.Table:
    source = open_source(given, Columns(**choices))
    table = source.read(Part(0, 0, source.files()[0].rows))
    assert table.schema.equals(source.schema())
    return table


def test_chosen_columns_get_their_names_and_the_rest_is_kept():
    rows = [{"link": "https://a.org/1", "title": "one", "lang": "en", "n": 1}]
    table = read(rows, url_col="link", caption_col="title")
    assert table.to_pylist() == [{"url": "https://a.org/1", "caption": "one", "lang": "en", "n": 1}]


def test_the_only_column_holds_the_urls():
    assert read([{"link": "https://a.org/1"}]).to_pylist() == [{"url": "https://a.org/1"}]


def test_only_named_additional_columns_are_kept():
    rows = [{"url": "u", "a": 1, "b": 2, "c": 3}]
    table = read(rows, save_additional_columns=("c", "a"))
    assert table.column_names == ["url", "c", "a"]
    assert read(rows, save_additional_columns=()).column_names == ["url"]


def test_columns_called_like_our_own_are_kept_under_another_name():
    rows = [{"url": "u", "status": "old", "key": 7, "caption": "c", "input_key": "x", "_media": 1}]
    assert read(rows).to_pylist() == [
        {
            "url": "u",
            "input_status": "old",
            "input_input_key": 7,
            "input_caption": "c",
            "input_key": "x",
            "input__media": 1,
        }
    ]


def test_another_url_column_is_kept_beside_the_chosen_one():
    table = read([{"url": "page", "file": "https://a.org/1.mp4"}], url_col="file")
    assert table.to_pylist() == [{"url": "https://a.org/1.mp4", "input_url": "page"}]


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({}, r"no column 'url'.*url_col.*Did you mean 'urls'.*Its columns are: urls, title"),
        ({"url_col": "ulrs"}, r"no column 'ulrs' \(url_col\).*Did you mean 'urls'"),
        ({"url_col": "urls", "caption_col": "titel"}, r"\(caption_col\).*Did you mean 'title'"),
        ({"url_col": "urls", "clip_col": "spans"}, r"no column 'spans' \(clip_col\)"),
        ({"url_col": "urls", "save_additional_columns": ("nope",)}, "save_additional_columns"),
        ({"url_col": "tags"}, "holds list.*but text is needed"),
        ({"url_col": "urls", "clip_col": "views"}, "clips must be lists"),
    ],
)
def test_wrong_choices_are_explained(choices, message):
    rows = [{"urls": "u", "title": "t", "views": 1, "tags": ["x"]}]
    with pytest.raises(InputError, match=message):
        open_source(rows, Columns(**choices)).schema()


def clips_of(values: list, kind: pa.DataType | None = None) -> list:
    table = pa.table({"url": ["u"] * len(values), "spans": pa.array(values, kind)})
    return read(table, clip_col="spans").column("clips").to_pylist()


@pytest.mark.parametrize(
    ("value", "spans"),
    [
        ([[0.1, 2.5], [3, 4]], [["0.1", "2.5"], ["3", "4"]]),
        ([1, 2], [["1", "2"]]),
        ([["00:00:01", "00:00:02.500"]], [["00:00:01", "00:00:02.500"]]),
        ("[[1.0, 2.50]]", [["1.0", "2.50"]]),
        ("[0.1, 12.3456789012345678901]", [["0.1", "12.3456789012345678901"]]),
        ("[['00:01', '00:02']]", [["00:01", "00:02"]]),
        ("[(1, 2.5), (3, 4)]", [["1", "2.5"], ["3", "4"]]),
        ("", None),
        (None, None),
        ([], []),
        ([[1e-7, 1.0]], [["0.0000001", "1"]]),
    ],
)
def test_clips_keep_their_exact_texts(value, spans):
    assert clips_of([value])[0] == spans
    for pair in spans or []:
        Span.parse(pair)


def test_clips_of_narrow_floats_and_fixed_lists():
    pairs = pa.list_(pa.list_(pa.float32(), 2))
    assert clips_of([[[0.1, 2.7]]], pairs) == [[["0.1", "2.7"]]]
    assert clips_of([[1, 2]], pa.list_(pa.int32(), 2)) == [[["1", "2"]]]


def test_a_cell_that_is_no_list_spoils_its_own_row_only():
    found = clips_of(["[[1, 2]]", "1 to 2", "[[1, 2", "nan", '{"a": 1}'])
    assert found[0] == [["1", "2"]]
    for odd in found[1:]:
        with pytest.raises(ValueError, match="is not a"):
            [Span.parse(pair) for pair in odd]


def test_clips_from_csv_and_jsonl(tmp_path: Path):
    (tmp_path / "a.csv").write_text('url,clips\nu,"[[0.1, 2.50], [3, 4]]"\nv,\n')
    lines = [{"url": "u", "clips": [[0.1, 2.5], [3, 4]]}, {"url": "v", "clips": None}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    mixed = [{"url": "u", "clips": [["00:01", 2]]}, {"url": "v"}]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in mixed))
    found = {
        name: read(str(tmp_path / name), clip_col="clips").column("clips").to_pylist()
        for name in ("a.csv", "a.jsonl", "m.jsonl")
    }
    assert found["a.csv"] == [[["0.1", "2.50"], ["3", "4"]], None]
    assert [[Span.parse(pair) for pair in row or []] for row in found["a.jsonl"]] == [
        [Span.parse(("0.1", "2.5")), Span.parse((3, 4))],
        [],
    ]
    assert found["m.jsonl"] == [[["00:01", "2"]], None]


def test_captions_of_any_flat_type_are_text(tmp_path: Path):
    pq.write_table(pa.table({"url": ["a", "b"], "label": [3, None]}), tmp_path / "a.parquet")
    table = read(str(tmp_path / "a.parquet"), caption_col="label")
    assert table.column("caption").to_pylist() == ["3", None]


@pytest.mark.parametrize(
    "cell",
    [
        "[[0]]",
        "[[0,1,2]]",
        "garbage",
        "e",
        "{}",
        "null",
        "[[0,null]]",
        "5",
        '[{"a":1}]',
        "[[[0],[1]]]",
        "[[0,1e400]]",
        "[[0,1e9999999999]]",
        f"[[0,{'9' * 500}]]",
        f"[[{'9' * 500}:00:00,1]]",
        "[[0,Infinity]]",
        '["\\ud800",1]',
        "[" * 5000,
    ],
)
def test_no_clip_cell_spoils_reading_and_each_is_refused_where_spans_are_parsed(cell):
    good, odd = clips_of(["[[0, 1]]", cell])
    assert good == [["0", "1"]]
    with pytest.raises(ValueError, match="is not a"):
        [Span.parse(pair) for pair in odd]


def test_bytes_that_are_no_text_spoil_their_own_url_only(tmp_path: Path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"url": [b"https://a.org/1", b"\xff\xfe", None]}), path)
    found = read(str(path)).column("url").to_pylist()
    assert found == ["https://a.org/1", "\ufffd\ufffd", None]
