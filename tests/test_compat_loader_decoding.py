"""Which frames and sound ``get_video_dataset`` gives, what they look like, and what is filtered."""

import json

import numpy as np
import pytest

from clipmill.compat import get_video_dataset
from clipmill.core.errors import ProcessError, UserError
from load_tars import FPS, FRAMES, keys, npy, numbers, video_samples, wav, write_tar

torch = pytest.importorskip("torch")
COUNT = 6


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    return video_samples(tmp_path_factory.mktemp("videos"), COUNT)


@pytest.fixture(scope="module")
def tar(samples, tmp_path_factory):
    return write_tar(tmp_path_factory.mktemp("tars") / "00000.tar", samples)


def batch(tar, repeat=1, **arguments):
    """All samples as one batch, each as often as it repeats."""
    (made,) = get_video_dataset(str(tar), COUNT * repeat, repeat=repeat, **arguments)
    return made


def decoded(tar, repeat=1, **decoder_kwargs):
    return batch(tar, repeat, decoder_kwargs=decoder_kwargs)


def test_n_frames_are_neighbours_somewhere_in_the_video(tar):
    made = decoded(tar, 8, n_frames=5)
    found = [numbers(frames) for frames in made["mp4"]]
    assert all(one == list(range(one[0], one[0] + 5)) for one in found)
    assert made["start_frame"].tolist() == [one[0] for one in found]
    assert len(set(made["start_frame"].tolist())) > 8
    assert made["start_frame"].max() <= FRAMES - 5


def test_uniformly_sample_gives_the_frames_that_the_peer_gives(tar):
    made = decoded(tar, n_frames=5, uniformly_sample=True)
    expected = np.linspace(0, FRAMES - 1, 5).astype(int).tolist()
    assert [numbers(frames) for frames in made["mp4"]] == [expected] * COUNT
    assert made["start_frame"].tolist() == [0] * COUNT


def test_fps_as_a_number(tar):
    made = decoded(tar, n_frames=4, fps=4)
    assert all(np.diff(numbers(frames)).tolist() == [3, 3, 3] for frames in made["mp4"])
    assert made["native_fps"].tolist() == [4] * COUNT
    assert not made["fps_id"].any()


def test_fps_as_a_list_takes_one_that_the_source_has(tar):
    made = decoded(tar, 6, n_frames=3, fps=[30, 6, 12])
    steps = [np.diff(numbers(frames)).tolist() for frames in made["mp4"]]
    assert made["native_fps"].tolist() == [FPS // first for first, _ in steps]
    assert set(made["native_fps"].tolist()) == {6, 12}
    ids = {6: 1, 12: 2}
    assert made["fps_id"].tolist() == [[ids[fps]] * 3 for fps in made["native_fps"]]
    with pytest.raises(ProcessError, match="12 frames/s, fewer than any rate"):
        decoded(tar, n_frames=3, fps=[30])


def test_fps_sample_takes_whole_rates_between_min_fps_and_max_fps(tar):
    made = decoded(tar, 10, n_frames=2, fps="sample", min_fps=3, max_fps=20)
    rates = made["native_fps"].tolist()
    assert 3 <= min(rates) <= max(rates) <= FPS
    assert len(set(rates)) > 5
    assert made["fps_id"][:, 0].tolist() == [rate - 3 for rate in rates]


def test_pad_frames_fills_up_and_pad_masks_tell(tar):
    made = decoded(tar, n_frames=FRAMES + 2, pad_frames=True)
    assert made["pad_masks"].tolist() == [[1.0] * FRAMES + [0.0] * 2] * COUNT
    assert not made["mp4"][:, FRAMES:].any()
    with pytest.raises(ProcessError, match="24 of the 26 frames"):
        decoded(tar, n_frames=FRAMES + 2)


def test_return_bytes_and_what_has_no_effect(tar, samples):
    made = decoded(tar, n_frames=2, return_bytes=True, num_threads=2, tmpdir="/nowhere")
    assert made["video_bytes"] == [one["mp4"] for one in samples.values()]


@pytest.mark.parametrize(
    ("sizes", "shape"),
    [
        ({"resize_size": 48}, (48, 64)),
        ({"resize_size": [40, 100]}, (40, 100)),
        ({"resize_size": 64, "crop_size": 48}, (48, 48)),
        ({"crop_size": [32, 64]}, (32, 64)),
    ],
)
def test_resize_size_and_crop_size(tar, sizes, shape):
    made = batch(tar, decoder_kwargs={"n_frames": 2}, **sizes)
    assert made["mp4"].shape == (COUNT, 2, *shape, 3)
    assert made["mp4"].dtype == torch.float16
    assert made["original_height"].tolist() == [[96, 96]] * COUNT


def test_a_crop_is_from_the_middle_or_by_chance_the_same_in_all_frames(tar):
    still = {"decoder_kwargs": {"n_frames": 2, "uniformly_sample": True}}
    whole = batch(tar, **still)["mp4"].half()
    middle = batch(tar, crop_size=[90, 100], **still)["mp4"]
    assert torch.equal(middle, whole[:, :, 3:93, 14:114])
    cut = batch(tar, crop_size=[90, 100], random_crop=True, **still)["mp4"]
    places = []
    for sample, full in zip(cut, whole, strict=True):
        places += [
            (y, x)
            for y in range(7)
            for x in range(29)
            if torch.equal(sample, full[:, y : y + 90, x : x + 100])
        ]
    assert len(places) == COUNT
    assert len(set(places)) > 1
    with pytest.raises(ProcessError, match="smaller than crop_size 100x100"):
        batch(tar, crop_size=100, **still)


def test_original_sizes_may_be_called_otherwise(tar):
    names = {"original_height_key": "h", "original_width_key": "w"}
    made = batch(tar, decoder_kwargs={"n_frames": 1}, **names)
    assert (made["h"].unique().tolist(), made["w"].unique().tolist()) == ([96], [128])


@pytest.mark.parametrize("cuts_key", ["npy", "json"])
def test_b12_cuts_key_keeps_frames_within_one_scene(samples, tmp_path, cuts_key):
    scenes = [[0, 3], [3, 11], [11, 24]]
    cuts = {"cuts": {"original_fps": FPS, "cuts_original_fps": scenes}}
    data = {"npy": npy(np.array(scenes)), "json": json.dumps(cuts).encode()}[cuts_key]
    given = {key: {**members, cuts_key: data} for key, members in samples.items()}
    tar = write_tar(tmp_path / "a.tar", given)
    arguments = {"cuts_key": cuts_key, "decoder_kwargs": {"n_frames": 5}}
    made = batch(tar, 8, **arguments)
    assert cuts_key not in made
    found = [numbers(frames) for frames in made["mp4"]]
    held = [[s for s in scenes if s[0] <= one[0] and one[-1] < s[1]] for one in found]
    assert all(len(one) == 1 for one in held)
    assert {tuple(one[0]) for one in held} == {(3, 11), (11, 24)}  # the first one is too short
    at_rate = batch(tar, 4, cuts_key=cuts_key, decoder_kwargs={"n_frames": 4, "fps": 4})
    assert all(numbers(frames)[0] >= 11 for frames in at_rate["mp4"])
    with pytest.raises(ProcessError, match="13 of the 14 frames"):
        batch(tar, cuts_key=cuts_key, decoder_kwargs={"n_frames": 14})


def test_sound_comes_resampled_padded_and_masked(tmp_path):
    given = {"a": {"wav": wav(3, 44_100), "txt": b"x"}, "b": {"wav": wav(1, 8000), "txt": b"y"}}
    tar = write_tar(tmp_path / "a.tar", given)
    kwargs = {"sample_rate": 16_000, "max_length": 2, "extension": "wav"}
    (made,) = get_video_dataset(str(tar), 2, video_key="wav", decoder_kwargs=kwargs)
    assert made["wav"].shape == (2, 1, 32_000)
    assert made["wav"].dtype == torch.float32
    assert made["original_sample_rate"].tolist() == [44_100, 8000]
    assert made["sample_rate"].tolist() == [16_000] * 2
    # A14: 1 where there is sound, as pad_masks have it of frames
    assert made["audio_pad_masks"].sum(dim=1).tolist() == [32_000, 16_000]
    assert made["audio_pad_masks"][1, 15_999] == 1
    assert not made["wav"][1, :, 16_000:].any()
    assert abs(made["wav"][0, 0, -1] - (2 / 3 - 0.5)) < 0.01
    stereo = {**kwargs, "num_channels": 2}
    (made,) = get_video_dataset(str(tar), 2, video_key="wav", decoder_kwargs=stereo)
    assert made["wav"].shape == (2, 2, 32_000)


@pytest.mark.parametrize("decoder_kwargs", [{"n_frames": 1}, {}])
def test_aesthetics_threshold_keeps_what_reaches_it(tar, decoder_kwargs):
    assert kept(tar, decoder_kwargs, aesthetics_threshold=3) == [3, 4, 5]


@pytest.mark.parametrize("decoder_kwargs", [{"n_frames": 1}, {}])
def test_a7_p_unsafe_threshold_keeps_what_lies_below(tar, decoder_kwargs):
    assert kept(tar, decoder_kwargs, p_unsafe_threshold=0.2) == [0, 1]


@pytest.mark.parametrize("decoder_kwargs", [{"n_frames": 1}, {}])
def test_a8_allowed_languages_keep_texts_in_them(tar, decoder_kwargs):
    pytest.importorskip("py3langid")
    assert kept(tar, decoder_kwargs, allowed_languages="en") == [0, 3]
    assert kept(tar, decoder_kwargs, allowed_languages=["de", "FR"]) == [1, 2, 4, 5]


def kept(tar, decoder_kwargs, **filters):
    """Numbers of the samples that filters leave."""
    found = get_video_dataset(str(tar), 4, decoder_kwargs=decoder_kwargs, **filters)
    left = keys(found) if decoder_kwargs else [one["__key__"] for one in found]
    return [int(key) for key in left]


def test_a_sample_without_a_score_is_for_the_handler_to_decide(samples, tmp_path):
    bare = {name: data for name, data in samples["00001"].items() if name != "json"}
    tar = write_tar(tmp_path / "a.tar", {"00000": samples["00000"], "00001": bare})
    with pytest.raises(ProcessError, match="Sample 00001: its json has no number 'punsafe'"):
        kept(tar, {}, p_unsafe_threshold=0.5)
    assert kept(tar, {}, p_unsafe_threshold=0.5, handler=lambda error: True) == [0]


def test_filters_that_leave_nothing_are_told_rather_than_waited_for(tar, caplog):
    assert kept(tar, {}, aesthetics_threshold=99) == []
    assert "Not one sample was kept (aesthetics_threshold: 6)" in caplog.text
    with pytest.raises(UserError, match="Not one sample was kept"):
        kept(tar, {}, aesthetics_threshold=99, repeat=None)
