"""Arrays beside or in place of frames: members that are .npy files, such as embeddings."""

import io
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import clipmill
from clipmill.core.errors import RecipeError, SampleError, UserError
from load_media import download, make_videos, videos_in
from load_tars import npy, video_samples, write_tar


def embedding(number, length=None):
    """Of sample n, half precision, (n + 1, 4) unless it is of another length; all values are n."""
    return np.full((number + 1 if length is None else length, 4), number, np.float16)


def samples_of(count, **changed):
    """Members as clip-video-encode writes them; those in ``changed`` under other bytes."""
    found = {}
    for number in range(count):
        key = f"{number:09}"
        array = changed.get(f"n{number}", npy(embedding(number)))
        text, told = f"caption {number}", f'{{"videoID": "v{number}", "fps": 1}}'
        found[key] = {"npy": array, "txt": text.encode(), "json": told.encode()}
    return found


@pytest.fixture
def tars(tmp_path):
    """Five samples of embeddings, their captions and JSON in two tars."""
    samples = [*samples_of(5).items()]
    write_tar(tmp_path / "00000_clip_embeddings.tar", dict(samples[:3]))
    write_tar(tmp_path / "00001_clip_embeddings.tar", dict(samples[3:]))
    return tmp_path


def test_embeddings_are_padded_and_masked_and_come_with_their_captions(tars):
    loader = clipmill.load(
        f"{tars}/*.tar", video=False, arrays=("npy",), columns=("videoID",), batch_size=5
    )
    (batch,) = loader
    assert set(batch) == {"key", "caption", "videoID", "npy", "npy_mask"}
    assert (batch["npy"].dtype, batch["npy"].shape) == (np.float16, (5, 5, 4))
    for number, (array, mask) in enumerate(zip(batch["npy"], batch["npy_mask"], strict=True)):
        assert mask.tolist() == [True] * (number + 1) + [False] * (4 - number)
        assert np.array_equal(array[mask], embedding(number))
        assert not array[~mask].any()
    assert batch["caption"] == [f"caption {number}" for number in range(5)]
    assert batch["videoID"] == [f"v{number}" for number in range(5)]


def test_embeddings_are_read_from_far_storage_in_one_piece(tars):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.put(str(tars), "/embeddings", recursive=True)
    try:
        loader = clipmill.load("memory://embeddings", video=False, arrays=("npy",), shuffle=True)
        (batch,) = loader
    finally:
        memory.rm("/embeddings", recursive=True)
    assert {array[0, 0] for array in batch["npy"]} == set(range(5))


def test_arrays_come_beside_frames_each_by_the_whole_of_its_extension(tmp_path):
    samples = video_samples(tmp_path, 2)
    for number, members in enumerate(samples.values()):
        members["clip.npy"] = npy(embedding(number, 3))
        members["pts.npy"] = npy(np.arange(number + 1.0))
        members["mean.npy"] = npy(np.float32(number))
    tar = write_tar(tmp_path / "0.tar", samples)
    loader = clipmill.load(str(tar), frames=2, arrays=("clip.npy", "pts.npy", "mean.npy"))
    (batch,) = loader
    assert batch["frames"].shape == (2, 2, 96, 128, 3)
    assert batch["clip.npy"].shape == (2, 3, 4)
    assert batch["clip.npy_mask"].all()
    assert batch["pts.npy"].tolist() == [[0, 0], [0, 1]]
    assert batch["pts.npy_mask"].tolist() == [[True, False], [True, True]]
    assert batch["mean.npy"].tolist() == [0, 1]
    assert "mean.npy_mask" not in batch


@pytest.mark.parametrize("format", ["webdataset", "files"])
def test_selections_of_datasets_with_tables_read_their_arrays(tmp_path, format):
    """As of the peer: tables beside tars or folders that have further members."""
    data = download(make_videos(tmp_path / "v", 3), tmp_path / "out", format=format)
    members = {f"0000000{n}": {"mp4": b"none", "npy": npy(embedding(n))} for n in range(3)}
    table = pq.read_table(tmp_path / "out" / "00000.parquet").drop_columns(["media"])
    pq.write_table(table, tmp_path / "out" / "00000.parquet")
    if format == "webdataset":
        write_tar(tmp_path / "out" / "00000.tar", members)
    else:
        for key, one in members.items():
            (tmp_path / "out" / "00000" / f"{key}.npy").write_bytes(one["npy"])
    chosen = clipmill.open(data.folder.url).select("key != '00000001'")
    (batch,) = chosen.loader(video=False, arrays=("npy",))
    assert batch["key"] == ["00000000", "00000002"]
    assert batch["npy_mask"].sum(axis=1).tolist() == [1, 3]
    assert batch["npy"][1, 0].tolist() == [2] * 4


def fortran():
    return npy(np.asfortranarray(np.arange(12, dtype=">f4").reshape(3, 4)))


def test_other_orders_of_axes_and_bytes_and_no_length_are_read(tmp_path):
    samples = samples_of(1, n0=fortran())
    samples["1"] = {"npy": npy(np.zeros((0, 4), np.float32))}
    tar = write_tar(tmp_path / "0.tar", samples)
    (batch,) = clipmill.load(str(tar), video=False, arrays=("npy",))
    assert np.array_equal(batch["npy"][0], np.arange(12, dtype=np.float32).reshape(3, 4))
    assert batch["npy_mask"].sum(axis=1).tolist() == [3, 0]


def huge():
    """A header that asks for more memory than there is."""
    file = io.BytesIO()
    told = {"descr": "<f4", "fortran_order": False, "shape": (1 << 50, 4)}
    np.lib.format.write_array_header_1_0(file, told)
    return file.getvalue()


def objects():
    file = io.BytesIO()
    np.save(file, np.array([print, {}], object), allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize(("data", "error_class", "told"), [
    (npy(np.zeros((2, 4), np.float32)), "other_array", r"float32 \(T, 4\).*float16 \(T, 4\)"),
    (npy(np.zeros((2, 5), np.float16)), "other_array", r"float16 \(T, 5\)"),
    (npy(np.zeros(4, np.float16)), "other_array", r"float16 \(T,\)"),
    (npy(embedding(1))[:-1], "damaged_member", "15 bytes for float16 of shape"),
    (npy(embedding(1)) + b"0", "damaged_member", "17 bytes"),
    (huge(), "damaged_member", "0 bytes for float32"),
    (objects(), "damaged_member", "holds object"),
    (npy(np.array(["text"])), "damaged_member", "numbers alone"),
    (pickle.dumps([1.0]), "damaged_member", "no .npy file"),
    (b"", "damaged_member", "no .npy file"),
    (npy(embedding(1))[:40], "damaged_member", "cut off"),
    (b"\x93NUMPY\x01\x00\x04\x00{1:}", "damaged_member", "header is none"),
    (b"\x93NUMPY\x01\x00\x02\x00{}", "damaged_member", "header is none"),
])  # fmt: skip
def test_an_array_that_is_none_or_of_another_kind_costs_its_sample(
    tmp_path, data, error_class, told
):
    tar = write_tar(tmp_path / "0.tar", samples_of(3, n1=data))
    loader = clipmill.load(str(tar), video=False, arrays=("npy",))
    (batch,) = loader
    assert [array[0, 0] for array in batch["npy"]] == [0, 2]
    assert loader.failures == {error_class: 1}
    with pytest.raises(SampleError, match=f"Sample 000000001: .*{told}"):
        [*clipmill.load(str(tar), video=False, arrays=("npy",), on_error="raise")]


def test_a_sample_without_the_member_is_left_out(tmp_path):
    samples = video_samples(tmp_path, 2)
    samples["00001"]["npy"] = npy(embedding(1))
    loader = clipmill.load(str(write_tar(tmp_path / "0.tar", samples)), frames=1, arrays=("npy",))
    assert videos_in(loader) == [1]
    assert loader.failures == {"member_missing": 1}


def test_what_no_sample_has_is_told_at_once(tars):
    with pytest.raises(UserError, match=r"no samples to load with arrays clip\.npy"):
        clipmill.load(f"{tars}/*.tar", video=False, arrays=("clip.npy",))
    with pytest.raises(
        UserError, match=r"first samples has an array 'b\.npy'; of the last, it has"
    ):
        clipmill.load(f"{tars}/*.tar", video=False, arrays=("npy", "b.npy"))
    with pytest.raises(RecipeError, match=r"such as clip\.npy, no npz"):
        clipmill.load(f"{tars}/*.tar", video=False, arrays=("npz",))
    with pytest.raises(SampleError, match="give video=False"):
        [*clipmill.load(f"{tars}/*.tar", arrays=("npy",))]


@pytest.mark.parametrize("kind", [
    pa.list_(pa.float32()), pa.list_(pa.float32(), 2), pa.list_(pa.float64()),
    pa.large_list(pa.float16()),
])  # fmt: skip
def test_columns_of_vectors_become_arrays(tmp_path, kind):
    videos = make_videos(tmp_path / "v", 3)
    table = pa.table({
        "url": [str(videos / f"{video:02}.mp4") for video in range(3)],
        "vector": pa.array(np.arange(6).reshape(3, 2).astype(np.float16).tolist(), kind),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "t.parquet")
    data = download(tmp_path / "t.parquet", tmp_path / "out")
    (batch,) = data.loader(video=False, columns=("vector",))
    assert batch["vector"].dtype == np.float32
    assert batch["vector"].tolist() == [[0, 1], [2, 3], [4, 5]]
