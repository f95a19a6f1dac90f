"""Every argument of video2dataset, and the recipe that stands for it."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from clipmill.compat import video2dataset
from clipmill.compat.v2d_arguments import Arguments
from clipmill.compat.v2d_recipe import recipe_of
from clipmill.core.config import parse_config
from clipmill.core.errors import RecipeError

PEER_DEFAULTS = {
    "output_folder": "dataset",
    "output_format": "files",
    "input_format": "csv",
    "encode_formats": None,
    "stage": "download",
    "url_col": "url",
    "caption_col": None,
    "clip_col": None,
    "save_additional_columns": None,
    "enable_wandb": False,
    "wandb_project": "video2dataset",
    "incremental_mode": "incremental",
    "max_shard_retry": 1,
    "tmp_dir": "/tmp",
    "config": "default",
}


def asked(**arguments):
    """The recipe and mode for arguments of the peer, ``url_list`` being there anyhow."""
    given = {"url_list": "videos.csv", **arguments}
    return recipe_of(parse_config(Arguments, given, "video2dataset"))


def recipe(**arguments):
    return asked(**arguments)[0]


def refusal(**arguments):
    with pytest.raises(RecipeError) as caught:
        asked(**arguments)
    assert caught.value.exit_code == 2
    assert "\n" not in caught.value.message
    return caught.value.message


def test_the_function_has_the_peers_arguments_in_order_with_its_defaults():
    parameters = inspect.signature(video2dataset).parameters
    positional = [p for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert [p.name for p in positional] == ["url_list", *PEER_DEFAULTS]
    assert {p.name: p.default for p in positional[1:]} == PEER_DEFAULTS


def test_function_and_command_line_have_the_same_arguments_and_defaults():
    parameters = inspect.signature(video2dataset).parameters
    assert list(parameters) == list(Arguments.model_fields)
    for name, field in Arguments.model_fields.items():
        if name != "url_list":
            assert parameters[name].default == field.default, name


def test_a_bare_call_does_what_the_peers_defaults_say():
    made, mode = asked()
    assert mode == "auto"
    assert made.source.given == ("table", "videos.csv")
    assert made.source.input_format == "csv"
    assert made.source.url_col == "url"
    assert made.source.caption_col is made.source.clip_col is None
    assert made.source.save_additional_columns == ()
    assert made.write.to == "dataset"
    assert made.write.format == "files"
    assert made.write.encode_formats == {"video": "mp4"}
    assert (made.write.samples_per_shard, made.write.shard_digits) == (1000, 5)
    assert made.run.executor == "local"
    assert made.run.wandb is None


def test_url_list_and_output_folder_take_paths():
    made = recipe(url_list=Path("list.parquet"), output_folder=Path("out"))
    assert made.source.given == ("table", "list.parquet")
    assert made.write.to == "out"


def test_url_list_and_output_folder_take_fsspec_urls():
    made = recipe(url_list="memory://in/list.csv", output_folder="s3://bucket/out")
    assert made.source.given == ("table", "memory://in/list.csv")
    assert made.write.to == "s3://bucket/out"


def test_url_list_as_a_folder_stands_for_its_tables_of_the_input_format(tmp_path):
    for input_format in ("csv", "tsv.gz"):
        made = recipe(url_list=tmp_path, input_format=input_format)
        assert made.source.given == ("table", f"{tmp_path}/*.{input_format}")


def test_url_list_as_rows_in_python_is_refused_as_the_peer_does():
    assert "clipmill.download takes rows" in refusal(url_list=["https://example.org/a.mp4"])


@pytest.mark.parametrize("name", ["txt", "csv", "tsv", "tsv.gz", "json", "parquet"])
def test_input_format(name):
    assert recipe(input_format=name).source.input_format == name


def test_input_format_unknown_names_the_nearest():
    assert "'parquet'" in refusal(input_format="parket")


def test_url_col_does_not_count_for_txt_which_has_no_header():
    assert recipe(input_format="txt", url_col="link").source.url_col is None


@pytest.mark.parametrize("name", ["files", "webdataset", "parquet", "tfrecord", "dummy"])
def test_output_format(name):
    assert recipe(output_format=name).write.format == name


def test_output_format_unknown_names_the_nearest():
    assert "'webdataset'" in refusal(output_format="webdatset")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (None, {"video": "mp4"}),
        ({"video": "mp4", "audio": "m4a"}, {"video": "mp4", "audio": "m4a"}),
        ({"audio": "mp3"}, {"audio": "mp3"}),
        ({}, {}),
    ],
)
def test_encode_formats(given, meant):
    assert recipe(encode_formats=given).write.encode_formats == meant


def test_encode_formats_of_optical_flow_belong_to_a_later_stage():
    assert "encode_formats 'optical_flow'" in refusal(encode_formats={"optical_flow": "npy"})


def test_encode_formats_with_a_misspelt_modality_name_the_nearest():
    assert "'video'" in refusal(encode_formats={"vido": "mp4"})


def test_column_arguments():
    source = recipe(
        url_col="link", caption_col="title", save_additional_columns=["id", "licence"]
    ).source
    assert (source.url_col, source.caption_col) == ("link", "title")
    assert source.save_additional_columns == ("id", "licence")


@pytest.mark.parametrize("stage", ["optical_flow", "caption", "whisper"])
def test_later_stages_are_refused_by_name(stage):
    assert f"stage '{stage}'" in refusal(stage=stage)


def test_stage_unknown_names_the_nearest():
    assert "'download'" in refusal(stage="downlaod")


def test_enable_wandb_reports_to_the_project():
    assert recipe(wandb_project="mine").run.wandb is None
    assert recipe(enable_wandb=True).run.wandb == "video2dataset"
    assert recipe(enable_wandb=True, wandb_project="mine").run.wandb == "mine"


@pytest.mark.parametrize(
    ("given", "mode"), [("incremental", "auto"), ("overwrite", "overwrite"), ("extend", "extend")]
)
def test_incremental_mode(given, mode):
    assert asked(incremental_mode=given)[1] == mode


def test_incremental_mode_unknown_names_the_nearest():
    assert "'incremental'" in refusal(incremental_mode="incrementl")


def test_max_shard_retry():
    assert recipe(max_shard_retry=4).run.max_shard_retries == 4


def test_tmp_dir_counts_unless_it_is_the_default():
    assert recipe().run.temp_dir is None
    assert recipe(tmp_dir="/scratch").run.temp_dir == "/scratch"


def test_local_paths_and_private_addresses_are_refused_unless_allowed_by_name():
    assert not recipe().download.allow_local_paths
    assert not recipe().download.allow_private_addresses
    made = recipe(allow_local_paths=True, allow_private_addresses=True)
    assert made.download.allow_local_paths
    assert made.download.allow_private_addresses


def test_publishers_opt_out_is_respected():
    assert recipe().download.respect_opt_out


def test_everything_that_cannot_be_done_is_named_at_once():
    message = refusal(
        stage="caption", encode_formats={"optical_flow": "npy"}, config="optical_flow"
    )
    for name in ("'caption'", "encode_formats 'optical_flow'", "OpticalFlowSubsampler"):
        assert name in message


def test_refused_arguments_write_nothing(tmp_path):
    with pytest.raises(RecipeError, match="stage 'caption'"):
        video2dataset("videos.csv", tmp_path / "out", stage="caption")
    assert list(tmp_path.iterdir()) == []
