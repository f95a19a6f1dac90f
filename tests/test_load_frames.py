"""Which frames a loader gives of a sample, and how they look: the formulas of the documentation."""

from fractions import Fraction

import numpy as np
import pytest

import clipmill
from clipmill.core.errors import RecipeError, SampleError
from clipmill.core.request import Audio, Frames, Want
from clipmill.demo.media import make_video, read_frame_number
from clipmill.media.decode import MediaFile

FPS, SECONDS = 24, 3


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Three seconds at 24 frames/s, 128x96; frame n carries the number n."""
    return make_video(tmp_path_factory.mktemp("load") / "a.mp4", seconds=SECONDS, fps=FPS)


@pytest.fixture(scope="module")
def raw(video, tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    return clipmill.download([str(video)], folder, allow_local_paths=True, quiet=True)


def one(dataset, **settings):
    """The only batch of a dataset with one sample."""
    (batch,) = dataset.loader(**settings)
    return batch


def numbers(batch):
    return [read_frame_number(frame) for frame in batch["frames"][0]]


def shown(loader):
    """The numbers of the frames in the next epoch of a dataset with one sample."""
    (batch,) = loader
    return numbers(batch)


def decoded(path, request):
    with MediaFile(path) as media:
        pieces = list(media.decode([Want(request)]))
        return [piece.pixels for piece in pieces for _ in range(piece.repeat)]


def test_uniform_frames_are_those_of_the_decoder_at_the_middles_of_equal_parts(raw, video):
    batch = one(raw, frames=6)
    assert numbers(batch) == [int((k + 0.5) / 6 * SECONDS * FPS) for k in range(6)]
    assert np.array_equal(batch["frames"][0], np.stack(decoded(video, Frames(count=6))))
    assert batch["pts_seconds"][0].tolist() == [n / FPS for n in numbers(batch)]
    assert batch["frame_mask"].all()


def test_frames_of_a_size_are_bit_for_bit_those_of_the_decoder(raw, video):
    batch = one(raw, frames=4, size=(64, 48), crop="none")
    expected = decoded(video, Frames(count=4, size=(64, 48)))
    assert np.array_equal(batch["frames"][0], np.stack(expected))
    batch = one(raw, frames=4, short_side=48)
    assert np.array_equal(
        batch["frames"][0], np.stack(decoded(video, Frames(count=4, short_side=48)))
    )


def test_a_square_is_cut_from_the_middle_before_it_is_scaled(raw, video):
    batch = one(raw, frames=2, size=32)
    expected = decoded(video, Frames(count=2, crop=(16, 0, 96, 96), size=(32, 32)))
    assert np.array_equal(batch["frames"][0], np.stack(expected))


def test_a_random_crop_is_the_same_in_all_frames_and_another_in_each_epoch(raw, video):
    loader = raw.loader(frames=2, size=32, crop="random")
    found = []
    for _ in range(6):
        (batch,) = loader
        boxes = [
            x
            for x in range(33)
            if np.array_equal(
                batch["frames"][0],
                np.stack(decoded(video, Frames(count=2, crop=(x, 0, 96, 96), size=(32, 32)))),
            )
        ]
        assert len(boxes) == 1
        found += boxes
    assert len(set(found)) > 2


def test_a_stretch_at_a_rate_lies_in_the_middle(raw):
    batch = one(raw, frames=5, fps=8)
    start = (SECONDS - 5 / 8) / 2
    assert numbers(batch) == [int((start + k / 8) * FPS) for k in range(5)]


@pytest.mark.parametrize(("position", "first"), [("first", 0), ("middle", 24)])
def test_a_stretch_of_every_nth_frame(raw, position, first):
    batch = one(raw, frames=8, stride=3, position=position)
    wanted = [first + 3 * k for k in range(8)]
    assert abs(numbers(batch)[0] - first) <= 1
    assert np.diff(numbers(batch)).tolist() == np.diff(wanted).tolist()


def test_random_stretches_lie_anywhere_within_the_sample(raw):
    loader = raw.loader(frames=4, stride=2, position="random", seed=1)
    starts = [shown(loader)[0] for _ in range(40)]
    assert min(starts) < 10
    assert max(starts) > 55
    assert max(starts) <= SECONDS * FPS - 7


def test_frames_from_the_first_to_the_last(raw):
    last = SECONDS * FPS - 1
    assert numbers(one(raw, frames=6, position="ends")) == [k * last // 5 for k in range(6)]
    assert numbers(one(raw, frames=1, position="ends")) == [0]
    everyone = numbers(one(raw, frames=100, position="ends"))
    assert everyone == [k * last // 99 for k in range(100)]


def test_random_frames_are_one_of_each_equal_part(raw):
    loader = raw.loader(frames=6, position="random")
    first, second = (shown(loader) for _ in range(2))
    assert first != second
    for found in (first, second):
        assert [number // 12 for number in found] == list(range(6))


def test_a_rate_or_nothing_gives_all_frames(raw):
    assert numbers(one(raw, fps=2)) == [0, 12, 24, 36, 48, 60]
    assert numbers(one(raw, stride=24)) == [0, 24, 48]
    assert numbers(one(raw)) == list(range(SECONDS * FPS))


def test_of_several_rates_each_sample_gets_one_by_chance(raw):
    loader = raw.loader(frames=3, fps=(4, 8, 12), position="first", seed=2)
    steps = {shown(loader)[1] for _ in range(20)}
    assert steps == {6, 3, 2}
    loader = raw.loader(frames=3, fps_range=(2, 12), position="first")
    steps = {shown(loader)[1] for _ in range(20)}
    assert min(steps) >= 2
    assert max(steps) <= 12
    assert len(steps) > 4


def test_rates_that_the_source_does_not_have_are_not_chosen(raw):
    loader = raw.loader(frames=2, fps=(12, 24, 30, 60), position="first", seed=3)
    assert {shown(loader)[1] for _ in range(20)} == {2, 1}
    fastest = [float(next(iter(loader))["fps"][0]) for loader in _epochs(raw, fps_range=(20, 99))]
    assert 20 <= min(fastest) <= max(fastest) <= FPS
    loader = raw.loader(frames=2, fps=(30, 60))
    with pytest.raises(SampleError, match="No sample could be loaded in the whole epoch"):
        list(loader)
    assert loader.failures == {"rate_too_high": 1}


def _epochs(dataset, **settings):
    for epoch in range(20):
        loader = dataset.loader(frames=2, **settings)
        loader.set_epoch(epoch)
        yield loader


def test_batches_say_what_was_chosen_and_what_the_source_is(raw):
    batch = one(raw, frames=4, fps=(8,), size=32, audio=True, audio_rate=8000)
    assert batch["fps"].tolist() == [8]
    assert batch["start_frame"].tolist() == [numbers(one(raw, frames=4, fps=(8,)))[0]]
    assert (batch["original_width"].tolist(), batch["original_height"].tolist()) == ([128], [96])
    assert [batch[name].tolist() for name in ("audio_rate", "original_audio_rate")] == [
        [8000],
        [48000],
    ]
    assert one(raw, frames=4)["fps"].tolist() == [FPS]


def test_what_a_sample_is_too_short_for_is_black_and_masked(raw):
    batch = one(raw, frames=10, fps=2)
    assert batch["frame_mask"][0].tolist() == [True] * 6 + [False] * 4
    assert batch["frames"].shape[1] == 10
    assert not batch["frames"][0, 6:].any()
    assert np.isnan(batch["pts_seconds"][0, 6:]).all()
    loader = raw.loader(frames=10, fps=2, short="fail")
    with pytest.raises(SampleError, match="No sample could be loaded in the whole epoch"):
        list(loader)
    assert loader.failures == {"too_short": 1}
    with pytest.raises(SampleError, match=r"Sample 0+: it has 6 of the 10 frames"):
        [*raw.loader(frames=10, fps=2, short="fail", on_error="raise")]


def test_axes_are_as_asked_for(raw):
    usual = one(raw, frames=2)["frames"]
    assert np.array_equal(
        one(raw, frames=2, layout="tchw")["frames"], usual.transpose(0, 1, 4, 2, 3)
    )
    assert np.array_equal(
        one(raw, frames=2, layout="cthw")["frames"], usual.transpose(0, 4, 1, 2, 3)
    )


def test_the_sound_is_that_of_the_frames(raw, video):
    batch = one(raw, frames=4, fps=4, audio=True, audio_rate=16_000, audio_channels=1)
    assert batch["audio"].shape == (1, 1, 16_000)
    assert batch["audio_rate"].tolist() == [16_000]
    with MediaFile(video) as media:
        pieces = media.decode([Want(Audio(rate=16_000, channels=1), None)])
        whole = np.concatenate([piece.samples for piece in pieces], axis=1)
    start = int(Fraction(SECONDS - 1, 2) * 16_000)
    assert np.allclose(batch["audio"][0], whole[:, start : start + 16_000], atol=1e-4)


def test_sound_alone(raw):
    batch = one(raw, video=False, audio=True)
    assert "frames" not in batch
    assert abs(batch["audio"].shape[2] / batch["audio_rate"][0] - SECONDS) < 0.1


def test_a_sample_can_come_several_times_with_choices_of_its_own(raw):
    batch = one(raw, frames=2, position="random", clips_per_sample=3)
    assert batch["key"] == [batch["key"][0]] * 3
    assert len({frames.tobytes() for frames in batch["frames"]}) == 3


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"frame": 8}, "Did you mean 'frames'"),
        ({"fps": 2, "stride": 2}, "exclude each other"),
        ({"size": 32, "short_side": 32}, "exclude each other"),
        ({"video": False}, "neither video, audio, arrays nor columns"),
        ({"frames": 0}, "greater than 0"),
        ({"fps": float("inf")}, "finite"),
        ({"frames": 4, "fps": 2, "position": "ends"}, "spread"),
        ({"layout": "hwc"}, "'thwc', 'tchw' or 'cthw'"),
    ],
)
def test_wrong_settings_are_told_at_once(raw, settings, told):
    with pytest.raises(RecipeError, match=told):
        raw.loader(**settings)
