"""video2dataset's ``get_video_dataset``: every argument, and batches under its names."""

import inspect
from pathlib import Path

import fsspec
import numpy as np
import pytest

from clipmill.compat import get_video_dataset
from clipmill.core.errors import InputError, ProcessError, RecipeError, UserError
from load_tars import FPS, FRAMES, TEXTS, keys, numbers, video_samples, write_tar

torch = pytest.importorskip("torch")
wds = pytest.importorskip("webdataset")
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")

COUNT = 7
KEYS = [f"{number:05}" for number in range(COUNT)]
TWO = {"n_frames": 2}
PEER_DEFAULTS = {
    "shuffle": 0, "repeat": 1, "drop_last": False, "video_key": "mp4", "cuts_key": None,
    "decoder_kwargs": None, "custom_transforms": None, "aesthetics_threshold": None,
    "allowed_languages": None, "p_unsafe_threshold": None, "resize_size": None, "crop_size": None,
    "random_crop": False, "original_height_key": "original_height",
    "original_width_key": "original_width", "keys_to_remove": None,
    "enforce_additional_keys": None, "return_always": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    return video_samples(tmp_path_factory.mktemp("videos"), COUNT)


@pytest.fixture(scope="module")
def tars(samples, tmp_path_factory):
    """A folder with seven samples in tars of four and three."""
    folder = tmp_path_factory.mktemp("tars")
    for tar, part in enumerate((KEYS[:4], KEYS[4:])):
        write_tar(folder / f"{tar:05}.tar", {key: samples[key] for key in part})
    return folder


def batches(tars, batch_size=4, **arguments):
    return [*get_video_dataset(str(tars), batch_size, **arguments)]


def test_the_loader_has_the_peers_arguments_in_order_with_its_defaults():
    parameters = inspect.signature(get_video_dataset).parameters
    assert list(parameters) == ["urls", "batch_size", *PEER_DEFAULTS, "handler"]
    assert {name: parameters[name].default for name in PEER_DEFAULTS} == PEER_DEFAULTS


def test_a_batch_has_the_peers_keys_axes_and_types(tars):
    first, second = batches(tars, decoder_kwargs=TWO)
    assert len(second["__key__"]) == 3
    assert first["mp4"].shape == (4, 2, 96, 128, 3)
    assert first["mp4"].dtype == torch.float32
    assert 200 < first["mp4"].max() <= 255
    for name in ("fps_id", "original_height", "original_width"):
        assert first[name].shape == (4, 2)
        assert first[name].dtype == torch.int64
    assert first["pad_masks"].dtype == torch.float32
    assert first["pad_masks"].tolist() == [[1, 1]] * 4
    assert (first["original_height"][0, 0], first["original_width"][0, 0]) == (96, 128)
    assert first["native_fps"].tolist() == [FPS] * 4
    assert isinstance(first["start_frame"], np.ndarray)
    assert first["txt"] == [TEXTS[number % 3] for number in range(4)]
    assert [one["AESTHETIC_SCORE"] for one in first["json"]] == [0, 1, 2, 3]
    assert first["__key__"] == KEYS[:4]
    assert first["__url__"] == [str(tars / "00000.tar")] * 4


@pytest.mark.parametrize("num_workers", [0, 2, 9])
def test_it_is_made_for_webloader_and_dataloader(tars, num_workers):
    dataset = get_video_dataset(str(tars), 2, decoder_kwargs=TWO, shuffle=10)
    for loader in (
        wds.WebLoader(dataset, batch_size=None, num_workers=num_workers),
        torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=num_workers),
    ):
        assert sorted(keys(loader)) == KEYS


@pytest.mark.parametrize("urls", [
    "{folder}/0000{{0..1}}.tar", "{folder}/*.tar", "{folder}",
    ["{folder}/00000.tar", "{folder}/00001.tar"],
])  # fmt: skip
def test_urls(tars, urls):
    several = [urls] if isinstance(urls, str) else urls
    given = [url.format(folder=tars) for url in several]
    given = given if isinstance(urls, list) else given[0]
    assert keys(get_video_dataset(given, 4, decoder_kwargs=TWO)) == KEYS


def test_urls_that_are_pipes_are_refused_by_name(tars):
    with pytest.raises(RecipeError, match=r"urls: a pipe: .*s3://bucket"):
        get_video_dataset("pipe: cat x.tar", 4)
    with pytest.raises(InputError, match=r"00009\.tar"):
        get_video_dataset(str(tars / "00009.tar"), 4)


def test_urls_of_far_storage_are_read_in_few_requests(tars, monkeypatch):
    memory = fsspec.filesystem("memory")
    memory.put(str(tars), "/v2d", recursive=True)
    asked = []
    read = type(memory).cat_file

    def spy(self, path, start=None, end=None, **options):
        asked.append((path, start, end))
        return read(self, path, start, end, **options)

    monkeypatch.setattr(type(memory), "cat_file", spy)
    found = batches("memory://v2d/{00000..00001}.tar", decoder_kwargs=TWO)
    memory.rm("/v2d", recursive=True)
    assert keys(found) == KEYS
    assert len(asked) == 2  # one for each batch, which has texts and scores of its samples too


def test_shuffle_mixes_samples_anew_each_time(tars):
    dataset = get_video_dataset(str(tars), 4, shuffle=100, decoder_kwargs=TWO)
    orders = {tuple(keys(dataset)) for _ in range(5)}
    assert len(orders) > 2
    assert all(sorted(order) == KEYS for order in orders)
    torch.manual_seed(5)
    first = keys(batches(tars, shuffle=100, decoder_kwargs=TWO))
    torch.manual_seed(5)
    assert keys(batches(tars, shuffle=100, decoder_kwargs=TWO)) == first


@pytest.mark.parametrize("forever", [None, -1])
def test_repeat(tars, forever):
    assert keys(batches(tars, repeat=2, decoder_kwargs=TWO)) == KEYS * 2
    endless = iter(get_video_dataset(str(tars), 7, repeat=forever, decoder_kwargs=TWO))
    assert keys(next(endless) for _ in range(3)) == KEYS * 3


def test_drop_last(tars, monkeypatch):
    assert [len(b["__key__"]) for b in batches(tars, drop_last=True, decoder_kwargs=TWO)] == [4]
    monkeypatch.setenv("WORLD_SIZE", "2")
    shares = {}
    for drop_last in (False, True):
        for rank in "01":
            monkeypatch.setenv("RANK", rank)
            settings = {"drop_last": drop_last, "decoder_kwargs": TWO}
            shares[drop_last, rank] = keys(batches(tars, 1, **settings))
    assert sorted(shares[False, "0"] + shares[False, "1"]) == KEYS
    assert sorted(shares[True, "0"] + shares[True, "1"]) == KEYS[:6]


def test_decoder_kwargs_of_nothing_give_bytes_unbatched(tars, samples):
    found = batches(tars)
    assert [one["__key__"] for one in found] == KEYS
    for one in found:
        assert {name: one[name] for name in ("mp4", "txt", "json")} == samples[one["__key__"]]


def test_keys_to_remove_and_enforce_additional_keys(samples, tmp_path):
    without = {name: data for name, data in samples["00001"].items() if name != "txt"}
    tar = write_tar(tmp_path / "a.tar", {"00000": samples["00000"], "00001": without})
    assert keys(batches(tar, decoder_kwargs=TWO)) == ["00000"]
    assert keys(batches(tar, decoder_kwargs=TWO, enforce_additional_keys=[])) == KEYS[:2]
    (batch,) = batches(tar, decoder_kwargs=TWO, keys_to_remove="json")
    assert "json" not in batch
    with pytest.raises(RecipeError, match="keys_to_remove takes away 'txt'"):
        batches(tar, keys_to_remove=["txt"])


def test_custom_transforms(tars):
    halves = {"mp4": lambda video: video / 2, "txt": len}
    plain, halved = (
        batches(tars, decoder_kwargs={"n_frames": 3, "uniformly_sample": True}, **more)[0]
        for more in ({}, {"custom_transforms": halves})
    )
    assert torch.equal(halved["mp4"], plain["mp4"] / 2)
    assert halved["txt"].tolist() == [len(text) for text in plain["txt"]]


def test_handler_and_return_always(samples, tmp_path):
    damaged = {**samples["00001"], "mp4": bytes(5000)}
    given = {"00000": samples["00000"], "00001": damaged, "00002": samples["00002"]}
    tar = write_tar(tmp_path / "a.tar", given)
    with pytest.raises(ProcessError, match=r"Sample 00001: .*warn_and_continue"):
        batches(tar, decoder_kwargs=TWO)
    seen = []
    with_handler = {"decoder_kwargs": TWO, "handler": lambda error: not seen.append(error)}
    assert keys(batches(tar, **with_handler)) == ["00000", "00002"]
    assert [type(error) for error in seen] == [ProcessError]
    stopping = {"decoder_kwargs": TWO, "handler": wds.ignore_and_stop}
    assert keys(batches(tar, **stopping)) == ["00000"]
    (batch,) = batches(tar, return_always=True, **with_handler)
    assert batch["__corrupted__"].tolist() == [False, True, False]
    assert batch["__key__"] == KEYS[:3]
    assert torch.equal(batch["mp4"][1], batch["mp4"][0])
    only = batches(tar, 1, return_always=True, **with_handler)[1]
    assert set(only) == {"__key__", "__url__", "__corrupted__"}


def test_a_damaged_tar_costs_the_samples_that_lie_there(tars, tmp_path):
    whole = (tars / "00000.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ProcessError, match="cut short"):
        batches(tmp_path, decoder_kwargs=TWO)
    left = keys(batches(tmp_path, decoder_kwargs=TWO, handler=wds.ignore_and_continue))
    assert left == KEYS[: len(left)]
    assert 0 < len(left) < 4


def test_one_size_is_needed_for_a_batch_and_the_error_says_so(samples, tmp_path):
    (tmp_path / "wide").mkdir()
    wide = video_samples(tmp_path / "wide", 1, width=160)["00000"]
    tar = write_tar(tmp_path / "a.tar", {"00000": samples["00000"], "00001": wide})
    with pytest.raises(UserError, match="resize_size"):
        batches(tar, decoder_kwargs=TWO)
    (batch,) = batches(tar, decoder_kwargs=TWO, resize_size=[48, 64])
    assert batch["original_width"][:, 0].tolist() == [128, 160]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"decoder_kwargs": {"n_frame": 2}}, "Did you mean 'n_frames'"),
        ({"decoder_kwargs": {"n_frames": 2, "fps": 4, "uniformly_sample": True}}, "exclude each"),
        ({"decoder_kwargs": {"uniformly_sample": True}}, "needs n_frames"),
        ({"decoder_kwargs": {"fps": "native"}}, "decoder_kwargs: fps: must be"),
        ({"video_key": "m4a", "decoder_kwargs": {"n_frames": 2}}, "Unknown key 'n_frames'"),
        ({"cuts_key": "npy"}, "give decoder_kwargs"),
        ({"cuts_key": "pyd", "decoder_kwargs": TWO}, "not pyd"),
        ({"resize_size": 32}, "give decoder_kwargs"),
        ({"random_crop": True, "decoder_kwargs": TWO}, "needs crop_size"),
        ({"repeat": 0}, "repeat"),
    ],
)
def test_what_cannot_be_is_refused_by_name(tars, arguments, told):
    with pytest.raises(RecipeError, match=told):
        batches(tars, **arguments)


def test_members_are_decoded_as_webdataset_does_but_no_pickle_is_loaded(samples, tmp_path):
    members = {**samples["00000"], "cls": b"7", "jpg": b"picture", "pyd": b"cos\nsystem\n."}
    tar = write_tar(tmp_path / "a.tar", {"00000": members})
    (batch,) = batches(tar, decoder_kwargs=TWO)
    assert batch["cls"].tolist() == [7]
    assert (batch["jpg"], batch["pyd"]) == ([b"picture"], [members["pyd"]])


def test_frames_are_all_of_them_where_no_number_is_given(tars):
    batch = batches(tars, 1, decoder_kwargs={"return_bytes": False})[0]
    assert numbers(batch["mp4"][0]) == list(range(FRAMES))
    assert Path(batch["__url__"][0]).is_file()
