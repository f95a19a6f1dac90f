"""What `audio` says of sound whose values are known, after encoding and decoding it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from clipmill.core.time import Span
from clipmill.demo.media import make_video
from clipmill.steps.score.loudness import LoudnessMeter, block_samples, k_weighting
from clipmill.steps.score.peaks import ClippingMeter, PeakMeter
from sound_media import RATE, Array, sine, stereo, write_sound
from step_results import cell_of, said_of

LOUDNESS = {
    "1 kHz at -23": [(-23, 20)],
    "1 kHz at -33": [(-33, 20)],
    "quieter before and after is gated": [(-36, 10), (-23, 60), (-36, 10)],
    "below -70 is gated before": [(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)],
    "neither is gated": [(-26, 20), (-20, 20.1), (-26, 20)],
}
"""The test signals 1 to 5 of EBU Tech 3341: levels in dBFS and their lengths in seconds."""


@pytest.mark.parametrize("signal", LOUDNESS)
def test_loudness_is_that_of_ebu_tech_3341(tmp_path: Path, signal: str) -> None:
    parts = [sine(level, seconds) for level, seconds in LOUDNESS[signal]]
    path = write_sound(tmp_path / "tone.wav", stereo(*parts))
    expected = -33 if signal == "1 kHz at -33" else -23
    assert said_of(path, "audio")["loudness_lufs"] == pytest.approx(expected, abs=0.1)


def test_surround_counts_for_more_as_in_signal_6_of_ebu_tech_3341(tmp_path: Path) -> None:
    levels = (-28, -28, -24, -30, -30)
    five = np.stack([sine(level, 20) for level in levels])
    path = write_sound(tmp_path / "five.wav", five, layout="5.0")
    assert said_of(path, "audio")["loudness_lufs"] == pytest.approx(-23, abs=0.1)


def test_the_channel_of_low_frequencies_does_not_count(tmp_path: Path) -> None:
    six = np.stack([sine(level, 5) for level in (-28, -28, -24, 0, -30, -30)])
    path = write_sound(tmp_path / "six.wav", six, layout="5.1")
    assert said_of(path, "audio")["loudness_lufs"] == pytest.approx(-23, abs=0.1)


@pytest.mark.parametrize(
    ("levels", "expected"),
    [((-20, -30), 10), ((-20, -15), 5), ((-40, -20), 20), ((-50, -35, -20, -35, -50), 15)],
)
def test_loudness_range_is_that_of_ebu_tech_3342(
    tmp_path: Path, levels: tuple[float, ...], expected: float
) -> None:
    path = write_sound(tmp_path / "tone.wav", stereo(*(sine(level, 20) for level in levels)))
    assert said_of(path, "audio")["loudness_range_lu"] == pytest.approx(expected, abs=1)


def test_the_filters_are_those_that_the_standard_lists() -> None:
    (lift, shelf), (_, high_pass) = k_weighting(48_000)
    assert lift == pytest.approx([1.53512485958697, -2.69169618940638, 1.19839281085285], abs=1e-8)
    assert shelf == pytest.approx([1, -1.69065929318241, 0.73248077421585], abs=1e-8)
    assert high_pass == pytest.approx([1, -1.99004745483398, 0.99007225036621], abs=1e-8)


@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100, 96_000])
def test_loudness_hardly_depends_on_the_rate(tmp_path: Path, rate: int) -> None:
    path = write_sound(tmp_path / "tone.wav", stereo(sine(-23, 5, rate=rate)), rate=rate)
    assert said_of(path, "audio")["loudness_lufs"] == pytest.approx(-23, abs=0.1)


def test_noise_is_as_loud_as_libavs_own_filter_says() -> None:
    noise = changing_noise(30)
    meter = LoudnessMeter(RATE, 2)
    meter.push(noise)
    integrated, spread = loudness_by_libav(noise)
    assert meter.integrated() == pytest.approx(integrated, abs=0.05)
    assert meter.range() == pytest.approx(spread, abs=0.3)


def changing_noise(seconds: int) -> Array:
    """Noise that gets louder and quieter, lows and highs apart."""
    rng = np.random.default_rng(1)
    count = seconds * RATE
    swell = 10 ** (-1.5 + np.sin(np.linspace(0, 9, count)))
    lows = np.cumsum(rng.normal(0, 0.02, (2, count)), axis=1)
    lows -= np.mean(lows, axis=1, keepdims=True)
    return np.clip(swell * (rng.normal(0, 0.1, (2, count)) + 0.05 * lows), -1, 1).astype(np.float32)


def loudness_by_libav(samples: Array) -> tuple[float, float]:
    """Integrated loudness and loudness range, as ``ebur128`` measures them."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(
        format="fltp", sample_rate=RATE, layout="stereo", time_base=Fraction(1, RATE)
    )
    meter = graph.add("ebur128", "metadata=1:framelog=quiet")
    graph.link_nodes(source, meter, graph.add("abuffersink")).configure()
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
    graph.push(frame)
    graph.push(None)
    said: dict[str, str] = {}
    try:
        while True:
            said = graph.pull().metadata
    except (av.error.BlockingIOError, av.error.EOFError):
        return float(said["lavfi.r128.I"]), float(said["lavfi.r128.LRA"])


@pytest.mark.parametrize(
    ("period", "degrees", "sample_peak"),
    [(4, 0, -6.02), (4, 45, -9.03), (6, 60, -7.27), (8, 67.5, -6.71)],
)
def test_peaks_between_samples_are_those_of_ebu_tech_3341(
    tmp_path: Path, period: int, degrees: float, sample_peak: float
) -> None:
    wave = sine(-6.02, 1, hertz=RATE / period, degrees=degrees)
    fade = np.minimum(1, np.minimum(np.arange(RATE), np.arange(RATE)[::-1]) / 4800)
    path = write_sound(tmp_path / "tone.wav", stereo((wave * fade).astype(np.float32)))
    said = said_of(path, "audio")
    assert said["peak_dbfs"] == pytest.approx(sample_peak, abs=0.02)
    assert -6.4 <= said["true_peak_dbtp"] <= -5.8


@pytest.mark.parametrize("share", [0, 0.25, 1])
def test_silence_is_the_known_share(tmp_path: Path, share: float) -> None:
    silence, tone = np.zeros(round(8 * share * RATE)), sine(-20, 8 * (1 - share))
    said = said_of(write_sound(tmp_path / "tone.wav", stereo(silence, tone)), "audio")
    assert said["silence_share"] == pytest.approx(share, abs=0.001)
    assert len(said["level"]["values"]) == 80


def test_silence_has_no_loudness_and_the_lowest_levels(tmp_path: Path) -> None:
    said = said_of(write_sound(tmp_path / "none.wav", np.zeros((1, 4 * RATE))), "audio")
    assert said["loudness_lufs"] is None
    assert said["loudness_range_lu"] is None
    assert said["peak_dbfs"] == said["true_peak_dbtp"] == said["level"]["max"] == -120


def test_what_counts_as_silent_is_a_setting(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "hush.wav", stereo(sine(-50, 2), sine(-10, 2)))
    # A sine's root mean square is 3 dB below its peak.
    assert said_of(path, "audio")["level"]["first"] == pytest.approx(-53.01, abs=0.02)
    assert said_of(path, "audio")["silence_share"] == 0
    assert said_of(path, "audio", silence_dbfs=-50)["silence_share"] == pytest.approx(0.5)


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_f32le"])
def test_clipping_is_the_known_share_of_samples(tmp_path: Path, codec: str) -> None:
    tone = sine(0, 2, hertz=441)
    too_loud = np.clip(2 * tone, -1, 1)  # at full scale where |sin| >= 1/2: for 2/3 of the time
    path = write_sound(tmp_path / "loud.wav", stereo(tone, too_loud), codec=codec)
    assert said_of(path, "audio")["clipping_share"] == pytest.approx(1 / 3, abs=0.01)


def test_a_sine_that_just_reaches_full_scale_is_not_clipped(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "tone.wav", stereo(sine(0, 2)), codec="pcm_s16le")
    assert said_of(path, "audio")["clipping_share"] == 0


@pytest.mark.parametrize("seed", range(3))
def test_it_does_not_matter_where_stretches_end(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sound = np.clip(100 * changing_noise(2), -1, 1)
    whole, parts = (PeakMeter(2), ClippingMeter(2)), (PeakMeter(2), ClippingMeter(2))
    cuts = np.sort(rng.integers(0, sound.shape[1], 40))
    for whole_meter, meter in zip(whole, parts, strict=True):
        whole_meter.push(sound)
        for part in np.split(sound, cuts, axis=1):
            meter.push(part)
    assert parts[0].true_peak == pytest.approx(whole[0].true_peak)
    assert parts[0].sample_peak == whole[0].sample_peak
    assert parts[1].clipped == whole[1].clipped > 0
    block = block_samples(RATE)
    meters = LoudnessMeter(RATE, 2), LoudnessMeter(RATE, 2)
    meters[0].push(sound)
    for part in np.split(sound, [3 * block, 10 * block], axis=1):
        meters[1].push(part)
    assert meters[1].integrated() == pytest.approx(meters[0].integrated(), abs=1e-4)


def test_of_a_clip_only_its_own_sound_counts(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "tone.wav", stereo(sine(-40, 3), sine(-23, 3), sine(-40, 3)))
    said = said_of(path, "audio", span=Span(Fraction(3), Fraction(6)))
    assert said["loudness_lufs"] == pytest.approx(-23, abs=0.1)
    assert len(said["level"]["values"]) == 30


def test_a_clip_too_short_for_loudness_has_levels(tmp_path: Path) -> None:
    said = said_of(write_sound(tmp_path / "click.wav", stereo(sine(-20, 0.05))), "audio")
    assert said["loudness_lufs"] is None
    assert said["level"]["values"] == pytest.approx([-23.01], abs=0.02)


def test_a_silent_film_is_absent_not_failed(tmp_path: Path) -> None:
    assert cell_of(make_video(tmp_path / "film.mp4", audio=None), "audio").status == "absent"


def test_hours_are_heard_in_stretches(tmp_path: Path) -> None:
    """Longer than a stretch of 8 MB: of 20 s of two channels."""
    path = write_sound(tmp_path / "long.wav", stereo(sine(-23, 45)))
    said = said_of(path, "audio")
    assert len(said["level"]["values"]) == 450
    assert said["loudness_lufs"] == pytest.approx(-23, abs=0.1)
    assert said["level"]["max"] - said["level"]["min"] < 0.01
