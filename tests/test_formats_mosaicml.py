"""Exports in the format mosaicml: what MosaicML Streaming reads of them."""

import json
import os
import subprocess

import pytest

import clipmill
from clipmill.core.errors import InputError, RecipeError
from clipmill.dataset.verify import verify_dataset
from clipmill.formats import mosaicml
from clipmill.io.folder import Folder
from clipmill.run.volumes import Volumes

# The library needs other versions of much that we use, so it lives in an environment of its own,
# made by `pip install mosaicml-streaming`; this names the Python there.
STREAMING = os.environ.get("CLIPMILL_STREAMING_PYTHON")

READ = """
import hashlib, json, sys, types
import transformers
try:
    import torchvision
except ImportError:  # imported with the library's pictures, of which nothing is used here
    for name in ("torchvision", "torchvision.datasets", "torchvision.transforms",
                 "torchvision.transforms.functional"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["torchvision.datasets"].VisionDataset = object
    sys.modules["torchvision.transforms.functional"].to_tensor = None
from streaming import StreamingDataset
from streaming.base.util import clean_stale_shared_memory
clean_stale_shared_memory()
data = StreamingDataset(local=sys.argv[1], batch_size=1, shuffle=False)
for sample in data:
    digests = {name: hashlib.sha256(value).hexdigest()
               for name, value in sample.items() if isinstance(value, bytes)}
    print(json.dumps({**sample, **digests}))
"""


@pytest.fixture(scope="module")
def made(licensed, tmp_path_factory):
    """Three clips, with an image of each, in two shards."""
    out = tmp_path_factory.mktemp("mosaicml") / "out"
    return licensed.export(out, format="mosaicml", images="first", quiet=True, samples_per_shard=2)


def check(made, samples):
    rows = {row["key"]: row for row in made.table().to_pylist() if row["status"] == "success"}
    assert [sample["key"] for sample in samples] == list(rows)
    for sample in samples:
        row = rows[sample["key"]]
        assert sample["txt"] == row["caption"]
        assert sample["json"].get("license") == row["license"]
        assert sample["json"]["probe_video_width"] == row["probe"]["video"]["width"]
        for name in ("mp4", "jpg"):
            assert sample[name] == row["media"][name]["sha256"]


@pytest.mark.skipif(not STREAMING, reason="CLIPMILL_STREAMING_PYTHON names no Python that has it")
def test_the_library_reads_every_sample(made):
    done = subprocess.run(
        [str(STREAMING), "-c", READ, str(made.folder.local())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    check(made, [json.loads(line) for line in done.stdout.splitlines()])


def test_the_index_tells_of_every_file(made):
    index = json.loads((made.folder.local() / "index.json").read_text())
    assert index["version"] == 2
    assert [shard["samples"] for shard in index["shards"]] == [2, 1]
    for shard in index["shards"]:
        path = made.folder.local() / shard["raw_data"]["basename"]
        assert path.stat().st_size == shard["raw_data"]["bytes"]
        assert shard["column_names"] == ["key", "jpg", "mp4", "txt", "json"]
        assert shard["column_encodings"] == ["str", "bytes", "bytes", "str", "json"]


def test_it_is_a_dataset_of_ours_too(made, tmp_path):
    assert verify_dataset(made).problems == []
    assert made.sample("000011")["mp4"][4:8] == b"ftyp"
    again = clipmill.download(made.folder.url, tmp_path / "again", quiet=True)
    assert again.table(["status"])["status"].to_pylist() == ["success"] * 3


def test_what_no_file_can_hold_goes_to_further_files(tmp_path):
    class Small(mosaicml.MosaicMLFormat):
        max_shard_bytes = 10

    volumes = Volumes(Small(), tmp_path, "00000", limit=None, positions={})
    for key in ("a", "b", "c"):
        volumes.add(key, {"mp4": b"12345678"}, 8)
    volumes.abandon()
    assert volumes.current == 2


def test_containers_must_be_the_same_in_every_sample(licensed, tmp_path):
    settings = {"format": "mosaicml", "encode_formats": "video=original"}
    with pytest.raises(RecipeError, match="'mosaicml' needs files of the same kind"):
        clipmill.download(licensed.folder.url, tmp_path / "out", quiet=True, **settings)


def test_a_file_that_is_cut_short_is_said(made, tmp_path):
    whole = (made.folder.local() / "00000.mds").read_bytes()
    (tmp_path / "00000.mds").write_bytes(whole[:-1])
    with pytest.raises(InputError, match=r"00000\.mds is cut short"):
        list(mosaicml.MosaicMLFormat().read_samples(Folder(tmp_path), "00000"))
    (tmp_path / "00000.mds").write_bytes(b"GIF89a" * 10)
    with pytest.raises(InputError, match=r"00000\.mds is no MDS file"):
        list(mosaicml.MosaicMLFormat().read_samples(Folder(tmp_path), "00000"))
