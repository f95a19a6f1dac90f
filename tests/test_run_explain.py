"""What a recipe will do is told before it is done."""

import json

import pytest

import clipmill
from clipmill.core.errors import MissingExtra, RecipeError
from clipmill.demo.media import make_video
from clipmill.run.explain import explain
from clipmill.run.ready import find_recipe, ready_names
from clipmill.run.recipe_file import load_recipe
from clipmill.run.runner import run_recipe


@pytest.fixture
def videos(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    make_video(folder / "a.mp4", seconds=1)
    return str(folder)


def told(videos, tmp_path, **steps):
    recipe = {"source": {"path": videos}, "write": {"to": str(tmp_path / "out")}, **steps}
    found = explain(load_recipe(recipe))
    return found.fetches, found.decodes, found.encodes


@pytest.mark.parametrize(
    ("steps", "costs"),
    [
        ({}, (0, (0, 0), 0)),
        ({"split": {}}, (0, (1, 1), 0)),
        ({"split": {"detector": "stride", "stride_seconds": 2}}, (0, (0, 0), 0)),
        ({"split": {}, "render": {}}, (0, (1, 2), 1)),
        ({"split": {}, "render": {"crop": "letterbox"}}, (0, (2, 2), 1)),
        ({"split": {}, "render": {"precision": "copy"}}, (0, (1, 1), 0)),
        ({"render": {"short_side": 64}}, (0, (1, 1), 1)),
        ({"split": {}, "where": "clip_index = 0", "render": {}}, (0, (1, 2), 1)),
        ({"split": {}, "annotate": "motion", "render": {}}, (0, (1, 3), 1)),
        ({"split": {}, "annotate": "motion", "where": "motion.mean > 0"}, (0, (1, 2), 0)),
        ({"split": {"fast": True}, "annotate": "motion", "render": {}}, (0, (2, 3), 1)),
        ({"split": {}, "annotate": "packets", "render": {}}, (0, (3, 3), 1)),
        ({"annotate": "motion", "where": "motion.mean > 0", "render": {}}, (0, (1, 2), 1)),
    ],
)
def test_what_each_source_costs(videos, tmp_path, steps, costs):
    assert told(videos, tmp_path, **steps) == costs
    assert not (tmp_path / "out").exists()


def test_sources_that_stay_whole_and_images_are_told_of(videos, tmp_path):
    steps = {"split": {"keep_whole": True}, "render": {"images": "first"}}
    write = {"to": str(tmp_path / "out"), "encode_formats": {}}
    found = explain(load_recipe({"source": {"path": videos}, **steps, "write": write}))
    assert found.steps[2] == "find cuts by content and keep them; no clips"
    assert found.steps[-1] == "write images"


def test_lengths_and_settings_are_told_as_they_were_given(videos, tmp_path):
    def steps(split, **render):
        recipe = {"source": {"path": videos}, "write": {"to": str(tmp_path / "out")}}
        return explain(load_recipe({**recipe, "split": split, "render": render})).steps

    assert steps({})[2] == "split by content: clips of any length"
    both = steps({"min_seconds": 2, "max_seconds": 10}, crf=22)
    assert both[2] == "split by content: clips of 2 s or longer, 10 s at the most"
    assert both[3] == "render (crf 22)"


def test_what_lies_on_disk_meanwhile(videos, tmp_path):
    raw = str(tmp_path / "raw")
    clipmill.download(videos, raw, quiet=True)

    def temporary(place, **steps):
        recipe = {"source": {"path": place}, "write": {"to": str(tmp_path / "out")}, **steps}
        return explain(load_recipe(recipe)).temporary

    assert temporary(videos, split={}) == temporary(raw, split={}) == "nothing"
    assert temporary(raw, split={}, render={}) == "its clips, until its rows are written"
    assert temporary(raw).startswith("a copy of the source, until")
    table = str(tmp_path / "table")
    clipmill.download(videos, table, format="parquet", quiet=True)
    assert temporary(table, split={}).startswith("a copy of the source, until")


def test_links_are_fetched_once(tmp_path):
    table = tmp_path / "links.csv"
    table.write_text("url\nhttps://example.org/a.mp4\n")
    assert told(str(table), tmp_path, split={}, render={}) == (1, (1, 2), 1)


@pytest.mark.parametrize("name", ready_names())
def test_ready_recipes_run_as_they_are(name, videos, tmp_path):
    recipe = find_recipe(name, videos, str(tmp_path / "out"))
    assert explain(recipe).rows == 1
    assert run_recipe(recipe, quiet=True).exit_code == 0
    assert json.loads((tmp_path / "out" / "00000_stats.json").read_text())["input_rows"] == 1


def test_a_recipe_that_is_not_there_is_told_with_the_nearest_name():
    with pytest.raises(RecipeError, match="Did you mean 'scenes'"):
        find_recipe("scens")


def test_a_detector_that_is_not_there_is_refused_before_anything_is_written(videos, tmp_path):
    with pytest.raises(RecipeError, match="Did you mean 'adaptive'"):
        told(videos, tmp_path, split={"detector": "adaptiv"})
    with pytest.raises(RecipeError, match="Did you mean 'threshold'"):
        told(videos, tmp_path, split={"detector_options": {"thresold": 3}})
    assert not (tmp_path / "out").exists()


def test_a_library_that_is_missing_is_told_before_anything_is_written(
    videos, tmp_path, monkeypatch
):
    monkeypatch.setattr("importlib.util.find_spec", lambda module: None)
    with pytest.raises(MissingExtra, match=r'pip install "clipmill\[scenes\]"'):
        told(videos, tmp_path, split={"detector": "content"})
    assert not (tmp_path / "out").exists()


def test_a_folder_of_the_same_name_does_not_hide_a_ready_recipe(tmp_path, monkeypatch):
    (tmp_path / "scenes").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_recipe("scenes", "videos", "scenes").render is not None
