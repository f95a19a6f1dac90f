"""Tables on web servers, with and without Range requests."""

from __future__ import annotations

import functools
import gzip
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clipmill.core.errors import InputError
from clipmill.demo.server import Origin
from clipmill.sources import table_text
from clipmill.sources.base import Part
from clipmill.sources.open import open_source

ROWS = [{"url": f"https://a.org/{row}", "n": row} for row in range(200)]


class Plain(SimpleHTTPRequestHandler):
    """A server that knows no Range requests."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    text = "url,n\n" + "".join(f"{row['url']},{row['n']}\n" for row in ROWS)
    (tmp_path / "a.csv").write_text(text)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text.encode()))
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet", row_group_size=50)
    (tmp_path / "page.csv").write_text("<!DOCTYPE html><html>Sign in</html>")
    return tmp_path


@pytest.fixture
def plain(tables: Path) -> Iterator[str]:
    handler = functools.partial(Plain, directory=str(tables))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def check(given: str) -> None:
    source = open_source(given)
    assert source.files()[0].rows == 200
    assert source.read(Part(0, 0, 200)).to_pylist() == ROWS
    assert source.read(Part(0, 120, 5)).to_pylist() == ROWS[120:125]


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet"])
def test_a_table_on_a_server_with_ranges(tables: Path, monkeypatch, name: str):
    monkeypatch.setattr(table_text, "BLOCK_BYTES", 512)
    with Origin(tables) as origin:
        check(origin.url(name))


@pytest.mark.parametrize("name", ["a.csv?download=1", "a.csv.gz"])
def test_a_table_on_a_server_without_ranges(plain: str, monkeypatch, name: str):
    monkeypatch.setattr(table_text, "BLOCK_BYTES", 512)
    check(f"{plain}/{name}")


def test_parquet_needs_ranges(plain: str):
    with pytest.raises(InputError, match="does not allow reading parts"):
        open_source(f"{plain}/a.parquet").files()


def test_what_a_server_has_instead_of_a_table_is_said(plain: str):
    with pytest.raises(InputError, match=r"There is no http.*missing\.csv"):
        open_source(f"{plain}/missing.csv").files()
    with pytest.raises(InputError, match="is a web page, not a table"):
        open_source(f"{plain}/page.csv").files()


def test_a_server_that_does_not_answer_is_said():
    with pytest.raises(InputError, match=r"REDACTED cannot be reached: Cannot connect"):
        open_source("http://127.0.0.1:9/a.csv?token=hunter2").files()
