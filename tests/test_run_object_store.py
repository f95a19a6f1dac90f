"""A dataset on an object store: the same shards, resumed and verified there."""

import os

import pytest

import clipmill
from clipmill.cli.main import app, guarded
from clipmill.core.errors import InputError
from clipmill.dataset.columns import newest_groups
from clipmill.dataset.verify import verify_dataset
from clipmill.run.annotate import annotate_dataset
from clipmill.run.retry import retry_dataset
from clipmill.steps.load import step_orders
from select_data import make_dataset, write_shard

HERE = {"allow_private_addresses": True, "quiet": True, "retries": 0}


@pytest.mark.parametrize("layout", ["webdataset", "files"])
def test_a_dataset_is_written_resumed_retried_and_read_there(
    bucket, origin, media, tmp_path, layout
):
    out = f"{bucket}/{layout}"
    urls = [origin.url("a.mp4"), origin.url("b.mp4", "flaky", times=1), origin.url("c.mp4")]
    settings = {**HERE, "format": layout, "samples_per_shard": 2, "temp_dir": str(tmp_path)}
    clipmill.download(urls, out, **settings)
    before = len(origin.requests)
    clipmill.download(urls, out, **settings)  # all there: nothing is fetched
    assert len(origin.requests) == before
    assert retry_dataset(out, quiet=True).counts.successes == 1
    data = clipmill.open(out)
    assert data.table().column("status").to_pylist() == ["success"] * 3
    for key, name in (("000000", "a"), ("000001", "b"), ("000010", "c")):
        assert data.sample(key)["mp4"] == (media / f"{name}.mp4").read_bytes()
    assert verify_dataset(data).problems == []


STEP = """
import clipmill
@clipmill.step(wants=clipmill.Frames(count=3), columns={"frames": "int64"})
def frames(seen):
    return len(seen.frames)
"""


def test_columns_are_kept_there_beside_their_shards(bucket, media, tmp_path):
    (tmp_path / "steps.py").write_text(STEP)
    out, how = f"{bucket}/annotated", {"modules": [str(tmp_path / "steps.py")], "quiet": True}
    paths = [str(media / f"{name}.mp4") for name in "abc"]
    data = clipmill.download(paths, out, samples_per_shard=2, allow_local_paths=True, quiet=True)
    data.annotate("frames", **how)
    group = newest_groups(data.folder)["frames"]
    tables = [group.shard_table(shard) for shard in data.shards]
    assert [table.column("frames").to_pylist() for table in tables] == [[3, 3], [3]]
    report = annotate_dataset(out, step_orders(["frames"], how["modules"]), quiet=True)
    assert (report.shards, report.cells[group.name]["success"]) == (0, 3)


@pytest.mark.parametrize("command", ["download", "status"])
def test_a_bucket_that_is_not_there_is_said_in_one_paragraph(bucket, media, capfd, command):
    given = [str(media / "*.mp4")] if command == "download" else []
    call = [command, *given, "s3://nonexistent-bucket/out"]
    assert guarded(lambda: app(call)) == 2
    told = capfd.readouterr().err
    assert "nonexistent-bucket" in told
    assert "Traceback" not in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize("command", ["download", "status"])
def test_a_store_that_cannot_be_reached_is_said_in_one_paragraph(
    media, monkeypatch, capfd, command
):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs = pytest.importorskip("s3fs")
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    s3fs.S3FileSystem.clear_instance_cache()
    given = [str(media / "*.mp4")] if command == "download" else []
    assert guarded(lambda: app([command, *given, "s3://clips/out"])) == 2
    s3fs.S3FileSystem.clear_instance_cache()
    told = capfd.readouterr().err
    assert "s3://clips/out" in told
    assert "can be reached" in told
    assert len(told.splitlines()) == 1


def test_sources_on_the_store_are_fetched_from_there(bucket, media, tmp_path):
    import s3fs

    s3fs.S3FileSystem().put(str(media / "a.mp4"), "clips/in/a.mp4")
    data = clipmill.download([f"{bucket}/in/a.mp4"], tmp_path / "out", quiet=True)
    assert data.sample("00000000")["mp4"] == (media / "a.mp4").read_bytes()


def test_a_dataset_on_an_object_store_is_queried_and_selected_there(bucket, tmp_path):
    import s3fs

    folder = tmp_path / "asked"
    data = make_dataset(folder)
    write_shard(folder, "00002", [{"caption": "not seen by any step"}])
    s3fs.S3FileSystem().put(f"{folder}/", f"{bucket}/asked/", recursive=True)
    there = clipmill.open(f"{bucket}/asked")
    sql = "select key, motion.mean, picture.luminance.max, shard from data"
    assert there.sql(sql).equals(clipmill.open(folder).sql(sql))
    found = there.select("motion.mean > 0.15", name="moving", order="motion.mean desc")
    assert found.keys() == ["000010", "000000", "000001"]
    again = clipmill.open(f"{bucket}/asked").selection("moving")
    assert again.table(["motion.status"]).num_rows == 3
    assert data.selections == []
    s3fs.S3FileSystem().rm(f"{bucket}/asked/00001.parquet")
    with pytest.raises(InputError, match=r"00001\.parquet"):
        clipmill.open(f"{bucket}/asked").sql("select key from data")


@pytest.mark.parametrize("layout", ["lance", "mosaicml"])
def test_tables_with_media_inside_are_exported_there(bucket, media, tmp_path, layout):
    paths = [str(media / f"{name}.mp4") for name in "abc"]
    raw = clipmill.download(paths, tmp_path / "raw", allow_local_paths=True, quiet=True)
    how = {"format": layout, "samples_per_shard": 2, "quiet": True}
    here = raw.export(tmp_path / "here", **how)
    made = raw.export(f"{bucket}/as-{layout}", **how)
    keys = made.table(["key"])["key"].to_pylist()
    expected = [here.sample(key)["mp4"] for key in keys]
    if layout == "lance":
        lance = pytest.importorskip("lance")
        place = {"aws_endpoint": os.environ["AWS_ENDPOINT_URL"], "allow_http": "true"}
        found = lance.dataset(made.folder.url_of("dataset.lance"), storage_options=place)
        assert [blob.read() for blob in found.take_blobs("mp4", indices=[0, 1, 2])] == expected
    else:
        shards = made.folder.read_json("index.json")["shards"]
        assert [shard["samples"] for shard in shards] == [2, 1]
    assert [made.sample(key)["mp4"] for key in keys] == expected
    assert verify_dataset(made).problems == []
