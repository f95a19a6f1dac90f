"""What input strings stand for."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from clipmill.core.errors import InputError, UserError
from clipmill.sources.paths import expand, expand_braces


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{00008..00010}.tar", ["00008.tar", "00009.tar", "00010.tar"]),
        ("{8..10}", ["8", "9", "10"]),
        ("{3..1}", ["3", "2", "1"]),
        ("{0..10..5}", ["0", "5", "10"]),
        ("{a,b}-{1..2}", ["a-1", "a-2", "b-1", "b-2"]),
        ("{x{1..2},y}", ["x1", "y", "x2"]),
        ("{a..c}", ["a", "b", "c"]),
        ("plain{}", ["plain{}"]),
        ("{one}", ["{one}"]),
    ],
)
def test_braces(text, names):
    assert expand_braces(text) == names


def test_braces_do_not_fill_the_memory():
    with pytest.raises(InputError, match="Use \\* instead"):
        expand_braces("{0..99999999999}")


def test_globs_are_sorted_and_leave_out_hidden_files(tmp_path: Path):
    for name in ("b.csv", "a.csv", ".c.csv", "sub/d.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert expand(tmp_path / "*.csv") == [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]
    assert str(tmp_path / "sub" / "d.csv") in expand(f"{tmp_path}/**/*.csv")


def test_a_file_really_called_like_a_pattern_is_that_file(tmp_path: Path):
    for name in ("a[1].csv", "a1.csv", "{x}.csv"):
        (tmp_path / name).touch()
    assert expand(tmp_path / "a[1].csv") == [str(tmp_path / "a[1].csv")]
    assert expand(tmp_path / "{x}.csv") == [str(tmp_path / "{x}.csv")]


def test_relative_home_and_file_paths_become_absolute(tmp_path: Path, monkeypatch):
    (tmp_path / "a.csv").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for given in ("a.csv", "~/a.csv", f"file://{tmp_path}/a.csv"):
        assert expand(given) == [str(tmp_path / "a.csv")]


def test_remote_patterns_become_urls():
    for name in "ab":
        fsspec.filesystem("memory").pipe_file(f"/paths-test/{name}.csv", b"")
    wanted = ["memory:///paths-test/a.csv", "memory:///paths-test/b.csv"]
    assert expand("memory:///paths-test/*.csv") == wanted
    assert expand("memory:///paths-test/{a,b}.csv") == wanted


def test_nothing_there_names_similar_files(tmp_path: Path):
    (tmp_path / "videos.csv").touch()
    with pytest.raises(InputError, match=r"There is nothing at .*video\.csv.*has: videos\.csv"):
        expand(tmp_path / "video.csv")
    with pytest.raises(InputError, match=r"Nothing matches .*\*\.parquet.*has: videos\.csv"):
        expand(tmp_path / "*.parquet")
    with pytest.raises(InputError, match=r"the folder .*nowhere does not exist either"):
        expand(tmp_path / "nowhere" / "a.csv")
    with pytest.raises(InputError, match="empty string"):
        expand("")


def test_secrets_in_urls_are_not_shown():
    with pytest.raises(UserError) as caught:
        expand("nosuchprotocol://user:hunter2@host/a.csv?token=hunter2")
    assert "hunter2" not in str(caught.value)
