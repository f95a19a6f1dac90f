"""Exports of selections: which rows come, in which order, and what comes along of steps."""

import io
import json
import shutil
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import clipmill
from clipmill.core.config import parse_config
from clipmill.core.errors import InputError, OutputError, RecipeError
from clipmill.core.sample import Sample
from clipmill.dataset.selection import SELECTIONS_FOLDER
from clipmill.demo.media import make_video
from clipmill.run import shard_columns
from clipmill.run.clips import Clip
from clipmill.run.recipe import Recipe
from clipmill.run.result_rows import clip_row, json_row
from clipmill.run.retry import retry_dataset
from clipmill.run.rows import shard_table, table_schema
from clipmill.run.worked import Worked
from clipmill.sources.base import Part
from clipmill.sources.samples import SampleSource
from select_data import FLOAT, MOTION, motion, write_cells, write_shard

PICTURE = pa.schema([("luminance", pa.struct([("mean", FLOAT), ("values", pa.list_(FLOAT))]))])


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    """Four virtual clips in two shards."""
    folder = tmp_path_factory.mktemp("export")
    (folder / "videos").mkdir()
    for number in range(4):
        path = folder / "videos" / f"{number}.mp4"
        make_video(path, seconds=0.4, fps=10, first_number=10 * number)
    raw = clipmill.download(folder / "videos", folder / "raw", samples_per_shard=2, quiet=True)
    raw.split(folder / "clips", detector="whole", samples_per_shard=2, quiet=True)
    return folder / "clips"


@pytest.fixture
def clips(split, tmp_path):
    """The clips with cells of two steps; one of them failed on one clip."""
    folder = tmp_path / "clips"
    shutil.copytree(split, folder)
    first, second = clipmill.open(folder).shards
    cells = {first: [motion(0.5), None], second: [motion(0.1), motion(0.9)]}
    write_cells(folder, "motion-aaaaaa", 1, MOTION, cells)
    light = [{"luminance": {"mean": number / 10, "values": [0.5]}} for number in range(4)]
    write_cells(folder, "picture-bbbbbb", 2, PICTURE, {first: light[:2], second: light[2:]})
    return clipmill.open(folder)


def rows(dataset, *columns):
    return dataset.table(["key", *columns]).to_pylist()


def test_a_selection_is_exported_under_its_keys_in_the_datasets_order(clips, tmp_path):
    best = clips.select(
        "motion.mean > 0.2", name="best", order="motion.mean desc", weight="motion.mean * 2"
    )
    made = best.export(tmp_path / "out", quiet=True)
    found = rows(made, "weight", "motion_mean", "picture_luminance_mean", "status")
    assert [row["key"] for row in found] == ["000000_00000", "000011_00000"]
    assert [row["weight"] for row in found] == pytest.approx([1.0, 1.8], rel=1e-6)
    assert [row["motion_mean"] for row in found] == pytest.approx([0.5, 0.9], rel=1e-6)
    assert [row["picture_luminance_mean"] for row in found] == pytest.approx([0.0, 0.3])
    assert {row["status"] for row in found} == {"success"}


def test_the_description_tells_of_the_selection(clips, tmp_path):
    clips.select("motion.mean > 0.2", name="best").export(tmp_path / "out", quiet=True)
    told = json.loads((tmp_path / "out" / "dataset.json").read_text())["inputs"][0]
    assert told["columns"] == ["motion-aaaaaa", "picture-bbbbbb"]
    chosen = told["selection"]
    assert (chosen["name"], chosen["rows"]) == ("best", 2)
    assert chosen["query"] == "motion.mean > 0.2"
    assert len(chosen["fingerprint"]) == 12
    assert chosen["funnel"]


def test_columns_are_chosen_by_step_column_or_field(clips, tmp_path):
    def carried(name, columns):
        made = clips.export(tmp_path / name, columns=columns, quiet=True)
        return [n for n in made.schema(made.shards[0]).names if n.startswith(("motion", "pict"))]

    assert carried("a", "motion") == ["motion_mean"]
    assert carried("b", "picture.luminance") == ["picture_luminance_mean"]
    assert carried("c", ["motion.values", "motion"]) == ["motion_values", "motion_mean"]
    assert carried("d", "none") == []
    assert carried("e", None) == ["motion_mean", "picture_luminance_mean"]
    with pytest.raises(InputError, match="no column 'motoin' of a step"):
        clips.export(tmp_path / "f", columns="motoin", quiet=True)


def test_an_earlier_choice_of_settings_is_taken_along_under_its_fingerprint(clips, tmp_path):
    first, second = clips.shards
    later = {first: [motion(0.3), motion(0.3)], second: [motion(0.3), motion(0.3)]}
    write_cells(clips.folder.local(), "motion-cccccc", 3, MOTION, later)
    both = ["motion_aaaaaa", "motion.mean"]
    made = clips.export(tmp_path / "a", columns=both, quiet=True)
    found = rows(made, "motion_aaaaaa_mean", "motion_mean")
    assert [row["motion_aaaaaa_mean"] for row in found][:2] == [0.5, None]
    assert [row["motion_mean"] for row in found] == pytest.approx([0.3] * 4)
    with pytest.raises(InputError, match="no column 'motion_dddddd' of a step"):
        clips.export(tmp_path / "b", columns="motion_dddddd", quiet=True)


FLOW_KEYS = {
    *("mean_optical_flow_magnitude", "mean_optical_flow_magnitude_per_frame"),
    *("optical_flow_fps", "optical_flow_downsample_size", "optical_flow_dtype"),
}
"""What video2dataset's stage optical_flow writes into the JSON of a sample."""


@pytest.fixture(scope="module")
def flows(split, tmp_path_factory):
    pytest.importorskip("cv2")
    folder = tmp_path_factory.mktemp("flow") / "clips"
    shutil.copytree(split, folder)
    clips = clipmill.open(folder)
    clips.annotate({"flow": {"fps": 10, "dtype": "fp32"}}, quiet=True)
    return clips


@pytest.mark.parametrize("layout", ["webdataset", "files", "parquet"])
def test_flow_becomes_npy_files_with_the_keys_of_video2dataset(flows, tmp_path, layout):
    made = flows.export(tmp_path / "out", columns="flow", format=layout, quiet=True)
    assert {row["status"] for row in rows(made, "status")} == {"success"}
    cells = {row["key"]: row for row in flows.table(["key", "flow"]).to_pylist()}
    for key, cell in cells.items():
        sample = made.sample(key)
        assert sample["npy"] == cell["flow"]["npy"]
        array = np.load(io.BytesIO(sample["npy"]), allow_pickle=False)
        assert (array.shape, array.dtype) == ((3, 16, 22, 2), np.float32)
        assert sample.keys() >= FLOW_KEYS
    assert "flow_npy" not in made.schema(made.shards[0]).names
    if layout == "files":
        told = json.loads((tmp_path / "out" / "00000" / "000000_00000.json").read_text())
        assert told.keys() >= FLOW_KEYS
        assert told["optical_flow_dtype"] == "fp32"
        assert told["optical_flow_downsample_size"] == [16, 22]
        assert "npy" not in told
    if layout == "webdataset":
        with tarfile.open(tmp_path / "out" / "00000.tar") as tar:
            names = [name.partition(".")[2] for name in tar.getnames()]
        assert names == ["mp4", "npy", "json"] * 4


def test_by_default_numbers_of_the_flow_come_along_and_no_arrays(flows, tmp_path):
    made = flows.export(tmp_path / "out", quiet=True)
    names = set(made.schema(made.shards[0]).names)
    plain = ("mean_optical_flow_magnitude", "optical_flow_fps", "optical_flow_dtype")
    assert FLOW_KEYS & names == set(plain)
    assert "npy" not in made.sample("000000_00000")


def test_a_sample_whose_array_is_missing_fails_and_the_others_are_made(clips, tmp_path):
    first, second = clips.shards
    kind = pa.schema([("npy", pa.large_binary())])
    cells = {first: [{"npy": b"one"}, None], second: [{"npy": b"three"}, {"npy": b"four"}]}
    write_cells(clips.folder.local(), "depth-dddddd", 4, kind, cells)
    made = clips.export(tmp_path / "out", columns="depth", quiet=True)
    found = rows(made, "status", "error_class")
    assert [row["error_class"] for row in found] == [None, "member_missing", None, None]
    assert found[1]["status"] == "failed_to_process"
    assert made.sample("000011_00000")["npy"] == b"four"
    write_cells(clips.folder.local(), "normals-eeeeee", 5, kind, cells)
    with pytest.raises(InputError, match=r"depth\.npy and normals\.npy would both become"):
        clips.export(tmp_path / "again", columns=["depth", "normals"], quiet=True)


def test_large_cells_are_written_in_groups_so_that_one_is_read_quickly(tmp_path):
    table = pa.table({"key": ["a", "b", "c"], "npy": pa.array([bytes(8 << 20)] * 3)})
    shard_columns.write_cells(table, tmp_path / "large.parquet")
    assert pq.ParquetFile(tmp_path / "large.parquet").num_row_groups > 1
    shard_columns.write_cells(table.select(["key"]), tmp_path / "small.parquet")
    assert pq.ParquetFile(tmp_path / "small.parquet").num_row_groups == 1


def test_cells_that_failed_are_null_and_the_json_member_has_the_others(clips, tmp_path):
    made = clips.export(tmp_path / "out", format="files", quiet=True)
    assert [row["motion_mean"] for row in rows(made, "motion_mean")][1] is None
    member = tmp_path / "out" / "00000" / "000000_00000.json"
    assert json.loads(member.read_text())["motion_mean"] == pytest.approx(0.5)


def test_cells_of_rows_that_changed_since_are_not_taken(clips, tmp_path):
    shard = clips.shards[1]
    stats = clips.folder.local(f"{shard}_stats.json")
    stats.write_text(json.dumps({**json.loads(stats.read_text()), "again": 1}))
    table = pq.read_table(clips.folder.local(f"{shard}.parquet"))
    uids = pa.array(["another", *table["uid"].to_pylist()[1:]])
    changed = table.set_column(table.schema.get_field_index("uid"), "uid", uids)
    pq.write_table(changed, clips.folder.local(f"{shard}.parquet"))
    made = clipmill.open(clips.folder.url).export(tmp_path / "out", quiet=True)
    values = [row["motion_mean"] for row in rows(made, "motion_mean")]
    assert values[2] is None
    assert values[3] == pytest.approx(0.9)


def test_the_same_command_goes_on_and_another_choice_is_another_input(clips, tmp_path):
    best = clips.select("motion.mean > 0.2", name="best")
    best.export(tmp_path / "out", quiet=True)
    best.export(tmp_path / "out", quiet=True)  # nothing to do
    clips.select("motion.mean > 0.6", name="best", overwrite=True)
    with pytest.raises(OutputError, match="made from another input"):
        clips.export(tmp_path / "out", selection="best", quiet=True)
    write_cells(
        clips.folder.local(), "motion-cccccc", 3, MOTION, {clips.shards[0]: [motion(1), motion(2)]}
    )
    with pytest.raises(OutputError, match="made from another input"):
        best.export(tmp_path / "out", quiet=True)


def test_an_export_is_extended_by_the_clips_that_its_parent_got_since(tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    parts = {"detector": "stride", "stride_seconds": 0.2, "min_seconds": 0.1}

    def made_of(number, mode):
        make_video(videos / f"{number}.mp4", seconds=0.4, fps=10, first_number=10 * number)
        raw = clipmill.download(videos, tmp_path / "raw", mode=mode, quiet=True)
        clips = raw.split(tmp_path / "clips", mode=mode, quiet=True, **parts)
        return clips.export(tmp_path / "out", mode=mode, quiet=True)

    made_of(0, "auto")
    made_of(1, "extend")
    found = rows(made_of(2, "extend"), "status", "uid")
    sources = ["00000000", "00001000", "00002000"]
    assert [row["key"] for row in found] == [f"{one}_0000{n}" for one in sources for n in (0, 1)]
    assert {row["status"] for row in found} == {"success"}
    assert len({row["uid"] for row in found}) == 6


def test_a_clip_has_one_uid_wherever_it_is_made_or_made_anew(tmp_path):
    """Not the one that a row of its source's URL would have: extensions go by it."""
    (tmp_path / "videos").mkdir()
    make_video(tmp_path / "videos" / "0.mp4", seconds=0.4, fps=10)
    parts = {"detector": "stride", "stride_seconds": 0.2, "min_seconds": 0.1}
    raw = clipmill.download(tmp_path / "videos", tmp_path / "raw", quiet=True)
    virtual = raw.split(tmp_path / "clips", quiet=True, **parts)
    first = virtual.select("clip_index = 0", name="first").export(tmp_path / "first", quiet=True)
    small = first.export(tmp_path / "small", short_side=64, quiet=True)
    assert [row["uid"] for row in rows(small, "uid")] == [rows(virtual, "uid")[0]["uid"]]
    made = virtual.export(tmp_path / "made", quiet=True)
    assert rows(made, "uid") == rows(virtual, "uid")
    more = made.export(tmp_path / "small", short_side=64, mode="extend", quiet=True)
    assert sorted(row["uid"] for row in rows(more, "uid")) == sorted(
        row["uid"] for row in rows(virtual, "uid")
    )


def test_an_empty_selection_or_one_of_samples_that_are_gone_is_refused(clips, tmp_path):
    with pytest.raises(InputError, match="no selection 'besst'"):
        clips.export(tmp_path / "out", selection="besst", quiet=True)
    empty = clips.select("motion.mean > 5", name="none")
    with pytest.raises(InputError, match=r"'none' of .* is empty"):
        empty.export(tmp_path / "out", quiet=True)
    clips.select("motion.mean > 0.2", name="best")
    place = clips.folder.local(f"{SELECTIONS_FOLDER}/best.parquet")
    table = pq.read_table(place)
    pq.write_table(table.set_column(0, "key", pa.array(["gone", table["key"][1].as_py()])), place)
    with pytest.raises(
        InputError,
        match="1 sample of the selection 'best' cannot be exported: failed, or gone from",
    ):
        clips.export(tmp_path / "out", selection="best", quiet=True)
    assert not (tmp_path / "out").exists()


def test_what_is_no_dataset_has_no_selections(tmp_path):
    (tmp_path / "videos").mkdir()
    make_video(tmp_path / "videos" / "a.mp4", seconds=0.2)
    with pytest.raises(RecipeError, match="this input is none"):
        clipmill.download(tmp_path / "videos", tmp_path / "out", selection="best", quiet=True)


def test_samples_are_found_by_key_whatever_shard_they_came_to(clips, tmp_path):
    made = clips.export(tmp_path / "out", samples_per_shard=4, quiet=True)
    assert made.shards == ["00000"]
    assert made.sample("000011_00000")["mp4"][4:8] == b"ftyp"


def test_units_of_steps_come_along(clips, tmp_path):
    place = clips.folder.local("columns/motion-aaaaaa/step.json")
    about = [{"name": "mean", "unit": "widths/s", "description": "speed", "exported": None}]
    place.write_text(json.dumps({**json.loads(place.read_text()), "columns": about}))
    made = clips.export(tmp_path / "out", columns="motion", quiet=True)
    field = made.schema(made.shards[0]).field("motion_mean")
    assert field.metadata == {b"unit": b"widths/s", b"description": b"speed"}


def test_what_a_site_said_of_the_licence_is_a_column_of_what_is_made(tmp_path):
    rows = [{"info": {"license": "CC0", "title": "a"}, "caption": "x"}]
    write_shard(tmp_path / "raw", "00000", rows)
    source = SampleSource(str(tmp_path / "raw"))
    assert source.schema().field("license").type == pa.string()
    assert source.read(Part(0, 0, 1))["license"].to_pylist() == ["CC0"]
    write_shard(tmp_path / "own", "00000", [{**rows[0], "license": "mine"}])
    own = SampleSource(str(tmp_path / "own"))
    assert own.read(Part(0, 0, 1))["license"].to_pylist() == ["mine"]


@pytest.mark.parametrize("own", [{}, {"license": "mine"}], ids=["of the site", "of the input"])
def test_clips_made_as_they_are_fetched_have_the_licence_too(own, tmp_path):
    """Their rows have nothing else of what a site said: that stays with the source."""
    sections = {"source": {"path": "videos.csv"}, "download": {"site_info": True}, "render": {}}
    recipe = parse_config(Recipe, {**sections, "write": {"to": "out"}}, "")
    sample = Sample("0", "u", "https://site/watch", columns=own)
    worked = Worked(info={"license": "CC BY", "title": "a"})
    row = clip_row(sample, worked, Clip(0, None), is_part=False)
    inputs = pa.table({"url": [sample.url], **{name: [value] for name, value in own.items()}})
    table = shard_table(inputs, [row], table_schema(inputs.schema, recipe, [row]))
    assert table["license"].to_pylist() == [own.get("license", "CC BY")]
    assert json_row(sample, row, has_captions=False)["license"] == own.get("license", "CC BY")
    assert "info" not in table.column_names


def test_a_retry_takes_the_cells_that_the_export_took_though_others_came_since(
    split, clips, tmp_path
):
    first, second = clips.shards
    shutil.copytree(split.parent / "raw", tmp_path / "raw")
    gone, tar = tmp_path / "gone.tar", tmp_path / "raw" / "00000.tar"
    tar.rename(gone)
    made = clips.export(tmp_path / "out", parent=str(tmp_path / "raw"), quiet=True)
    assert "success" in {row["status"] for row in rows(made, "status")}
    assert {row["status"] for row in rows(made, "status")} != {"success"}
    gone.rename(tar)
    later = {first: [motion(0.3), motion(0.3)], second: [motion(0.3), motion(0.3)]}
    write_cells(clips.folder.local(), "motion-cccccc", 3, MOTION, later)
    write_cells(clips.folder.local(), "depth-dddddd", 4, MOTION, later)
    assert retry_dataset(str(tmp_path / "out"), every=True, quiet=True).exit_code == 0
    found = rows(clipmill.open(tmp_path / "out"), "status", "motion_mean")
    assert {row["status"] for row in found} == {"success"}
    means = [row["motion_mean"] for row in found]
    assert means == [0.5, None, pytest.approx(0.1), pytest.approx(0.9)]
    assert "depth_mean" not in made.schema(made.shards[0]).names
