"""A folder of media as rows."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clipmill.core.errors import InputError
from clipmill.sources.base import MEDIA_COLUMN, Part, Source, media_ref
from clipmill.sources.columns import Columns
from clipmill.sources.folder import FolderSource
from clipmill.sources.open import open_source


def write(folder: Path, files: dict[str, bytes | str]) -> str:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return str(folder)


def rows(source: Source) -> list[dict]:
    tables = [source.read(Part(i, 0, file.rows)) for i, file in enumerate(source.files())]
    assert all(table.schema.equals(source.schema()) for table in tables)
    return pa.concat_tables(tables).to_pylist()


def test_media_files_are_rows_folder_by_folder(tmp_path: Path):
    names = [
        "b.mp4",
        "a.MKV",
        "sub/c.webm",
        "sub/deeper/d.m4a",
        ".hidden.mp4",
        ".git/e.mp4",
        "x.doc",
    ]
    source = open_source(write(tmp_path, dict.fromkeys(names, b"media")))

    assert isinstance(source, FolderSource)
    found = rows(pickle.loads(pickle.dumps(source)))
    paths = [str(tmp_path / name) for name in ("a.MKV", "b.mp4", "sub/c.webm", "sub/deeper/d.m4a")]
    assert [row["url"] for row in found] == paths
    assert found[0][MEDIA_COLUMN] == [media_ref(paths[0], "mkv")]
    assert [file.rows for file in source.files()] == [2, 1, 1]
    assert source.files()[0].size == 10


def test_subtitle_files_go_with_the_media_of_their_stem(tmp_path: Path):
    srt = "1\n00:00:0{},000 --> 00:00:09,000\n{}\n"
    files = {
        "a.mp4": b"",
        "a.de.srt": srt.format(1, "deutsch"),
        "a.srt": srt.format(2, "unsaid"),
        "a.pt-BR.SRT": srt.format(3, "português").encode("cp1252"),
        "a.b.mp4": b"",
        "a.b.en.vtt": "WEBVTT\n\n00:04.000 --> 00:09.000\nenglish\n",
        "a.b.srt": b"no subtitles at all",
        "c.mp4": b"",
        "other.srt": srt.format(5, "of nothing"),
    }
    found = rows(open_source(write(tmp_path, files)))
    lines = [[(line["language"], line["text"]) for line in row["_subtitles"]] for row in found]
    assert lines == [
        [("en", "english")],
        [("und", "unsaid"), ("de", "deutsch"), ("pt-BR", "português")],
        [],
    ]


def test_names_that_are_no_text_are_said(tmp_path: Path):
    for name in ("sub/\udcff.mp4", "\udcfe/a.mp4"):
        where = write(tmp_path / name[0], {"a.mp4": b"", name: b""})
        with pytest.raises(InputError, match="not UTF-8 text"):
            open_source(where).files()


def test_sidecars_are_captions_and_columns(tmp_path: Path):
    files = {
        "a.mp4": b"",
        "a.txt": "\ufeffa cat\n",
        "a.json": json.dumps({"views": 3, "url": "https://a.org/1", "tags": ["x"], "more": {}}),
        "b.mp4": b"",
        "b.json": json.dumps({"views": 2.5}),
        "c.mp4": b"",
    }
    found = rows(open_source(write(tmp_path, files)))
    assert [row["caption"] for row in found] == ["a cat", None, None]
    assert [row["views"] for row in found] == [3.0, 2.5, None]
    assert [row["tags"] for row in found] == [["x"], None, None]
    assert [row["input_url"] for row in found] == ["https://a.org/1", None, None]
    assert [row["more"] for row in found] == ["{}", None, None]
    assert found[0]["url"] == str(tmp_path / "a.mp4")


def test_a_caption_in_json_is_the_caption_unless_another_column_is_chosen(tmp_path: Path):
    files = {
        "a.mp4": b"",
        "a.json": json.dumps({"caption": "a cat", "title": "Cat"}),
        "b.mp4": b"",
        "b.txt": "a dog",
    }
    folder = write(tmp_path, files)
    assert [row["caption"] for row in rows(open_source(folder))] == ["a cat", "a dog"]
    chosen = rows(open_source(folder, Columns(caption_col="title")))
    assert [row["caption"] for row in chosen] == ["Cat", "a dog"]
    assert [row["input_caption"] for row in chosen] == ["a cat", None]


def test_several_captions_in_json_stay_a_column(tmp_path: Path):
    files = {"a.mp4": b"", "a.json": json.dumps({"caption": ["a cat", "a pet"]})}
    (row,) = rows(open_source(write(tmp_path, files)))
    assert row["input_caption"] == ["a cat", "a pet"]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_metadata_table_describes_files_by_name(tmp_path: Path, kind: str):
    write(tmp_path, {"a.mp4": b"", "b.mp4": b"", "sub/c.mp4": b"", "d.mp4": b""})
    table = pa.table({"file_name": ["b.mp4", "sub/c.mp4", "./a.mp4"], "text": ["B", "C", "A"]})
    path = tmp_path / f"metadata.{kind}"
    if kind == "parquet":
        pq.write_table(table, path)
    elif kind == "csv":
        table.to_pandas().to_csv(path, index=False)
    else:
        table.to_pandas().to_json(path, orient="records", lines=True)

    source = open_source(str(tmp_path), Columns(caption_col="text"))

    found = {
        Path(row["url"]).name: row["caption"] for row in rows(pickle.loads(pickle.dumps(source)))
    }
    assert found == {"a.mp4": "A", "b.mp4": "B", "c.mp4": "C", "d.mp4": None}


def test_metadata_rows_are_never_lost(tmp_path: Path):
    lines = "file_name,start\na.mp4,1\na.mp4,2\ngone.mp4,3\n"
    source = open_source(write(tmp_path, {"a.mp4": b"", "metadata.csv": lines}))
    found = rows(source)
    assert [row["start"] for row in found] == [1, 2, 3]
    assert found[2]["url"] == str(tmp_path / "gone.mp4")
    # Reading it is what says that it is missing.
    assert [ref["path"] for ref in found[2][MEDIA_COLUMN]] == [str(tmp_path / "gone.mp4")]


def test_metadata_cannot_reach_what_is_skipped(tmp_path: Path):
    write(tmp_path, {"out/secret.mp4": b"", "in/a.mp4": b"", "in/.hidden.mp4": b""})
    write(tmp_path, {"in/metadata.csv": "file_name\nleaving.mp4\n.hidden.mp4\n.gone.mp4\n"})
    (tmp_path / "in" / "leaving.mp4").symlink_to(tmp_path / "out" / "secret.mp4")
    found = {Path(row["url"]).name: row for row in rows(open_source(str(tmp_path / "in")))}
    assert {name for name, row in found.items() if row[MEDIA_COLUMN]} == {"a.mp4"}
    assert len(found) == 4


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"metadata.csv": "file,x\na.mp4,1\n"}, "no column 'file_name'"),
        ({"metadata.csv": "file_name,x\n../a.mp4,1\n"}, "not a name inside its folder"),
        ({"metadata.csv": "file_name\n,\n/etc/passwd\n"}, "2 fields|not a name"),
        ({"metadata.csv": "file_name\nsub/x.mp4\n"}, "no such folder"),
        ({"metadata.csv": "file_name\na.mp4\n", "metadata.jsonl": "{}\n"}, "has both"),
        ({"a.json": "{"}, r"a\.json is not JSON"),
    ],
)
def test_unusable_metadata_are_explained(tmp_path: Path, files: dict, message: str):
    with pytest.raises(InputError, match=message):
        open_source(write(tmp_path, {"a.mp4": b"", **files})).schema()


def test_links_that_leave_the_folder_are_skipped(tmp_path: Path):
    write(tmp_path, {"in/a.mp4": b"", "out/secret.mp4": b"", "in/sub/c.mp4": b""})
    (tmp_path / "in" / "leaving.mp4").symlink_to(tmp_path / "out" / "secret.mp4")
    (tmp_path / "in" / "staying.mp4").symlink_to(tmp_path / "in" / "a.mp4")
    (tmp_path / "in" / "folder").symlink_to(tmp_path / "out")
    (tmp_path / "in" / "sub" / "loop").symlink_to(tmp_path / "in")
    found = [Path(row["url"]).name for row in rows(open_source(str(tmp_path / "in")))]
    assert found == ["a.mp4", "staying.mp4", "c.mp4"]


def test_chosen_files_only(tmp_path: Path):
    write(tmp_path, {"a.mp4": b"", "a.txt": "A", "b.mp4": b"", "sub/c.mp4": b""})
    source = open_source(f"{tmp_path}/a*.mp4")
    assert [(Path(row["url"]).name, row["caption"]) for row in rows(source)] == [("a.mp4", "A")]
    assert len(rows(open_source(f"{tmp_path}/**/*.mp4"))) == 3


def test_a_folder_on_another_storage():
    for name in ("folder-test/x/a.mp4", "folder-test/x/a.txt"):
        fsspec.filesystem("memory").pipe_file(f"/{name}", b"hello")
    (row,) = rows(open_source("memory:///folder-test"))
    assert row["url"] == row[MEDIA_COLUMN][0]["path"] == "memory:///folder-test/x/a.mp4"
    assert row["caption"] == "hello"
    with fsspec.open(row["url"], "rb") as file:
        assert file.read() == b"hello"


def test_a_folder_that_changed_since_planning_is_noticed(tmp_path: Path):
    source = open_source(write(tmp_path, {"a.mp4": b""}))
    source.schema()
    write(tmp_path, {"b.mp4": b""})
    source = pickle.loads(pickle.dumps(source))
    with pytest.raises(InputError, match=r"had 1 media files .* now has 2"):
        source.read(Part(0, 0, 1))


def test_a_folder_with_nothing_to_read_says_what_it_has(tmp_path: Path):
    with pytest.raises(InputError, match="It is empty"):
        open_source(str(tmp_path))
    write(tmp_path, {"notes.doc": b""})
    with pytest.raises(InputError, match=r"It has: notes\.doc"):
        open_source(str(tmp_path))
    with pytest.raises(InputError, match="no media files"):
        open_source(str(tmp_path), kind="folder").files()


def test_media_beside_tables_have_to_be_chosen(tmp_path: Path):
    write(tmp_path, {"a.mp4": b"", "videos.csv": "url\nx\n"})
    with pytest.raises(InputError, match=r"both media \(a\.mp4\) and tables \(videos\.csv\)"):
        open_source(str(tmp_path))
    assert len(rows(open_source(str(tmp_path), Columns(input_format="folder")))) == 1
