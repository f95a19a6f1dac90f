"""Tables of every format, compression and place read as the same rows."""

from __future__ import annotations

import csv
import gzip
import json
import os
import pickle
import resource
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clipmill.core.errors import InputError
from clipmill.sources import table_text
from clipmill.sources.base import Part, Source
from clipmill.sources.columns import Columns
from clipmill.sources.open import open_source

ROWS = [
    {"url": "https://a.org/1.mp4?x=1,2", "id": "007", "views": 10, "note": 'says "hi"\nthere'},
    {"url": "https://a.org/2.mp4", "id": "12", "views": None, "note": "ünïcödé 🎬"},
    {"url": "https://a.org/3.mp4", "id": "x", "views": 3, "note": ""},
]


def csv_bytes(rows: list[dict], delimiter: str = ",", newline: str = "\n") -> bytes:
    frame = pd.DataFrame(rows).astype({"views": "Int64"})
    return frame.to_csv(index=False, sep=delimiter, lineterminator=newline).encode()


def arrow_bytes(rows: list[dict], *, stream: bool) -> bytes:
    table, sink = pa.Table.from_pylist(rows), pa.BufferOutputStream()
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with new(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return sink.getvalue().to_pybytes()


def parquet_bytes(rows: list[dict]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink, row_group_size=2)
    return sink.getvalue().to_pybytes()


def feather_bytes(rows: list[dict]) -> bytes:
    sink = pa.BufferOutputStream()
    feather.write_feather(pa.Table.from_pylist(rows), sink, compression="zstd")
    return sink.getvalue().to_pybytes()


FORMATS = {
    "csv": csv_bytes,
    "tsv": lambda rows: csv_bytes(rows, "\t"),
    "crlf.csv": lambda rows: csv_bytes(rows, newline="\r\n"),
    "bom.csv": lambda rows: b"\xef\xbb\xbf" + csv_bytes(rows),
    "jsonl": lambda rows: b"".join(json.dumps(row).encode() + b"\n" for row in rows),
    "ndjson": lambda rows: "\n".join(json.dumps(r, ensure_ascii=False) for r in rows).encode(),
    "json": lambda rows: json.dumps(rows, indent=1).encode(),
    "columns.json": lambda rows: pd.DataFrame(rows).astype({"views": "Int64"}).to_json().encode(),
    "parquet": parquet_bytes,
    "arrow": lambda rows: arrow_bytes(rows, stream=False),
    "stream.arrow": lambda rows: arrow_bytes(rows, stream=True),
    "feather": feather_bytes,
}


def zstd_bytes(data: bytes) -> bytes:
    return pa.Codec("zstd").compress(data, asbytes=True)


COMPRESSIONS = {"": bytes, ".gz": gzip.compress, ".zst": zstd_bytes}


def all_rows(source: Source) -> list[dict]:
    files = source.files()
    tables = [source.read(Part(i, 0, file.rows)) for i, file in enumerate(files) if file.rows]
    for table in tables:
        assert table.schema.equals(source.schema())
    return pa.concat_tables(tables).to_pylist()


def write(path: Path, data: bytes | str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return str(path)


def rows_of(path: Path, data: bytes | str, **choices) -> list[dict]:
    return all_rows(open_source(write(path, data), Columns(**choices)))


COMBINATIONS = [(kind, suffix) for kind in FORMATS for suffix in COMPRESSIONS]


@pytest.mark.parametrize(("kind", "suffix"), COMBINATIONS)
def test_every_format_reads_the_same_rows(tmp_path: Path, kind: str, suffix: str):
    path = write(tmp_path / f"videos.{kind}{suffix}", COMPRESSIONS[suffix](FORMATS[kind](ROWS)))

    source = open_source(path)

    assert all_rows(source) == ROWS
    assert source.schema().field("views").type == pa.int64()
    assert [file.rows for file in source.files()] == [3]
    assert all_rows(pickle.loads(pickle.dumps(source))) == ROWS


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_compressed_parquet_is_decompressed_once_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    data = COMPRESSIONS[suffix](parquet_bytes(ROWS))
    path = write(tmp_path / f"a.parquet{suffix}", data)
    source = open_source(path)
    assert source.files()[0].rows == 3
    shutil.copy(path, tmp_path / "kept")
    write(Path(path), b"")  # so that whoever reads it again gets nothing

    assert all_rows(source) == ROWS
    assert list(folder.iterdir()) == []
    # Another process has to read it again, and may.
    shutil.copy(tmp_path / "kept", path)
    (tmp_path / "source").write_bytes(pickle.dumps(source))
    code = (
        "import pickle, sys; from clipmill.sources.base import Part; "
        "source = pickle.load(open(sys.argv[1], 'rb')); "
        "print(source.read(Part(0, 2, 1)).to_pylist()[0]['url'])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "source")]
    done = subprocess.run(command, env={**os.environ, "TMPDIR": str(folder)}, capture_output=True)
    assert done.stdout.decode().strip() == ROWS[2]["url"], done.stderr.decode()
    assert list(folder.iterdir()) == []


def test_no_room_to_decompress_parquet_is_said(tmp_path: Path):
    data = parquet_bytes([{"url": secrets.token_hex(1 << 20)}])
    path = write(tmp_path / "a.parquet.gz", gzip.compress(data))

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    code = (
        "import sys; from clipmill.sources.open import open_source; "
        "open_source(sys.argv[1]).files()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], preexec_fn=limited, capture_output=True, text=True
    )
    assert "no room for that" in done.stderr


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "arrow"])
@pytest.mark.parametrize("place", ["file", "glob", "braces", "folder", "memory", "memory-glob"])
def test_every_place_reads_the_same_rows(tmp_path: Path, kind: str, place: str):
    first, second = FORMATS[kind](ROWS[:2]), FORMATS[kind](ROWS[2:])
    folder = f"memory://{tmp_path.name}" if place.startswith("memory") else str(tmp_path)
    for name, data in (("part-00000", first), ("part-00001", second)):
        with fsspec.open(f"{folder}/{name}.{kind}", "wb") as file:
            file.write(data)
    given = {
        "file": [f"{folder}/part-00000.{kind}", f"{folder}/part-00001.{kind}"],
        "glob": f"{folder}/part-*.{kind}",
        "braces": f"{folder}/part-{{00000..00001}}.{kind}",
        "folder": folder,
        "memory": folder,
        "memory-glob": f"{folder}/*.{kind}",
    }[place]

    source = open_source(given, kind="table")

    assert all_rows(source) == ROWS
    assert [file.rows for file in source.files()] == [2, 1]


def test_txt_has_one_url_per_line_and_commas_belong_to_it(tmp_path: Path):
    text = "\ufeffhttps://a.org/1?x=1,2\r\n\r\n  https://a.org/2 \nhttps://a.org/3"
    assert rows_of(tmp_path / "list.txt", text) == [
        {"url": "https://a.org/1?x=1,2"},
        {"url": "https://a.org/2"},
        {"url": "https://a.org/3"},
    ]


def test_content_tells_format_and_compression_when_the_name_does_not(tmp_path: Path):
    write(tmp_path / "a.csv", gzip.compress(csv_bytes(ROWS)))  # compressed without saying so
    write(tmp_path / "b.json", FORMATS["jsonl"](ROWS))  # lines in a .json
    write(tmp_path / "c.bin", parquet_bytes(ROWS))
    for name in ("a.csv", "b.json", "c.bin"):
        assert all_rows(open_source(str(tmp_path / name))) == ROWS


def test_input_format_overrides_the_name(tmp_path: Path):
    path = write(tmp_path / "urls.dat", "https://a.org/1\nhttps://a.org/2\n")
    assert len(all_rows(open_source(path, Columns(input_format="txt")))) == 2
    with pytest.raises(InputError, match="cannot tell which table format"):
        open_source(path).files()
    with pytest.raises(InputError, match="Did you mean 'jsonl'"):
        open_source(path, Columns(input_format="jsonll"))


@pytest.mark.parametrize("suffix", COMPRESSIONS)
@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "txt"])
def test_parts_of_a_large_text_read_alone_equal_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, suffix: str
):
    monkeypatch.setattr(table_text, "BLOCK_BYTES", 256)
    note = 'a,\t"quoted"\nline' if kind != "txt" else ""
    rows = [
        {"url": f"https://a.org/{i}", "id": f"{i:04}", "views": i, "note": note} for i in range(99)
    ]
    data = FORMATS[kind](rows) if kind != "txt" else "\n".join(r["url"] for r in rows).encode()
    rows = rows if kind != "txt" else [{"url": row["url"]} for row in rows]
    source = open_source(write(tmp_path / f"t.{kind}{suffix}", COMPRESSIONS[suffix](data)))

    assert source.files()[0].rows == 99
    for start, count in [(0, 10), (10, 1), (11, 60), (98, 1), (50, 7), (3, 96), (0, 99)]:
        assert source.read(Part(0, start, count)).to_pylist() == rows[start : start + count]


TEXT = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Z"]), max_size=12)
AWKWARD = st.text(st.sampled_from('",\t\n\r a"é'), max_size=12)


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cells=st.lists(st.tuples(TEXT | AWKWARD, TEXT | AWKWARD), min_size=1, max_size=12),
    block_bytes=st.integers(1, 64),
    kind=st.sampled_from(["csv", "tsv"]),
    newline=st.sampled_from(["\n", "\r\n"]),
)
def test_whatever_csv_writers_write_is_read_back(
    tmp_path: Path, monkeypatch, cells, block_bytes, kind, newline
):
    monkeypatch.setattr(table_text, "BLOCK_BYTES", block_bytes)
    rows = [{"url": f"u{i}", "first": a, "second": b} for i, (a, b) in enumerate(cells)]
    # Python's writer forgets to quote a lone carriage return unless it quotes everything.
    quoting = csv.QUOTE_ALL if "\r" in str.join("", sum(cells, ())) else csv.QUOTE_MINIMAL
    with (tmp_path / f"a.{kind}").open("w", newline="", encoding="utf-8") as file:
        delimiter = "\t" if kind == "tsv" else ","
        style = {"delimiter": delimiter, "lineterminator": newline, "quoting": quoting}
        writer = csv.DictWriter(file, list(rows[0]), **style)
        writer.writeheader()
        writer.writerows(rows)

    source = open_source(str(tmp_path / f"a.{kind}"))

    for name in ("first", "second"):
        if source.schema().field(name).type == pa.string():
            assert [row[name] for row in all_rows(source)] == [row[name] for row in rows]
    assert source.files()[0].rows == len(rows)


def test_column_names_may_hold_anything(tmp_path: Path):
    row = {"url": "u", "a.b": 1, "a": {"b": 2}, "with space": 3, "ünï": 4}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "a.parquet")
    assert all_rows(open_source(str(tmp_path / "a.parquet"))) == [row]
    assert rows_of(tmp_path / "a.csv", '"url","two\nlines","a ""b"""\nu,1,2\n') == [
        {"url": "u", "two\nlines": 1, 'a "b"': 2}
    ]


def test_a_quote_inside_an_unquoted_field_is_a_quote(tmp_path: Path):
    text = 'url,size\nhttps://a.org/1,5" screen\nhttps://a.org/2,"7"" screen"\n'
    assert [row["size"] for row in rows_of(tmp_path / "a.csv", text)] == ['5" screen', '7" screen']


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["1", "-2", ""], pa.int64()),
        (["1", "2.5", "1e-3"], pa.float64()),
        (["true", "", "False"], pa.bool_()),
        (["00042", "1"], pa.string()),
        (["1", "NA"], pa.string()),
        (["99999999999999999999"], pa.string()),
        (["9007199254740993", "0.5"], pa.string()),  # would lose its last digit as a float
        (["+5"], pa.string()),
        (["", ""], pa.string()),
    ],
)
def test_csv_types_are_settled_over_the_whole_file_without_changing_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, texts: list[str], kind: pa.DataType
):
    monkeypatch.setattr(table_text, "BLOCK_BYTES", 16)
    path = write(
        tmp_path / "a.csv",
        "url,v\n" + "".join(f"https://a.org/{i},{t}\n" for i, t in enumerate(texts)),
    )
    source = open_source(path)
    assert source.schema().field("v").type == kind
    if kind == pa.string():
        assert [row["v"] for row in all_rows(source)] == texts


def test_types_are_settled_over_all_files(tmp_path: Path):
    write(tmp_path / "1.csv", "url,n,only_here\nhttps://a.org/1,1,x\n")
    write(tmp_path / "2.csv", "n,url\n2.5,https://a.org/2\n")
    write(tmp_path / "3.jsonl", '{"url": "https://a.org/3", "n": 3}\n')
    assert all_rows(open_source(str(tmp_path))) == [
        {"url": "https://a.org/1", "n": 1.0, "only_here": "x"},
        {"url": "https://a.org/2", "n": 2.5, "only_here": None},
        {"url": "https://a.org/3", "n": 3.0, "only_here": None},
    ]


def test_files_that_do_not_go_together_name_file_and_column(tmp_path: Path):
    pq.write_table(pa.table({"url": ["a"], "n": [1]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"url": ["a"], "n": [[1]]}), tmp_path / "2.parquet")
    with pytest.raises(InputError, match=r"Column 'n' is int64 .* list.* in .*2\.parquet"):
        open_source(str(tmp_path)).schema()


def test_jsonl_keeps_nested_values_dates_and_long_numbers_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(table_text, "BLOCK_BYTES", 64)
    rows = [
        {"url": "a", "when": "2020-01-01 00:00:00", "tags": [{"x": 1}], "id": 1, "mixed": 1},
        {"url": "b", "when": "never", "tags": [], "id": 12345678901234567890, "mixed": "one"},
        {"url": "c", "when": None, "tags": None, "id": 3, "mixed": [1, "x"]},
    ]
    found = rows_of(tmp_path / "a.jsonl", FORMATS["jsonl"](rows))
    assert [row["when"] for row in found] == ["2020-01-01 00:00:00", "never", None]
    assert [row["tags"] for row in found] == [[{"x": 1}], [], None]
    assert [row["id"] for row in found] == ["1", "12345678901234567890", "3"]
    assert [row["mixed"] for row in found] == ["1", "one", '[1, "x"]']


def test_jsonl_types_that_tables_cannot_hold_become_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(table_text, "BLOCK_BYTES", 16)
    rows = [
        {"url": "a", "nothing": [None, None], "empty": {}, "n": 0.5},
        {"url": "b", "nothing": [], "empty": {}, "n": 10**17},
    ]
    source = open_source(write(tmp_path / "a.jsonl", FORMATS["jsonl"](rows)))
    found = all_rows(source)
    assert [row["nothing"] for row in found] == [[None, None], []]
    assert [row["empty"] for row in found] == ["{}", "{}"]
    assert [row["n"] for row in found] == [0.5, 1e17]
    pq.write_table(pa.Table.from_pylist(found, schema=source.schema()), tmp_path / "out.parquet")


def test_arrow_types_are_kept_in_plain_form(tmp_path: Path):
    table = pa.table(
        {
            "url": pa.array(["a", "b"]).dictionary_encode(),
            "at": pa.array([1, None], pa.timestamp("us", tz="UTC")),
            "price": pa.array(["1.50", "2.25"]).cast(pa.decimal128(5, 2)),
            "text": pa.array(["x", "y"], pa.large_string()),
            "kind": pa.array(["u", None]).dictionary_encode(),
            "box": pa.array([{"w": 1}, None]),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    schema = open_source(str(tmp_path / "a.parquet")).schema()
    assert schema.field("at").type == pa.timestamp("us", tz="UTC")
    assert schema.field("price").type == pa.decimal128(5, 2)
    assert {schema.field(n).type for n in ("url", "text", "kind")} == {pa.string()}
    assert all_rows(open_source(str(tmp_path / "a.parquet"))) == table.to_pylist()


def test_urls_that_are_no_text_become_text_or_null(tmp_path: Path):
    pq.write_table(pa.table({"url": pa.array([1.5, float("nan"), None])}), tmp_path / "f.parquet")
    pq.write_table(pa.table({"url": pa.array([42, None])}), tmp_path / "i.parquet")
    assert [r["url"] for r in all_rows(open_source(str(tmp_path / "f.parquet")))] == [
        "1.5",
        None,
        None,
    ]
    assert [r["url"] for r in all_rows(open_source(str(tmp_path / "i.parquet")))] == ["42", None]


def test_odd_rows_are_rows(tmp_path: Path):
    long = "https://a.org/" + "x" * 40_000
    urls = [long, "", "nul\x00inside", "https://a.org/ü", "NaN"]
    frame = pd.DataFrame({"url": urls, "n": range(5)})
    write(tmp_path / "a.csv", frame.to_csv(index=False))
    assert [row["url"] for row in all_rows(open_source(str(tmp_path / "a.csv")))] == urls


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.csv", b"", "no rows, the input is empty"),
        ("a.csv", b"url,caption\n", r"header \(url, caption\) but no rows"),
        ("a.csv", b"url,b\nx,1\ny,2,3\n", r"a\.csv, line 3: 3 fields, but the header names 2"),
        ("a.csv", b'url,b\n"x\ny",1\nz\n', r"line 4: 1 fields"),
        ("a.csv", b"url,b,url\nx,1,2\n", "two columns named 'url'"),
        ("a.csv", "url,b\nx,1\ny,caf\u00e9\n".encode("latin-1"), r"line 3: byte 0xe9 is not UTF-8"),
        ("a.csv", b"https://a.org/1\nhttps://a.org/2\n", "has no line of column names"),
        ("a.csv", b"url;text\nhttps://a.org/1;x\n", "looks separated by ';'.*sep=';'"),
        ("a.csv", b"url\ttext\nhttps://a.org/1\tx\n", "looks separated by .*input_format tsv"),
        ("a.csv", "url\nx\n".encode("utf-16"), "UTF-16"),
        ("a.csv.gz", gzip.compress(b"url\nx\n" * 99, mtime=0)[:-9], "cannot be read: Truncated"),
        ("a.csv.bz2", b"BZh91AY", "bzip2; use gzip or zstd"),
        ("a.xlsx", b"PK\x03\x04...", "spreadsheet"),
        ("a.txt", b"\n \n", "no rows"),
        ("a.jsonl", b'{"url": "x"}\n{"url": \n', r"line 2 is not JSON"),
        ("a.jsonl", b'{"url": "x"}\n["y"]\n', r"line 2 is not a JSON object but list"),
        ("a.json", b'{"url": "x", "n": 1', "is not JSON"),
        ("a.json", b'{"a": [1, 2], "b": [1]}', "not a table"),
        ("a.json", b"[1, 2]", "not a table"),
        ("a.json", b"[]", "no rows"),
        ("a.parquet", b"PAR1 and nothing else", "cannot be read"),
        ("a.parquet", b"url\nx\n", "called parquet but is not"),
        ("a.feather", b"FEA1....", "Feather file of version 1"),
    ],
)
def test_unusable_tables_say_what_is_wrong_and_where(
    tmp_path: Path, name: str, data: bytes, message: str
):
    path = write(tmp_path / name, data)
    with pytest.raises(InputError, match=message):
        open_source(path).schema()


def test_one_empty_file_among_many_is_no_error(tmp_path: Path):
    write(tmp_path / "0.csv", b"")
    write(tmp_path / "1.csv", csv_bytes(ROWS))
    write(tmp_path / "2.csv", "url,id,views,note\n")
    source = open_source(str(tmp_path))
    assert [file.rows for file in source.files()] == [0, 3, 0]
    assert all_rows(source) == ROWS


@pytest.mark.parametrize("block_bytes", [16, 1 << 20])
def test_a_quote_that_is_never_closed_swallows_no_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
):
    monkeypatch.setattr(table_text, "BLOCK_BYTES", block_bytes)
    text = 'url,caption\nu,"two\nlines"\nv,5" screen\nw,"not closed\nx,three\ny,four\n'
    path = write(tmp_path / "a.csv", text)
    with pytest.raises(InputError, match="line 5: a quote is opened that is never closed"):
        open_source(path).files()


def test_a_quote_that_is_never_closed_is_not_read_into_memory_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(table_text, "BLOCK_BYTES", 64)
    monkeypatch.setattr(table_text, "MAX_RECORD_BYTES", 4096)
    path = write(tmp_path / "a.csv", 'url,b\nx,"never closed\n' + "y,z\n" * 5000)
    with pytest.raises(InputError, match="a quote that is never closed"):
        open_source(path).files()


def test_a_file_that_changed_since_planning_is_noticed(tmp_path: Path):
    path = tmp_path / "a.csv"
    source = open_source(write(path, csv_bytes(ROWS)))
    source.schema()
    write(path, "url,id,views,note\n")
    with pytest.raises(InputError, match="changed"):
        source.read(Part(0, 0, 3))


def test_only_the_chosen_columns_of_a_parquet_are_decoded(tmp_path: Path):
    pq.write_table(
        pa.table({"url": ["a"], "huge": [b"x" * 100_000]}),
        tmp_path / "a.parquet",
        compression="none",
        use_dictionary=False,
    )
    columns = Columns(save_additional_columns=())
    source = open_source(str(tmp_path / "a.parquet"), columns)
    source.schema()
    before = pa.total_allocated_bytes()
    table = source.read(Part(0, 0, 1))
    assert table.column_names == ["url"]
    assert pa.total_allocated_bytes() - before < 50_000


def test_a_removed_file_is_an_input_error(tmp_path: Path):
    write(tmp_path / "t" / "a.csv", csv_bytes(ROWS))
    source = open_source(str(tmp_path / "t"))
    source.schema()
    shutil.rmtree(tmp_path / "t")
    with pytest.raises(InputError, match="There is no"):
        source.read(Part(0, 0, 1))


def broken_text(values: list[bytes], kind: pa.DataType) -> pa.Array:
    """Text that its writer did not check."""
    wide = pa.types.is_large_string(kind)
    raw = pa.array(values, pa.large_binary() if wide else pa.binary())
    return pa.Array.from_buffers(kind, len(values), raw.buffers())


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_text_that_is_no_utf8_is_repaired_where_it_is_broken(tmp_path: Path, suffix: str):
    texts = [b"https://a.org/\xff.mp4", "ünïcödé".encode()]
    plain = broken_text(texts, pa.string())
    columns = {
        "url": plain,
        "large": broken_text(texts, pa.large_string()),
        "list": pa.ListArray.from_arrays([0, 1, 2], plain),
        "object": pa.StructArray.from_arrays([plain, pa.array([1, 2])], ["text", "n"]),
        "blob": pa.array([b"\xff", b"x"]),
    }
    if suffix == "arrow":
        columns["of_few"] = pa.DictionaryArray.from_arrays(pa.array([0, 1]), plain)
    path = str(tmp_path / f"a.{suffix}")
    (pq.write_table if suffix == "parquet" else feather.write_feather)(pa.table(columns), path)
    first, second = all_rows(open_source(path))
    repaired = "https://a.org/\ufffd.mp4"
    assert first["blob"] == b"\xff"
    assert {first[name] for name in ("url", "large")} == {repaired}
    assert first["list"] == [repaired]
    assert first["object"] == {"text": repaired, "n": 1}
    assert second["large"] == second["url"] == "ünïcödé"
    if suffix == "arrow":
        assert first["of_few"] == repaired
    assert open_source(path).read_urls(Part(0, 0, 2)).to_pylist()[0] == repaired


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
@pytest.mark.parametrize(("before", "after"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
@pytest.mark.parametrize("levels", [60, 300, 5000, 100_000])
def test_values_nested_without_end_are_refused(
    tmp_path: Path, name: str, before: str, after: str, levels: int
):
    row = '{"url": "x", "d": ' + before * levels + "1" + after * levels + "}"
    path = write(tmp_path / name, f"[{row}]" if name == "a.json" else row + "\n" + row + "\n")
    with pytest.raises(InputError, match=r"nested more than|is not JSON: .*recursion"):
        open_source(path).files()


def test_values_nested_deeply_in_parquet_are_refused(tmp_path: Path):
    value, kind = 1, pa.int64()
    for _ in range(60):
        value, kind = {"a": value}, pa.struct([("a", kind)])
    pq.write_table(pa.table({"url": ["x"], "d": pa.array([value], kind)}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"Column 'd' of .* nested more than"):
        open_source(str(tmp_path / "a.parquet")).files()


def test_nesting_that_people_use_is_kept(tmp_path: Path):
    deep = json.loads('{"a":[' * 16 + "1" + "]}" * 16)
    rows = [{"url": "x", "d": deep}]
    path = write(tmp_path / "a.jsonl", json.dumps(rows[0]))
    assert all_rows(open_source(path)) == rows


def test_a_table_may_have_very_many_columns(tmp_path: Path):
    names = ["url", *(f"c{number}" for number in range(20_000))]
    path = write(tmp_path / "a.csv", ",".join(names) + "\n" + ",".join("7" * len(names)) + "\n")
    began = time.process_time()  # others on the machine do not count
    source = open_source(path)
    assert source.read(Part(0, 0, 1)).num_columns == len(names)
    assert time.process_time() - began < 60
