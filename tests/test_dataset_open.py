"""Datasets of ours and of the peers, opened: their shards, samples and status."""

import io
import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import clipmill
from clipmill.cli.main import app, guarded
from clipmill.core.errors import InputError
from clipmill.dataset.status import dataset_status
from clipmill.dataset.verify import verify_dataset

LAYOUTS = ["webdataset", "files", "parquet"]


def peer_shard(folder, shard, layout, *, failed_name="failed_to_subsample"):
    """Three rows as video2dataset writes them, the second failed, in the order they ended."""
    keys = [f"{shard}{row:03}" for row in (2, 1, 0)]
    columns = {
        "url": [f"https://a.org/{key}" for key in keys],
        "key": keys,
        "status": ["success", failed_name, "success"],
        "error_message": [None, "broken", None],
    }
    media = {key: f"video {key}".encode() for key in (keys[0], keys[2])}
    members = {f"{key}.mp4": data for key, data in media.items()}
    members |= {f"{key}.json": b"{}" for key in keys}
    folder.mkdir(exist_ok=True)
    if layout == "webdataset":
        with tarfile.open(folder / f"{shard}.tar", "w") as tar:
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    elif layout == "files":
        (folder / shard).mkdir()
        for name, data in members.items():
            (folder / shard / name).write_bytes(data)
    else:
        columns["mp4"] = [media.get(key) for key in keys]
    pq.write_table(pa.table(columns), folder / f"{shard}.parquet")
    stats = {"count": 3, "successes": 2, "failed_to_download": 0, failed_name: 1}
    stats["status_dict"] = {"success": 2, "broken": 1}
    (folder / f"{shard}_stats.json").write_text(json.dumps(stats))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_sample_of_the_peers_comes_with_its_media(tmp_path, layout):
    peer_shard(tmp_path, "00000", layout)
    peer_shard(tmp_path, "00001", layout)
    data = clipmill.open(tmp_path)
    assert data.sample("00001002")["mp4"] == b"video 00001002"
    assert data.sample("00001002")["url"] == "https://a.org/00001002"
    assert data.sample("00000001").get("mp4") is None
    assert "json" not in data.sample("00000000")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_whole_dataset_of_the_peers_has_no_problems(tmp_path, layout):
    peer_shard(tmp_path, "00000", layout)
    found = verify_dataset(clipmill.open(tmp_path))
    assert (found.rows, found.problems) == (3, [])


def test_media_that_a_peers_dataset_lost_are_missed(tmp_path):
    peer_shard(tmp_path, "00000", "files")
    for path in (tmp_path / "00000").glob("00000000.*"):
        path.unlink()
    (problem,) = verify_dataset(clipmill.open(tmp_path)).problems
    assert "sample 00000000: its media are missing" in problem


@pytest.mark.parametrize("failed_name", ["failed_to_subsample", "failed_to_resize"])
def test_status_of_the_peers_adds_up(tmp_path, capsys, failed_name):
    for shard in ("00000", "00001"):
        peer_shard(tmp_path, shard, "webdataset", failed_name=failed_name)
    status = dataset_status(clipmill.open(tmp_path))
    assert (status.rows_done, status.successes, status.failed_to_process) == (6, 4, 2)
    assert status.failed == 2
    assert status.top_messages == [("broken", 2)]
    assert guarded(lambda: app(["status", str(tmp_path)])) == 0
    assert "failed     2 (download 0, process 2)" in capsys.readouterr().out


def test_shards_come_by_number_once_they_need_more_digits(tmp_path):
    for shard in ("100000", "99999"):
        peer_shard(tmp_path, shard, "webdataset")
    assert clipmill.open(tmp_path).shards == ["99999", "100000"]
    assert clipmill.open(tmp_path).table(["key"]).column("key").to_pylist()[0] == "99999002"


@pytest.mark.parametrize("command", ["status", "verify"])
@pytest.mark.parametrize("name", ["dataset.json", "00000_stats.json"])
def test_a_damaged_description_is_named_not_traced(tmp_path, capsys, command, name):
    peer_shard(tmp_path, "00000", "webdataset")
    (tmp_path / name).write_text('{"count": 3, "succ')
    assert guarded(lambda: app([command, str(tmp_path)])) == 2
    assert f"{name} is damaged" in capsys.readouterr().err


def test_a_damaged_table_is_named(tmp_path):
    peer_shard(tmp_path, "00000", "webdataset")
    (tmp_path / "00000.parquet").write_bytes(b"PAR1 nothing of the kind")
    with pytest.raises(InputError, match=r"00000\.parquet of .* cannot be read"):
        clipmill.open(tmp_path).table()
