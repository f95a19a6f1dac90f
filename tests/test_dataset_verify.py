"""Verification notices what was damaged, and says where."""

import json

import pytest

import clipmill
from clipmill.dataset.status import dataset_status
from clipmill.dataset.verify import verify_dataset

HERE = {"allow_private_addresses": True, "quiet": True, "workers": 1}


@pytest.fixture
def whole(origin, tmp_path):
    urls = [origin.url("a.mp4"), origin.url("b.mp4"), origin.url("x", "missing")]
    clipmill.download(urls, tmp_path / "out", **HERE)
    return tmp_path / "out"


def _problems(folder, **options):
    return "\n".join(verify_dataset(clipmill.open(folder), **options).problems)


def test_a_whole_dataset_has_no_problems(whole):
    found = verify_dataset(clipmill.open(whole))
    assert (found.shards, found.rows, found.problems) == (1, 3, [])
    assert found.bytes_read > 0


def test_a_flipped_byte_is_found_by_its_hash(whole):
    place = clipmill.open(whole).sample("00000001")["media"]["mp4"]
    tar = whole / "00000.tar"
    data = bytearray(tar.read_bytes())
    data[place["offset"] + 100] ^= 1
    tar.write_bytes(data)
    assert "sample 00000001: mp4 differs" in _problems(whole)
    assert _problems(whole, hashes=False) == ""


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "00000.tar").unlink(), "00000.tar"),
        (lambda folder: (folder / "00000.parquet").unlink(), "lost its table"),
        (lambda folder: (folder / "00000_stats.json").unlink(), "belongs to no finished shard"),
        (lambda folder: (folder / "00000.tar").write_bytes(b""), "00000"),
        (
            lambda folder: (folder / "00000_stats.json").write_text(
                json.dumps({**json.loads((folder / "00000_stats.json").read_text()), "count": 7})
            ),
            "stats say count 7, the table 3",
        ),
    ],
)
def test_damage_is_named(whole, damage, said):
    damage(whole)
    assert said in _problems(whole)


def test_status_adds_up(whole):
    status = dataset_status(clipmill.open(whole))
    assert (status.shards_done, status.shards) == (1, 1)
    assert (status.rows_done, status.rows) == (3, 3)
    assert (status.successes, status.failed_to_download) == (2, 1)
    assert status.error_classes == {"http_status": 1}
    assert status.video_seconds == pytest.approx(1.5, abs=0.1)
