"""What every registered shard format keeps to: one suite, run over all of them."""

import hashlib
import json
import pickle
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clipmill.core.errors import InputError, ShardError
from clipmill.core.registry import load, names
from clipmill.formats.base import MemberPlace, ShardFormat, ShardWriter, StoredFile
from clipmill.formats.sidecar import sample_json
from clipmill.io.folder import Folder

PLACE = pa.struct([("offset", pa.int64()), ("size", pa.int64()), ("sha256", pa.string())])
SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("status", pa.string()),
        ("error_message", pa.string()),
        ("url", pa.string()),
        ("caption", pa.string()),
        ("rank", pa.int64()),
        ("probe", pa.struct([("width", pa.int64()), ("tracks", pa.list_(pa.string()))])),
        ("media", pa.struct([("mp4", PLACE), ("m4a", PLACE)])),
    ]
)
CAPTIONS = ["", "two\nlines", "日本語 und Grüße 🎬", 'quotes " and \\', "x" * 3000]
FORMATS = names("clipmill.formats")
KEEPERS = [name for name in FORMATS if name != "dummy"]


@pytest.fixture(params=FORMATS)
def layout(request) -> ShardFormat:
    return load("clipmill.formats", request.param)()


@pytest.fixture(params=KEEPERS)
def keeper(request) -> ShardFormat:
    """A format that keeps media."""
    return load("clipmill.formats", request.param)()


def row(number: int) -> dict[str, object]:
    failed = number % 4 == 3
    return {
        "key": f"00000{number:03d}",
        "status": "failed_to_download" if failed else "success",
        "error_message": "HTTP 404" if failed else None,
        "url": f"https://example.com/{number}.mp4",
        "caption": CAPTIONS[number % len(CAPTIONS)],
        "rank": number if number % 2 else None,
        "probe": None if failed else {"width": 640 + number, "tracks": ["video", "audio"]},
        "media": None,
    }


def media(number: int) -> dict[str, bytes]:
    picture = hashlib.sha256(b"%d" % number).digest() * (number * 37 % 50)
    return {"mp4": picture, "m4a": b"sound %d" % number}


def add(layout: ShardFormat, writer: ShardWriter, numbers: Iterable[int]) -> dict[int, dict]:
    """Add successful rows, half of the media from files; their places by row number."""
    places = {}
    for number in numbers:
        known = row(number)
        if known["status"] != "success":
            continue
        members: dict[str, bytes | StoredFile] = dict(media(number))
        if number % 2:
            path = writer.staging.parent / f"download-{number}"
            path.write_bytes(members["mp4"])
            sha256 = hashlib.sha256(members["mp4"]).hexdigest()
            members["mp4"] = StoredFile(path, sha256 if number % 3 else None)
        texts = {"txt": known["caption"].encode(), "json": sample_json(known)}
        members |= {name: texts[name] for name in sorted(layout.texts, reverse=True)}
        places[number] = writer.add(known["key"], members)
        (writer.staging.parent / f"download-{number}").unlink(missing_ok=True)
    return places


def table(places: dict[int, dict[str, MemberPlace]], count: int) -> pa.Table:
    rows = [row(number) for number in range(count)]
    for number, found in places.items():
        rows[number]["media"] = {
            name: {"offset": place.offset, "size": place.size, "sha256": place.sha256}
            for name, place in found.items()
            if name in ("mp4", "m4a")
        }
    return pa.Table.from_pylist(rows, SCHEMA)


def write(layout: ShardFormat, folder: Path, count: int = 12, shard: str = "00000") -> list[str]:
    folder.mkdir(parents=True)
    writer = layout.writer(folder, shard)
    writer.truncate(0)
    return writer.finish(table(add(layout, writer, range(count)), count))


def files(folder: Path, named: list[str]) -> dict[str, bytes]:
    """Content of what ``finish`` named."""
    found = [path for name in named for path in [folder / name, *(folder / name).glob("**/*")]]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found if path.is_file()}


def test_members_are_read_back(keeper, tmp_path):
    write(keeper, tmp_path / "s")
    folder = Folder(tmp_path / "s")
    found = {
        key: {name: keeper.read(folder, ref) for name, ref in refs.items()}
        for key, refs, _ in keeper.read_samples(folder, "00000")
        if refs
    }
    good = [number for number in range(12) if row(number)["status"] == "success"]
    assert list(found) == [row(number)["key"] for number in good]
    for number in good:
        members = found[row(number)["key"]]
        expected = media(number)
        texts = {"txt": row(number)["caption"].encode(), "json": sample_json(row(number))}
        expected |= {name: texts[name] for name in keeper.texts}
        assert members == expected


def test_metadata_are_read_back(keeper, tmp_path):
    write(keeper, tmp_path / "s")
    known = {key: found for key, _, found in keeper.read_samples(Folder(tmp_path / "s"), "00000")}
    assert known["00000002"]["caption"] == CAPTIONS[2]
    assert known["00000001"]["rank"] == 1
    assert known["00000000"].get("rank") is None
    assert {found["status"] for key, found in known.items() if key != "00000003"} >= {"success"}


def test_the_table_leads_to_the_bytes(keeper, tmp_path):
    write(keeper, tmp_path / "s")
    folder = Folder(tmp_path / "s")
    kept = pickle.loads(pickle.dumps(keeper))
    rows = pq.read_table(tmp_path / "s" / keeper.table_name("00000")).to_pylist()
    assert [found["key"] for found in rows] == [row(number)["key"] for number in range(12)]
    for number, found in enumerate(rows):
        assert bool(found["media"]) == (found["status"] == "success")
        for name, place in (found["media"] or {}).items():
            where = MemberPlace(**place)
            ref = kept.locate(folder, "00000", found["key"], number, name, where)
            data = kept.read(folder, ref)
            assert data == media(number)[name]
            assert (where.size, where.sha256) == (len(data), hashlib.sha256(data).hexdigest())


def test_shards_are_read_from_any_storage(keeper, tmp_path):
    names_written = write(keeper, tmp_path / "s")
    folder = Folder(f"memory://{tmp_path.name}-{keeper.name}")
    for name in names_written:
        folder.put(tmp_path / "s" / name, name)
    samples = list(keeper.read_samples(folder, "00000"))
    assert len(samples) in (9, 12)  # parquet tells of failed rows too
    assert keeper.read(folder, samples[1][1]["m4a"]) == b"sound 1"
    for name in folder.list():
        folder.remove(name)
    assert folder.list() == []


def test_the_same_input_gives_the_same_bytes(layout, tmp_path):
    first = files(tmp_path / "a", write(layout, tmp_path / "a"))
    assert first == files(tmp_path / "b", write(layout, tmp_path / "b"))
    assert bool(first) == (layout.name != "dummy")


@pytest.mark.parametrize("done", [0, 1, 5])
def test_a_continued_shard_equals_an_undisturbed_one(layout, tmp_path, done):
    (tmp_path / "a").mkdir()
    first = layout.writer(tmp_path / "a", "00000")
    first.truncate(0)
    places = add(layout, first, range(done))
    position = first.tell()
    add(layout, first, range(done, 9))  # these never reached the journal
    first.abandon()

    second = layout.writer(tmp_path / "a", "00000")
    second.truncate(position)
    places |= add(layout, second, range(done, 12))
    named = second.finish(table(places, 12))
    assert files(tmp_path / "a", named) == files(tmp_path / "b", write(layout, tmp_path / "b"))


def test_finishing_twice_gives_the_same(layout, tmp_path):
    (tmp_path / "a").mkdir()
    first = layout.writer(tmp_path / "a", "00000")
    first.truncate(0)
    places = add(layout, first, range(12))
    position = first.tell()
    named = first.finish(table(places, 12))
    before = files(tmp_path / "a", named)

    second = layout.writer(tmp_path / "a", "00000")  # the process died before the commit
    second.truncate(position)
    assert second.finish(table(places, 12)) == named
    assert files(tmp_path / "a", named) == before


def test_a_sample_is_added_whole_or_not_at_all(keeper, tmp_path):
    (tmp_path / "s").mkdir()
    writer = keeper.writer(tmp_path / "s", "00000")
    writer.truncate(0)
    texts = dict.fromkeys(keeper.texts, b"{}")
    places = writer.add("00000000", {"mp4": b"good", "m4a": b"", **texts})
    before = writer.tell()
    missing = StoredFile(tmp_path / "missing")
    with pytest.raises(FileNotFoundError):
        writer.add("00000001", {"mp4": b"half", "m4a": missing, **texts})
    assert writer.tell() == before
    writer.finish(table({0: places}, 2))
    folder = Folder(tmp_path / "s")
    found = {k: sorted(refs) for k, refs, _ in keeper.read_samples(folder, "00000") if refs}
    assert found == {"00000000": sorted(["mp4", "m4a", *texts])}


def test_lost_work_is_noticed(keeper, tmp_path):
    writer = keeper.writer(tmp_path, "00000")
    with pytest.raises(ShardError, match="Work in hand was lost"):
        writer.truncate(10_000)
    writer.abandon()


def test_an_empty_shard(layout, tmp_path):
    named = write(layout, tmp_path / "s", count=0)
    folder = Folder(tmp_path / "s")
    assert list(layout.read_samples(folder, "00000")) == []
    if table_file := layout.table_name("00000"):
        assert table_file in named
        assert pq.read_table(tmp_path / "s" / table_file).num_rows == 0


def test_a_shard_of_failures(keeper, tmp_path):
    (tmp_path / "s").mkdir()
    writer = keeper.writer(tmp_path / "s", "00000")
    writer.truncate(0)
    writer.finish(table({}, 3))
    found = [refs for _, refs, _ in keeper.read_samples(Folder(tmp_path / "s"), "00000")]
    assert not any(found)
    assert pq.read_schema(tmp_path / "s" / "00000.parquet").names[:8] == SCHEMA.names


def test_volumes_lie_beside_each_other(keeper, tmp_path):
    write(keeper, tmp_path / "s", shard="00007")
    (tmp_path / "t").mkdir()
    writer = keeper.writer(tmp_path / "s", "00007-1")
    writer.truncate(0)
    writer.finish(table(add(keeper, writer, [4]), 5))
    keys = [key for key, refs, _ in keeper.read_samples(Folder(tmp_path / "s"), "00007-1") if refs]
    assert keys == ["00000004"]


@pytest.mark.parametrize(
    ("key", "extension"),
    [
        ("../x", "mp4"),
        ("a/b", "mp4"),
        ("/etc/x", "mp4"),
        ("a.b", "mp4"),
        ("", "mp4"),
        ("a\n", "mp4"),
        ("é", "mp4"),
        ("a", "../x"),
        ("a", "mp4/../../x"),
        ("a", ""),
        ("a", "MP4"),
        ("a", ".mp4"),
        ("a", "mp4\0"),
    ],
)
def test_hostile_names_are_refused(layout, tmp_path, key, extension):
    writer = layout.writer(tmp_path, "00000")
    with pytest.raises(ValueError, match="is not a"):
        writer.add(key, {extension: b"x"})
    assert writer.tell() == 0
    writer.abandon()


def test_a_missing_shard_is_said(keeper, tmp_path):
    if keeper.name == "files":
        assert list(keeper.read_samples(Folder(tmp_path), "00000")) == []
        return
    with pytest.raises(InputError, match=r"00000\S* does not exist"):
        list(keeper.read_samples(Folder(tmp_path), "00000"))


MEASURE = """
import resource, sys
from dataclasses import asdict
from pathlib import Path
import pyarrow as pa
import pyarrow.parquet as pq
from clipmill.core.registry import load
from clipmill.formats.base import StoredFile
from clipmill.io.folder import Folder
place = pa.struct([("offset", pa.int64()), ("size", pa.int64()), ("sha256", pa.string())])
schema = pa.schema([("key", pa.string()), ("media", pa.struct([("mp4", place)]))])
layout = load("clipmill.formats", sys.argv[1])()
staging = Path(sys.argv[2])
pq.write_table(pa.table({"key": ["00000"]}), staging / "warm-up", compression="zstd")
writer = layout.writer(staging, "00000")
writer.truncate(0)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before = peak()
rows = []
for key in ("00000", "00001"):
    places = writer.add(key, {"mp4": StoredFile(staging.parent / "big")})
    rows.append({"key": key, "media": {"mp4": asdict(places["mp4"])}})
added = peak()
writer.finish(pa.Table.from_pylist(rows, schema))
finished = peak()
folder = Folder(staging)
for _, refs, _ in layout.read_samples(folder, "00000"):
    for ref in refs.values():
        assert sum(len(chunk) for chunk in layout.chunks(folder, ref)) == 150_000_000
print(added - before, finished - added, peak() - finished)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss counts other units elsewhere")
def test_large_members_pass_through_in_flat_memory(keeper, tmp_path):
    with (tmp_path / "big").open("wb") as file:  # sparse
        file.truncate(150_000_000)
    (tmp_path / "s").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, keeper.name, str(tmp_path / "s")],
        capture_output=True,
        check=True,
        text=True,
    )
    added, finished, read = map(int, done.stdout.split())
    assert added < 20  # megabytes
    if keeper.name not in ("parquet", "lance"):  # these hold one cell to write it
        assert finished < 30
    if keeper.name != "parquet":  # and this one to read it
        assert read < 20


def test_json_members_are_one_line_of_utf8(tmp_path):
    text = sample_json(row(2))
    assert json.loads(text)["caption"] == CAPTIONS[2]
    assert CAPTIONS[2].encode() in text
    assert b"\n" not in text
