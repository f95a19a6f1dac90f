"""Failed rows are tried again; everything else stays as it is."""

import shutil

import pytest

import clipmill
from clipmill.cli.report import report_lines
from clipmill.core.errors import InputError, RunError, UserError
from clipmill.dataset.verify import verify_dataset
from clipmill.run.recipe_file import load_recipe
from clipmill.run.retry import retry_dataset
from clipmill.run.runner import run_recipe

HERE = {"allow_private_addresses": True, "quiet": True, "workers": 1}
NO_RETRIES = {**HERE, "retries": 0}


def _start(origin, folder, layout="webdataset"):
    """Rows of which some fail once, some twice and some always."""
    urls = [
        origin.url("a.mp4", n=1),
        origin.url("b.mp4", "flaky", times=1, n=2),
        origin.url("c.mp4", "missing", n=3),
        origin.url("a.mp4", "flaky", times=2, n=4),
        origin.url("c.mp4", n=5),
    ]
    return clipmill.download(urls, folder, samples_per_shard=3, format=layout, **NO_RETRIES)


def _statuses(folder):
    table = clipmill.open(folder).table(["key", "status"])
    return dict(zip(*(table.column(name).to_pylist() for name in table.column_names), strict=True))


LAYOUTS = ["webdataset", "files", "parquet", "tfrecord"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_retry_in_place_fills_the_gaps_and_keeps_keys_and_bytes(origin, media, tmp_path, layout):
    _start(origin, tmp_path / "out", layout)
    assert _statuses(tmp_path / "out") == {
        "000000": "success",
        "000001": "failed_to_download",
        "000002": "failed_to_download",
        "000010": "failed_to_download",
        "000011": "success",
    }
    asked = origin.count("a.mp4")
    report = retry_dataset(str(tmp_path / "out"), quiet=True)
    assert report.exit_code == 0
    assert list(_statuses(tmp_path / "out").values()) == [
        "success", "success", "failed_to_download", "failed_to_download", "success",
    ]  # fmt: skip
    assert origin.count("a.mp4") - asked == 1  # the flaky one; what succeeded is not fetched again
    retry_dataset(str(tmp_path / "out"), quiet=True)
    data = clipmill.open(tmp_path / "out")
    for key, name in (("000000", "a"), ("000001", "b"), ("000010", "a"), ("000011", "c")):
        assert data.sample(key)["mp4"] == (media / f"{name}.mp4").read_bytes()
    assert verify_dataset(data).problems == []


@pytest.mark.parametrize("layout", LAYOUTS)
def test_retry_as_new_shards_moves_rows_and_leaves_media_untouched(origin, tmp_path, layout):
    _start(origin, tmp_path / "out", layout)
    old = _media_files(tmp_path / "out")
    retry_dataset(str(tmp_path / "out"), as_new_shards=True, quiet=True)
    assert _statuses(tmp_path / "out") == {
        "000000": "success",
        "000002": "failed_to_download",  # a 404 is not worth trying again
        "000011": "success",
        "000020": "success",
        "000021": "failed_to_download",
    }
    if layout != "parquet":
        assert {name: _media_files(tmp_path / "out")[name] for name in old} == old
    assert verify_dataset(clipmill.open(tmp_path / "out")).problems == []
    retry_dataset(str(tmp_path / "out"), as_new_shards=True, quiet=True)
    assert _statuses(tmp_path / "out")["000030"] == "success"
    assert len(_statuses(tmp_path / "out")) == 5


def _media_files(folder):
    files = [p for p in folder.rglob("*") if p.is_file() and "_run" not in p.parts]
    kept = {".tar", ".mp4", ".tfrecord"}
    return {p.relative_to(folder): (p.stat().st_mtime_ns, p.read_bytes()) for p in files
            if p.suffix in kept}  # fmt: skip


def test_retry_by_class(origin, tmp_path):
    _start(origin, tmp_path / "out")
    report = retry_dataset(str(tmp_path / "out"), classes=["failed_to_download"], quiet=True)
    assert report.shards_done == 2
    assert origin.count("c.mp4") == 1 + 2  # this time the 404 was tried too
    with pytest.raises(UserError, match=r"with http_staus\. Did you mean 'http_status'\?"):
        retry_dataset(str(tmp_path / "out"), classes=["truncated", "http_staus"], quiet=True)
    with pytest.raises(UserError, match=r"with tls\. There are: .*http_status"):
        retry_dataset(str(tmp_path / "out"), classes=["tls"], quiet=True)


def test_retry_may_change_how_but_not_what(origin, tmp_path):
    _start(origin, tmp_path / "out")
    with pytest.raises(UserError, match="cannot change what"):
        retry_dataset(str(tmp_path / "out"), settings={"download": {"max_bytes": 5}}, quiet=True)
    retry_dataset(str(tmp_path / "out"), settings={"download": {"retries": 2}}, quiet=True)
    assert list(_statuses(tmp_path / "out").values()).count("success") == 4


def test_nothing_to_retry_is_no_error(origin, tmp_path):
    clipmill.download([origin.url("a.mp4")], tmp_path / "out", **HERE)
    assert retry_dataset(str(tmp_path / "out"), quiet=True).exit_code == 0


def test_a_finished_dataset_can_be_resumed_after_a_retry(origin, tmp_path):
    urls = [origin.url("a.mp4"), origin.url("b.mp4", "flaky", times=1)]
    clipmill.download(urls, tmp_path / "out", **NO_RETRIES)
    retry_dataset(str(tmp_path / "out"), as_new_shards=True, quiet=True)
    data = clipmill.download(urls, tmp_path / "out", **NO_RETRIES)
    assert len(data) == 2


def test_secrets_are_not_saved_and_must_be_given_again(origin, tmp_path):
    urls = [origin.url("a.mp4", "flaky", times=1)]
    settings = {**NO_RETRIES, "headers": {"Authorization": "Bearer s3cret"}}
    clipmill.download(urls, tmp_path / "out", **settings)
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"s3cret" not in path.read_bytes()
    with pytest.raises(UserError, match="--headers again"):
        retry_dataset(str(tmp_path / "out"), quiet=True)
    again = {"download": {"headers": {"Authorization": "Bearer s3cret"}}}
    assert retry_dataset(str(tmp_path / "out"), settings=again, quiet=True).counts.successes == 1
    assert origin.requests[-1].headers["Authorization"] == "Bearer s3cret"


def test_a_damaged_shard_does_not_keep_others_from_their_retry(origin, tmp_path):
    _start(origin, tmp_path / "out")
    (tmp_path / "out" / "00000.tar").write_bytes(b"")
    report = retry_dataset(str(tmp_path / "out"), quiet=True, settings={"download": {"retries": 2}})
    assert list(report.shards_failed) == [0]
    assert report.exit_code == 1
    assert "clipmill verify" in report.shards_failed[0]
    assert _statuses(tmp_path / "out")["000010"] == "success"


@pytest.mark.parametrize("lost", [None, "00000", "00002"])
def test_rows_that_moved_are_not_done_again_where_they_were(origin, tmp_path, lost):
    out = tmp_path / "out"
    _start(origin, out)
    retry_dataset(str(out), as_new_shards=True, quiet=True)
    before = _statuses(out)
    if lost:
        (out / f"{lost}_stats.json").unlink()
    if lost == "00000":
        _start(origin, out)
    else:
        retry_dataset(str(out), every=lost is None, quiet=True)
    assert _statuses(out) == before | {"000021": _statuses(out)["000021"]}  # fails twice alone
    assert verify_dataset(clipmill.open(out)).problems == []


def test_a_lost_shard_of_an_earlier_input_is_finished_by_retry(origin, write_csv, tmp_path):
    out = tmp_path / "out"
    first, second = (write_csv([{"url": origin.url(f"{n}.mp4")}], name=n) for n in "ab")
    clipmill.download(first, out, input_format="csv", **HERE)
    clipmill.download(second, out, input_format="csv", mode="extend", **HERE)
    (out / "00000_stats.json").unlink()
    with pytest.raises(RunError, match="1 of 2 shards done"):
        clipmill.download(second, out, input_format="csv", **HERE)
    assert "`clipmill retry`" in " ".join(verify_dataset(clipmill.open(out)).problems)
    assert retry_dataset(str(out), quiet=True).exit_code == 0
    assert list(_statuses(out).values()) == ["success"] * 2


@pytest.fixture
def videos_folder(media, tmp_path):
    (tmp_path / "videos").mkdir()
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(media / name, tmp_path / "videos")
    return tmp_path


def test_a_file_that_was_mended_is_tried_again_though_its_folder_changed(videos_folder):
    folder, out = videos_folder / "videos", videos_folder / "out"
    whole = (folder / "b.mp4").read_bytes()
    (folder / "b.mp4").write_bytes(whole[:200])
    clipmill.download(folder, out, failure_budget=1, quiet=True)
    (folder / "b.mp4").write_bytes(whole)
    report = _extended(folder, out)
    assert report.changed_files == [str(folder / "b.mp4")]
    assert f"  clipmill retry {out} --all " in "\n".join(report_lines(report))
    retry_dataset(str(out), every=True, quiet=True)
    assert list(_statuses(out).values()) == ["success", "success"]
    assert _extended(folder, out).changed_files == []


def test_other_files_in_a_folder_are_not_taken_for_those_that_failed(videos_folder):
    folder, out = videos_folder / "videos", videos_folder / "out"
    (folder / "b.mp4").write_bytes((folder / "b.mp4").read_bytes()[:200])
    clipmill.download(folder, out, failure_budget=1, quiet=True)
    (folder / "a.mp4").rename(folder / "c.mp4")
    with pytest.raises(InputError, match=r"b\.mp4 is new among them\. Put the earlier ones back"):
        retry_dataset(str(out), every=True, quiet=True)


def _extended(folder, out):
    given = {"source": {"path": str(folder)}, "write": {"to": str(out)}}
    return run_recipe(
        load_recipe({**given, "run": {"failure_budget": 1}}), mode="extend", quiet=True
    )
