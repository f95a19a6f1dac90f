"""Verification notices what was damaged or is missing, and says where."""

import json
import sys

import pytest

import clipmill
from clipmill.cli.main import app, guarded
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


def _edit_manifest(folder, change):
    manifest = json.loads((folder / "dataset.json").read_text())
    change(manifest)
    (folder / "dataset.json").write_text(json.dumps(manifest))


def _remove(folder, shard):
    for path in folder.glob(f"{shard}*"):
        path.unlink()


@pytest.fixture
def in_shards(origin, tmp_path):
    """Five rows in three shards."""
    urls = [origin.url(f"{name}.mp4") for name in "abcab"]
    clipmill.download(urls, tmp_path / "out", samples_per_shard=2, **HERE)
    return tmp_path / "out"


def test_shards_that_are_gone_are_missed(in_shards):
    _remove(in_shards, "00001")
    (problem,) = verify_dataset(clipmill.open(in_shards)).problems
    assert "1 of 3 shards not finished: 00001" in problem
    assert "again" in problem


def test_a_run_that_was_interrupted_is_no_whole_dataset(in_shards, capsys):
    for shard in ("00000", "00001", "00002"):
        _remove(in_shards, shard)
    with pytest.raises(SystemExit) as ending:
        sys.exit(guarded(lambda: app(["verify", str(in_shards)])))
    assert ending.value.code == 1
    told = capsys.readouterr()
    assert "3 of 3 shards not finished" in told.err
    assert "1 problem" in told.out


def test_many_missing_shards_make_one_short_line(in_shards):
    _edit_manifest(in_shards, lambda manifest: manifest["inputs"][0].update(shards=500))
    (problem,) = verify_dataset(clipmill.open(in_shards)).problems
    assert "497 of 500 shards not finished: 00003, 00004" in problem
    assert "00020" not in problem


def test_rows_that_were_given_and_are_not_there_are_missed(in_shards):
    _edit_manifest(in_shards, lambda manifest: manifest["inputs"][0].update(rows=6))
    assert "there are 5 rows, but 6 were given" in _problems(in_shards)


def test_shards_of_an_unfinished_retry_are_missed(in_shards):
    retry = {"retry_of": 0, "settled": False, "rows": 1, "first_shard": 3, "shards": 1}
    _edit_manifest(in_shards, lambda manifest: manifest["inputs"].append(retry))
    assert "1 of 4 shards not finished: 00003" in _problems(in_shards)
    assert "`clipmill retry`" in _problems(in_shards)


def test_a_retry_whose_rows_are_in_two_places_is_unfinished(in_shards):
    retry = {"retry_of": 0, "settled": False, "rows": 1, "first_shard": 2, "shards": 1}
    _edit_manifest(in_shards, lambda manifest: manifest["inputs"].append(retry))
    assert "retry into new shards was interrupted" in _problems(in_shards)


def test_status_adds_up(whole):
    status = dataset_status(clipmill.open(whole))
    assert (status.shards_done, status.shards) == (1, 1)
    assert (status.rows_done, status.rows) == (3, 3)
    assert (status.successes, status.failed_to_download) == (2, 1)
    assert status.error_classes == {"http_status": 1}
    assert status.video_seconds == pytest.approx(1.5, abs=0.1)
