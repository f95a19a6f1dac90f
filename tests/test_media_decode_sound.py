"""Sound: every sample in its place, at any rate, wherever a span begins."""

from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from clipmill.core.request import Audio, Want
from clipmill.core.time import Span
from clipmill.demo.media import AUDIO_RATE, make_audio, make_video
from clipmill.media.decode import MediaFile


def listen(path, span=None, **audio):
    """(start in seconds, samples) of what is heard of a span."""
    with MediaFile(path) as file:
        pieces = list(file.decode([Want(Audio(**audio), span)]))
    rate = audio.get("rate") or AUDIO_RATE
    for earlier, later in pairwise(pieces):
        gap = later.start_seconds - earlier.start_seconds
        assert gap == Fraction(earlier.samples.shape[1], rate)
    return pieces[0].start_seconds, np.concatenate([p.samples for p in pieces], axis=1)


def tone(count, rate):
    """What ``make_audio`` plays in the first half second."""
    return 0.25 * np.sin(2 * np.pi * 220 * np.arange(count) / rate)


@pytest.mark.parametrize(
    ("name", "codec", "tolerance"),
    [
        ("a.wav", "pcm_s16le", 1e-4),
        ("a.flac", "flac", 1e-4),
        ("a.m4a", "aac", 0.02),
        ("a.mp3", "libmp3lame", 0.02),
        ("a.ogg", "libopus", 0.02),
        ("a.mka", "aac", 0.02),
    ],
)
def test_no_codec_shifts_a_sample(tmp_path, name, codec, tolerance):
    start, samples = listen(make_audio(tmp_path / name, codec=codec, seconds=1))
    assert start == 0
    assert samples.shape[1] >= AUDIO_RATE
    # The first milliseconds are those of a codec that has not swung in.
    difference = samples[:, 2_000:20_000] - tone(20_000, AUDIO_RATE)[2_000:]
    assert np.abs(difference).max() < tolerance


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 96_000])
def test_resampling_keeps_every_moment_where_it_is(tmp_path, rate):
    path = make_audio(tmp_path / "a.wav", codec="pcm_s16le", seconds=1)
    start, samples = listen(path, rate=rate, channels=1)
    assert (start, samples.shape) == (0, (1, rate))
    half = rate // 2 - 300
    assert np.abs(samples[0, 300:half] - tone(half, rate)[300:]).max() < 1e-3


def test_a_span_holds_the_samples_that_start_within_it(tmp_path):
    path = make_audio(tmp_path / "a.wav", codec="pcm_s16le", seconds=2)
    _, whole = listen(path, rate=16_000)
    span = Span(Fraction("0.33333"), Fraction("1.5"))
    start, samples = listen(path, span, rate=16_000)
    first = -(-span.start * 16_000 // 1)
    assert start == Fraction(first, 16_000)
    assert np.array_equal(samples, whole[:, first:24_000])


@pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
def test_sound_sought_is_sound_heard(tmp_path, name):
    codec = {"a.mp4": "flac", "a.mov": "pcm_s16le"}[name]
    path = tmp_path / name
    make_video(path, seconds=70, fps=1, gop=10, audio=codec)
    _, whole = listen(path, rate=16_000, channels=1)
    start, samples = listen(path, Span(Fraction(68), Fraction(69)), rate=16_000, channels=1)
    assert start == 68
    assert np.array_equal(samples, whole[:, 68 * 16_000 : 69 * 16_000])


def test_several_rates_and_spans_in_one_decode(tmp_path):
    path = make_audio(tmp_path / "a.wav", codec="pcm_s16le", seconds=2)
    wants = [
        Want(Audio(rate=16_000, channels=1)),
        Want(Audio(rate=16_000, channels=1), Span(Fraction(1), Fraction(2))),
        Want(Audio(channels=2), Span(Fraction(0), Fraction(1))),
    ]
    counts = [0, 0, 0]
    with MediaFile(path) as file:
        for piece in file.decode(wants):
            counts[piece.want] += piece.samples.shape[1]
    assert counts == [32_000, 16_000, AUDIO_RATE]


def test_channels_are_mixed_down(tmp_path):
    path = make_audio(tmp_path / "a.wav", codec="pcm_s16le", seconds=1)
    _, stereo = listen(path)
    _, mono = listen(path, channels=1)
    assert (stereo.shape[0], mono.shape[0]) == (2, 1)
    assert np.abs(mono[0] - stereo.mean(axis=0)).max() < 1e-3


def test_one_channel_is_as_loud_on_two(tmp_path):
    path = make_audio(tmp_path / "a.wav", codec="pcm_s16le", seconds=1, channels=1)
    assert np.array_equal(*listen(path, channels=2)[1])
    assert np.array_equal(listen(path, channels=2)[1][:1], listen(path)[1])


@pytest.mark.parametrize("layout", ["5.1", "7.1", "12 channels"])
def test_sound_of_many_channels(tmp_path, layout):
    path = tmp_path / "a.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8_000)
        stream.codec_context.layout = layout
        count = len(av.AudioLayout(layout).channels)
        samples = np.repeat(np.arange(8_000, dtype=np.int16), count)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout=layout)
        frame.sample_rate, frame.pts = 8_000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    _, all_of_them = listen(path, rate=8_000)
    _, mono = listen(path, rate=8_000, channels=1)
    ramp = np.arange(8_000) / 2**15
    assert np.abs(all_of_them - ramp).max() < 1e-6
    assert all_of_them.shape[0] == count
    assert np.abs(mono[0] - ramp).max() < 1e-3


def test_sound_is_timed_from_the_first_frame(tmp_path):
    path = make_video(tmp_path / "a.mkv", seconds=2, start_seconds=3, audio="flac")
    with MediaFile(path) as file:
        assert abs(file.sound.start_seconds) < Fraction(1, 1000)
        assert file.sound.end_seconds == pytest.approx(2, abs=0.1)


def test_all_is_given_in_order_of_time_however_long_a_packet_is(tmp_path):
    """One rate of a packet must not run ahead of another: clips end when a later piece comes."""
    samples = (8000 * np.sin(np.arange(3 * 16_000) / 10)).astype(np.int16)[None]
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.rate, frame.pts, frame.time_base = 16_000, 0, Fraction(1, 16_000)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    spans = [Span.parse((start, start + 1)) for start in (1, 0, 2)]
    wants = [Want(Audio(rate=rate), span) for rate in (None, 48_000) for span in spans]
    with MediaFile(tmp_path / "a.mkv") as file:
        pieces = list(file.decode(wants))
    times = [piece.start_seconds for piece in pieces]
    assert times == sorted(times)
    heard = [sum(p.samples.shape[1] for p in pieces if p.want == n) for n in range(len(wants))]
    assert heard == [16_000] * 3 + [48_000] * 3
