"""``clipmill video2dataset``: the command line of the peer."""

from __future__ import annotations

import sys

import pytest

from clipmill.cli import main
from clipmill.cli.video2dataset import read_words, run
from clipmill.compat.v2d_arguments import Arguments
from clipmill.core.config import parse_config
from clipmill.core.docstrings import field_docs
from clipmill.core.errors import RecipeError


def read(*words):
    return parse_config(Arguments, read_words(list(words), Arguments), "video2dataset")


def clipmill(*words):
    """What ``clipmill`` exits with for these words."""
    sys.argv = ["clipmill", *words]
    with pytest.raises(SystemExit) as ending:
        main.main()
    return ending.value.code


@pytest.fixture(autouse=True)
def _own_argv(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["clipmill"])


@pytest.mark.parametrize(
    "words",
    [
        ["--url_list=list.csv", "--output_folder=out"],
        ["--url-list=list.csv", "--output-folder=out"],
        ["--url_list", "list.csv", "--output-folder", "out"],
        ["list.csv", "out"],
        ["list.csv", "--output_folder=out"],
        ["--output_folder=out", "list.csv"],
    ],
)
def test_options_in_every_way_the_peer_takes_them(words):
    read_back = read(*words)
    assert (read_back.url_list, read_back.output_folder) == ("list.csv", "out")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ('{"video":"mp4","audio":"m4a"}', {"video": "mp4", "audio": "m4a"}),
        ("{'video': 'mp4'}", {"video": "mp4"}),
        ("{video: mp4, audio: m4a}", {"video": "mp4", "audio": "m4a"}),
        ("{}", {}),
        ("None", None),
    ],
)
def test_encode_formats_as_a_literal(text, meant):
    assert read("list.csv", f"--encode_formats={text}").encode_formats == meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("[videoid,page_dir]", ("videoid", "page_dir")),
        ("['video id', \"b\"]", ("video id", "b")),
        ('["a,b","c"]', ("a,b", "c")),
        ("[page-dir, 2]", ("page-dir", "2")),
        ("(a,b)", ("a", "b")),
        ("a,b", ("a", "b")),
        ("[]", ()),
        ("None", None),
    ],
)
def test_save_additional_columns_as_a_literal(text, meant):
    assert read("list.csv", f"--save_additional_columns={text}").save_additional_columns == meant


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["--enable_wandb"], True),
        (["--enable_wandb=True"], True),
        (["--enable_wandb", "False"], False),
        (["--noenable_wandb"], False),
        (["--no-enable-wandb"], False),
        (["--enable_wandb", "--wandb_project=p"], True),
    ],
)
def test_switches(words, meant):
    assert read("list.csv", *words).enable_wandb is meant


def test_values_keep_their_text_where_text_is_meant():
    read_back = read("list.csv", "--url_col=1", "--caption_col=None", "--wandb_project=007")
    assert (read_back.url_col, read_back.caption_col) == ("1", None)
    assert read_back.wandb_project == "007"


def test_config_as_a_name_a_path_or_a_literal():
    assert read("list.csv", "--config=default").config == "default"
    assert read("list.csv", "--config=a/b.yaml").config == "a/b.yaml"
    literal = '--config={"storage":{"number_sample_per_shard":5}}'
    assert read("list.csv", literal).config == {"storage": {"number_sample_per_shard": 5}}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["list.csv", "--outputfolder=out"], "'output_folder'"),
        (["list.csv", "--number_sample_per_shard=5"], "storage.number_sample_per_shard"),
        (["list.csv", "--processes_count", "5"], "distribution.processes_count"),
        (["list.csv", "--url_list=other.csv"], "url_list is given twice|one value too many"),
        (["--url_list"], "--url_list=VALUE"),
        (["--output_folder=out"], "needs --url_list"),
        (["list.csv", "--max_shard_retry=often"], "max_shard_retry"),
        (["list.csv", "--encode_formats={video}"], "':'"),
        (["list.csv", "--save_additional_columns=[a"], "']'"),
        ([str(number) for number in range(30)], "one value too many"),
    ],
)
def test_wrong_command_lines_say_what_is_wrong(words, message):
    with pytest.raises(RecipeError, match=message):
        run(words)


def test_help_tells_every_argument(capsys):
    assert run(["--help"]) == 0
    told = capsys.readouterr().out
    words = " ".join(told.split())
    for name in Arguments.model_fields:
        assert f"--{name}" in told
        assert field_docs(Arguments)[name] in words


def test_the_command_is_one_of_clipmills(capsys):
    assert clipmill("video2dataset", "--help") == 0
    assert "--save_additional_columns" in capsys.readouterr().out


def test_a_refusal_is_one_paragraph_and_exit_status_2(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert clipmill("video2dataset", "list.csv", "--stage=caption") == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("Error: clipmill does not do yet: stage 'caption'")
    assert told.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
