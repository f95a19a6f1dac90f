"""video2dataset's sizes, frame rates, images and subtitles, carried out, also on what is there."""

from __future__ import annotations

import json
import tarfile

import av
import pandas as pd
import pytest

from clipmill.compat.v2d_config import BUNDLED
from clipmill.demo.media import make_video
from clipmill.demo.server import Origin
from compat_runs import ONE_PROCESS, again, configured, run
from media_clips import numbers
from scene_media import scenes, write_pictures

BOTH = {"video": "mp4", "audio": "m4a"}
CUES = """WEBVTT

00:00.500 --> 00:01.000
{0} one

00:01.200 --> {1}
{0} two
"""
PAGE = """<html><head><title>A page</title></head><body><video src="a.mp4">
<track kind="subtitles" srclang="en" src="en.vtt">
<track kind="subtitles" srclang="de" src="de.vtt"></video></body></html>
"""
SITE = {
    "yt_args": {
        "yt_metadata_args": {"writesubtitles": "all", "subtitleslangs": ["en", "de"]},
    }
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with a.mp4 (2 s, sound), its page with subtitles, and other shapes of video."""
    folder = tmp_path_factory.mktemp("served")
    make_video(folder / "a.mp4", seconds=2, gop=10)
    make_video(folder / "portrait.mp4", seconds=1, width=96, height=160)
    write_pictures(folder / "scenes.mp4", scenes([110, 20], size=(160, 90)))
    (folder / "page.html").write_text(PAGE)
    (folder / "en.vtt").write_text(CUES.format("hello", "00:01.800"))
    (folder / "de.vtt").write_text(CUES.format("hallo", "00:01.500"))
    return folder


@pytest.fixture(scope="module")
def served(files):
    with Origin(files) as running:
        yield running


def black_rows_and_columns(path):
    """How many rows at the upper edge and columns at the left edge of a picture are black."""
    with av.open(str(path)) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="gray")
    dark = picture < 24
    rows = next((n for n, row in enumerate(dark) if not row.all()), len(dark))
    columns = next((n for n, column in enumerate(dark.T) if not column.all()), len(dark.T))
    return rows, columns


# Sizes and sound


@pytest.fixture(scope="module")
def framed(served, tmp_path_factory):
    """A landscape and a portrait in squares of 128 pixels, and their sound at 16 kHz."""
    output = tmp_path_factory.mktemp("framed") / "out"
    subsamplers = {
        "Resolution": {"args": {"video_size": 128, "resize_mode": "scale,crop,pad"}},
        "AudioRate": {"args": {"sample_rate": 16000, "encode_format": "m4a"}},
        "FFProbe": {"args": {"extract_keyframes": True}},
    }
    rows = [{"url": "a.mp4"}, {"url": "portrait.mp4"}]
    return output, run(served, output, rows, subsamplers, encode_formats=BOTH)


def test_b1_b5_sizes_and_sound_of_any_shape_in_stage_download(framed):
    output, table = framed
    assert list(table["key"]) == ["00000000", "00000001"]
    assert list(table["status"]) == ["success", "success"]
    for key in table["key"]:
        with av.open(str(output / "00000" / f"{key}.m4a")) as container:
            assert container.streams.audio[0].rate == 16000
    assert numbers(output / "00000" / "00000000.mp4") == list(range(20))


def test_a15_pads_evenly_on_both_sides_and_records_where(framed):
    output, table = framed
    portrait = table["rendered"][1]["geometry"]
    assert (portrait["scaled_width"], portrait["scaled_height"]) == (76, 128)
    assert (portrait["pad_left"], portrait["pad_top"]) == (26, 0)
    _, columns = black_rows_and_columns(output / "00000" / "00000001.mp4")
    assert abs(columns - 26) <= 1


def test_a16_what_is_told_of_a_clip_is_true_of_its_own_file(framed):
    _, table = framed
    for probe, rendered in zip(table["probe"], table["rendered"], strict=True):
        assert (probe["video"]["width"], probe["video"]["height"]) == (128, 128)
        assert rendered["encoder"] == "libx264"
    assert table["rendered"][0]["geometry"]["source_width"] == 128
    assert table["rendered"][1]["geometry"]["source_height"] == 160


def test_key_frames_of_the_sources_are_kept_with_the_sources(framed):
    output, table = framed
    sources = pd.read_parquet(output / "_sources" / "00000.parquet")
    assert list(sources["probe"][0]["video"]["keyframe_seconds"]) == [0, 1]
    assert "cuts" not in table.columns


def test_c3_a_file_that_fails_under_several_subsamplers_fails_once_with_its_reason(
    served, tmp_path
):
    subsamplers = {
        "Resolution": {"args": {"height": 48, "resize_mode": "scale"}},
        "Frame": {"args": {"frame_rate": 5}},
    }
    rows = [{"url": "en.vtt"}, {"url": "a.mp4"}]
    table = run(served, tmp_path / "out", rows, subsamplers)
    assert list(table["status"] == "success") == [False, True]
    assert table["error_message"][0]
    assert table["rendered"][1]["frame_count"] == 10


# Images in place of video


@pytest.mark.parametrize(
    ("method", "images"),
    [("first_frame", {"jpg": 0}), ("keyframe", {"000.jpg": 0, "001.jpg": 10})],
)
def test_b13_a11_images_are_images_and_counted(served, tmp_path, method, images):
    args = {"frame_rate": 1, "downsample_method": method}
    table = run(served, tmp_path / "out", [{"url": "a.mp4"}], {"Frame": {"args": args}})
    assert list(table["status"]) == ["success"]
    folder = tmp_path / "out" / "00000"
    assert sorted(path.name for path in folder.iterdir()) == [
        *(f"00000000.{end}" for end in images),
        "00000000.json",
    ]
    for end, number in images.items():
        path = folder / f"00000000.{end}"
        assert path.read_bytes()[:2] == b"\xff\xd8"
        assert numbers(path) == [number]
    stats = json.loads((tmp_path / "out" / "00000_stats.json").read_text())
    assert (stats["count"], stats["successes"]) == (1, 1)


# Subtitles


@pytest.fixture(scope="module")
def subtitled(served, tmp_path_factory):
    """A page's video as it is, with its subtitles in two languages."""
    pytest.importorskip("yt_dlp")
    output = tmp_path_factory.mktemp("subtitled") / "out"
    config = configured({}, reading=SITE)
    run(served, output, [{"url": "page.html"}], {}, config=config)
    return output


def test_a10_captions_are_the_lines_themselves(served, tmp_path):
    pytest.importorskip("yt_dlp")
    config = configured({}, {"captions_are_subtitles": True}, reading=SITE)
    table = run(served, tmp_path / "out", [{"url": "page.html"}], {}, config=config)
    assert list(table["caption"]) == ["hello one", "hello two"]
    texts = [(tmp_path / "out/00000" / f"{key}.txt").read_text() for key in table["key"]]
    assert texts == ["hello one", "hello two"]


def test_b4_stage_subset_cuts_along_subtitles_whatever_other_languages_say(subtitled, tmp_path):
    exact = {"Clipping": {"args": {"precision": "exact"}}}
    table = again(subtitled, tmp_path / "out", exact, {"captions_are_subtitles": True})
    assert list(table["caption"]) == ["hello one", "hello two"]
    assert [row["frame_count"] for row in table["rendered"]] == [5, 6]
    assert {line["language"] for line in table["subtitles"][1]} == {"en", "de"}


def test_yt_subtitle_gives_an_image_for_each_line(subtitled, tmp_path):
    args = {"frame_rate": 1, "downsample_method": "yt_subtitle"}
    again(subtitled, tmp_path / "out", {"Frame": {"args": args}})
    names = sorted(path.name for path in (tmp_path / "out/00000").glob("*.jpg"))
    assert names == ["00000000.000.jpg", "00000000.001.jpg"]
    assert numbers(tmp_path / "out/00000/00000000.000.jpg") == [5]


# Whole configurations, on shards that are there


@pytest.fixture
def peers_shards(files, tmp_path):
    """Two shards as the peer writes them: a table, and a tar with json and txt of every sample."""
    folder = tmp_path / "peers"
    folder.mkdir()
    for shard, names in (("00000", ["a.mp4", "portrait.mp4"]), ("00001", ["scenes.mp4"])):
        rows = []
        with tarfile.open(folder / f"{shard}.tar", "w") as tar:
            for number, name in enumerate(names):
                key = f"{shard}{number:03d}"
                row = {"url": f"https://example.org/{name}", "key": key, "status": "success"}
                # The last two are columns of ours by name, and here somebody else's.
                more = {"error_message": None, "cuts": "none", "subtitles": "none"}
                rows.append({"caption": f"it is {name}", **row, **more})
                told = tmp_path / f"{key}.json"
                told.write_text(json.dumps({**rows[-1], "video_metadata": {}}))
                (tmp_path / "text").write_text(f"it is {name}")
                tar.add(files / name, f"{key}.mp4")
                tar.add(tmp_path / "text", f"{key}.txt")
                tar.add(told, told.name)
        pd.DataFrame(rows).to_parquet(folder / f"{shard}.parquet")
        (folder / f"{shard}_stats.json").write_text("{}")
    return folder


@pytest.mark.parametrize("place", ["", "/{00000..00001}.tar"])
def test_b2_stage_subset_works_on_the_peers_shards_and_keeps_their_keys(
    peers_shards, tmp_path, place
):
    slow = {"Frame": {"args": {"frame_rate": 5}}}
    table = again(f"{peers_shards}{place}", tmp_path / "out", slow)
    assert list(table["key"]) == ["00000000", "00000001", "00001000"]
    assert list(table["caption"]) == ["it is a.mp4", "it is portrait.mp4", "it is scenes.mp4"]
    assert [row["frame_count"] for row in table["rendered"]] == [10, 5, 26]
    assert set(table["input_subtitles"]) == set(table["input_cuts"]) == {"none"}
    assert numbers(tmp_path / "out/00000/00000000.mp4") == list(range(0, 20, 2))


def test_b2_bundled_downsample_ml_runs_in_both_stages(served, tmp_path):
    rows, bundled = [{"url": "scenes.mp4"}], {**BUNDLED["downsample_ml"], **ONE_PROCESS}
    one = run(served, tmp_path / "one", rows, {}, config=bundled)
    run(served, tmp_path / "raw", rows, {})
    two = again(tmp_path / "raw", tmp_path / "two", {}, config=bundled)
    for table in (one, two):
        assert list(table["key"]) == ["00000000_00000"]
        assert table["span"][0]["end_seconds"] == 4.4
        video = table["probe"][0]["video"]
        assert (video["width"], video["height"], video["average_frame_rate"]) == (224, 224, 5)
        assert table["rendered"][0]["frame_count"] == 22


def test_stage_subset_takes_what_is_there_and_fetches_nothing_again(files, tmp_path):
    (tmp_path / "told.json").write_text('{"url": "https://example.org/a.mp4"}')
    with tarfile.open(tmp_path / "00000.tar", "w") as tar:
        tar.add(tmp_path / "told.json", "00000000.json")  # a failure, as the peer leaves it
        tar.add(tmp_path / "told.json", "00000001.json")
        tar.add(files / "a.mp4", "00000001.mp4")
    table = again(tmp_path / "00000.tar", tmp_path / "out", {})
    assert list(table["key"]) == ["00000001"]
    assert list(table["status"]) == ["success"]
