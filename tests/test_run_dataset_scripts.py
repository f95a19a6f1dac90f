"""The parquet of Hugging Face's video-dataset-scripts: read, written, and used as they use it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import clipmill
from clipmill.core.errors import InputError
from clipmill.demo.media import make_video
from clipmill.demo.server import Origin
from clipmill.run.recipe_file import load_recipe
from clipmill.run.runner import run_recipe

NAMES = ["b-Scene-002.mp4", "a-Scene-001.mp4", "a-Scene-003.mp4"]


def crush() -> pd.DataFrame:
    """What the scripts say of three videos: values of up to three frames, as lists."""
    return pd.DataFrame(
        {
            "file": NAMES,
            "frames": [[f"{name[:-4]}_0.jpg"] for name in NAMES],
            "caption": [["a cake", "a cut cake"], ["", "a knife"], ["a can"]],
            "detailed_caption": [["It shows a cake.", "The same."], ["A knife."], ["A can."]],
            "pwatermark": [[0.01, 0.3], [0.2], [0.05, 0.08]],
            "motion_fb": [4.28, -0.42, 0.11],
            "motion_lk": [1.03, 1.35, 0.93],
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``crush/`` and ``crush.parquet`` beside it, as in the scripts' example."""
    place = tmp_path_factory.mktemp("scripts")
    (place / "crush").mkdir()
    for number, name in enumerate(NAMES):
        make_video(place / "crush" / name, seconds=1, fps=25, gop=10, first_number=100 * number)
    make_video(place / "crush" / "not-in-the-table.mp4", seconds=1, fps=25)
    crush().to_parquet(place / "crush.parquet", compression="snappy")
    return place


@pytest.fixture(scope="module")
def raw(folder: Path) -> clipmill.Dataset:
    return clipmill.download(
        folder / "crush.parquet",
        folder / "raw",
        media_folder=str(folder / "crush"),
        caption_col="caption",
        samples_per_shard=2,
        quiet=True,
    )


@pytest.fixture(scope="module")
def again(raw: clipmill.Dataset, folder: Path) -> Path:
    raw.export(folder / "again", format="video-dataset-scripts", samples_per_shard=2, quiet=True)
    return folder / "again"


def test_rows_name_the_videos_of_a_folder(raw, folder):
    rows = raw.table(["url", "status", "caption", "pwatermark"]).to_pylist()
    assert [row["url"] for row in rows] == [str(folder / "crush" / name) for name in NAMES]
    assert [row["caption"] for row in rows] == ["a cake", "a knife", "a can"]
    assert [row["pwatermark"] for row in rows] == [[0.01, 0.3], [0.2], [0.05, 0.08]]
    first = raw.sample(raw.table(["key"])["key"][0].as_py())
    assert first["mp4"] == (folder / "crush" / NAMES[0]).read_bytes()


def test_what_is_written_has_the_same_columns_and_values(again):
    made = pd.read_parquet(again / "videos.parquet")
    known = [name for name in crush() if name not in ("file", "frames")]
    assert made.columns[0] == "file"
    assert "frames" not in made  # their extract_frames.py stops where it is there
    for name in known:
        assert [list(np.atleast_1d(value)) for value in made[name]] == [
            list(np.atleast_1d(value)) for value in crush()[name]
        ]


def test_filters_and_joins_of_the_scripts_work(again):
    """What their README filters by, and how each script adds its columns."""
    df = pd.read_parquet(again / "videos.parquet")
    assert len(df[df.pwatermark.apply(lambda x: np.mean(x) < 0.18)]) == 2
    assert len(df[df.pwatermark.apply(lambda x: x[0] < 0.1)]) == 2
    df = df[df.pwatermark.apply(lambda x: all(i < 0.1 for i in x))]
    assert df.caption.iloc[0][0] == "a can"
    sizes = [{"bytes": (again / row["file"]).stat().st_size} for _, row in df.iterrows()]
    joined = df.reset_index(drop=True).join(pd.DataFrame(sizes))
    assert joined["bytes"][0] > 1000
    assert df[df.motion_fb > 0.1].file.tolist() == df.file.tolist()


def test_a_shard_of_which_nothing_is_left_has_no_videos_in_the_table(folder, tmp_path):
    make_video(tmp_path / "short.mp4", seconds=0.2, fps=25, width=64, height=32)
    videos = [folder / "crush" / NAMES[0], tmp_path / "short.mp4"]
    rows = [{"url": str(path)} for path in videos]
    keep = {"allow_local_paths": True, "samples_per_shard": 1, "quiet": True}
    raw = clipmill.download(rows, tmp_path / "raw", **keep)
    fit = {"trainer": "wan", "buckets": "64x32x9", "samples_per_shard": 1, "quiet": True}
    made = raw.export(tmp_path / "out", format="video-dataset-scripts", **fit)
    assert made.table(["status"])["status"].to_pylist() == ["success", "dropped"]
    df = pd.read_parquet(tmp_path / "out" / "videos.parquet")
    assert df.file.tolist() == ["00000/000000.mp4"]


def test_scores_made_here_have_their_names(raw, folder, tmp_path):
    raw.annotate("motion_legacy", quiet=True)
    made = raw.export(tmp_path / "out", format="video-dataset-scripts", quiet=True)
    df = pd.read_parquet(tmp_path / "out" / "videos.parquet")
    said = raw.table(["motion_legacy.motion_fb", "motion_legacy.motion_lk"]).to_pandas()
    assert df.motion_fb.tolist() == said["motion_legacy.motion_fb"].tolist() != [4.28, -0.42, 0.11]
    assert df.motion_lk.tolist() == said["motion_legacy.motion_lk"].tolist()
    assert clipmill.open(made.folder.url).table(["motion_fb"]).num_rows == 3


def test_a_table_filtered_by_pandas_is_split_where_its_videos_lie(again, tmp_path):
    df = pd.read_parquet(again / "videos.parquet")
    df[df.motion_fb > 0].to_parquet(tmp_path / "smol.parquet")
    recipe = {
        "source": {"path": str(tmp_path / "smol.parquet"), "media_folder": str(again)},
        "steps": [{"split": {"detector": "stride", "stride_seconds": 0.5}}],
        "write": {"to": str(tmp_path / "clips")},
    }
    run_recipe(load_recipe(recipe), quiet=True)
    clips = clipmill.open(tmp_path / "clips")
    places = {row["source_media"][0]["path"] for row in clips.table(["source_media"]).to_pylist()}
    assert places == set(df[df.motion_fb > 0].file)  # seen from the folder, so that it may move
    moved = again.rename(again.with_name("moved"))
    clips.annotate("packets", parent=str(moved), quiet=True)
    moved.rename(again)
    assert clips.table(["packets.status"]).column(0).to_pylist() == ["success"] * 4


def test_names_that_lead_elsewhere_are_judged_like_any_url(folder, tmp_path):
    with Origin(folder / "crush") as origin:
        names = ["../raw/00000.tar", "/etc/passwd", "gone.mp4", origin.url(NAMES[0]), None]
        pd.DataFrame({"file": names}).to_parquet(tmp_path / "names.parquet")
        data = clipmill.download(
            tmp_path / "names.parquet",
            tmp_path / "raw",
            media_folder=str(folder / "crush"),
            allow_private_addresses=True,
            quiet=True,
        )
    classes = data.table(["error_class"])["error_class"].to_pylist()
    assert classes == ["local_path_refused", "local_path_refused", "not_found", None, "invalid_url"]


def test_a_folder_may_be_one_on_the_web(folder, tmp_path):
    with Origin(folder / "crush") as origin:
        data = clipmill.download(
            folder / "crush.parquet",
            tmp_path / "raw",
            media_folder=origin.url(""),
            allow_private_addresses=True,
            quiet=True,
        )
    assert data.stats["00000"]["successes"] == 3


def test_a_folder_that_is_not_there_or_not_needed_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match=r"media_folder: .*gone is no folder"):
        clipmill.download(
            folder / "crush.parquet", tmp_path / "a", media_folder=str(folder / "gone"), quiet=True
        )
    with pytest.raises(InputError, match="media_folder is for tables"):
        clipmill.download(
            folder / "crush", tmp_path / "b", media_folder=str(folder / "crush"), quiet=True
        )
