"""Recipes: one definition for Python, YAML and the command line, and helpful refusals."""

import pytest

from clipmill.core.config import Config
from clipmill.core.docstrings import field_docs
from clipmill.core.errors import MissingExtra, RecipeError
from clipmill.core.extras import require
from clipmill.core.registry import load, names
from clipmill.run.recipe import Recipe
from clipmill.run.recipe_file import load_recipe
from clipmill.run.settings import SECTIONS, gather


def test_an_unknown_key_is_refused_with_the_nearest_valid_one():
    with pytest.raises(RecipeError, match=r"'write\.samples_per_shards'.*'samples_per_shard'"):
        load_recipe({"write": {"to": "x", "samples_per_shards": 10}})


@pytest.mark.parametrize(
    ("section", "wrong", "right"),
    [("split", "min_second", "min_seconds"), ("render", "shortside", "short_side")],
)
def test_so_is_one_of_a_step_that_a_recipe_may_leave_out(section, wrong, right):
    with pytest.raises(RecipeError, match=f"'{section}.{wrong}'.*'{right}'"):
        load_recipe({"source": {"path": "x"}, section: {wrong: 2}, "write": {"to": "x"}})


def test_an_unknown_option_is_refused_with_the_nearest_valid_one():
    with pytest.raises(RecipeError, match=r"'caption_cols'.*'caption_col'"):
        gather({"caption_cols": "text"})


class Small(Config):
    """Settings."""

    sides: int = 1
    """How many sides
    it has."""
    name: str = ""


class Larger(Small):
    """More settings."""

    weight: float = 1.0
    """In kilograms."""


def test_what_is_written_beneath_a_field_is_its_help():
    assert field_docs(Larger) == {"sides": "How many sides it has.", "weight": "In kilograms."}


def test_every_setting_of_a_recipe_has_a_help():
    for model in SECTIONS.values():
        assert field_docs(model).keys() == model.model_fields.keys()


def test_option_names_are_unique_over_all_sections():
    fields = [name for model in SECTIONS.values() for name in model.model_fields]
    assert len(fields) == len(set(fields))


def test_yaml_python_and_options_make_the_same_recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "source: {table: videos.parquet, caption_col: title}\n"
        "steps:\n"
        "  - download: {max_bytes: 2GB, max_height: 720}\n"
        "  - probe\n"
        "write: {to: out, samples_per_shard: 100}\n"
    )
    options = gather(
        {
            "table": "videos.parquet",
            "caption_col": "title",
            "max_bytes": "2GB",
            "max_height": 720,
            "to": "out",
            "samples_per_shard": 100,
        }
    )
    assert load_recipe(path) == load_recipe(options)
    assert load_recipe(path).fingerprint() == load_recipe(options).fingerprint()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: [downlod]", "'downlod'.*'download'"),
        ("steps: [download, download: {}]", "'download' is given twice"),
        ("steps: [probe, probe]", "twice"),
        ("source: {table: a, folder: b}", "only one of table, folder"),
        ("write: {format: webdatset}", "'webdatset'.*'webdataset'"),
        ("write: {encode_formats: {vidoe: mp4}}", "'vidoe'.*'video'"),
        ("write: {samples_per_shard: 0}", "samples_per_shard"),
        ("download: {max_bytes: lots}", "max_bytes"),
        ("just text", "must have keys"),
        ("a: [", "not YAML"),
    ],
)
def test_wrong_recipes_say_what_is_wrong_and_where(tmp_path, text, message):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_recipe(path)


def test_a_missing_recipe_file_is_a_user_error(tmp_path):
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(tmp_path / "none.yaml")


def test_how_the_work_is_done_is_not_part_of_its_identity():
    plain = load_recipe({"write": {"to": "a"}})
    other = load_recipe({"write": {"to": "b"}, "run": {"workers": 7}, "download": {"retries": 9}})
    content = load_recipe({"write": {"to": "a", "samples_per_shard": 10}})
    assert plain.fingerprint() == other.fingerprint()
    assert plain.fingerprint() != content.fingerprint()


def test_secrets_do_not_reach_the_saved_recipe():
    recipe = Recipe.model_validate(
        {"download": {"headers": {"Authorization": "Bearer s3cret"}, "proxy": "http://u:s3cret@h"}}
    )
    assert "s3cret" not in repr(recipe)
    assert "s3cret" not in str(recipe.public_dump())
    assert "s3cret" not in str(recipe.identity())


def test_names_come_from_entry_points_and_misspelt_ones_are_corrected():
    assert "webdataset" in names("clipmill.formats")
    with pytest.raises(RecipeError, match="Did you mean 'webdataset'"):
        load("clipmill.formats", "web-dataset")


def test_a_missing_library_is_asked_for_with_the_install_line():
    with pytest.raises(MissingExtra, match=r'pip install "clipmill\[ytdlp\]"'):
        require("no_such_module_at_all", extra="ytdlp", used_by="downloading from sites")


def test_secrets_in_the_input_s_url_do_not_reach_the_saved_recipe():
    recipe = load_recipe({"source": {"table": "https://u:s3cret@host/list.csv?token=s3cret"}})
    assert "s3cret" not in str(recipe.public_dump())
