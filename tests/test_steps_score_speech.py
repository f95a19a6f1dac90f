"""What `speech` says of sound with a known share of voice, by the real detector."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from clipmill.core.time import Span
from clipmill.demo.media import make_video
from sound_media import Array, sine, voice, write_sound
from step_results import cell_of, said_of

pytest.importorskip("faster_whisper")
RATE = 16_000


def silence(seconds: float) -> Array:
    return np.zeros(round(seconds * RATE), np.float32)


def recording(path: Path, *parts: Array) -> Path:
    return write_sound(path / "said.wav", np.concatenate(parts)[None], rate=RATE)


@pytest.mark.parametrize(("before", "after"), [(4, 4), (2, 10)])
def test_the_share_of_speech_is_the_known_one(tmp_path: Path, before: int, after: int) -> None:
    said = said_of(recording(tmp_path, silence(before), voice(4), silence(after)), "speech")
    assert said["share"] == pytest.approx(4 / (4 + before + after), abs=0.04)


def test_each_second_has_a_probability(tmp_path: Path) -> None:
    said = said_of(recording(tmp_path, silence(4), voice(4), silence(4)), "speech")
    values = said["probability"]["values"]
    assert len(values) == 12
    assert max(values[:3] + values[9:]) < 0.1 < 0.6 < min(values[4:8])


def test_tones_and_noise_are_no_speech(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 3 * RATE).astype(np.float32)
    tone = sine(-10, 3, hertz=440, rate=RATE)
    assert said_of(recording(tmp_path, tone, noise), "speech")["share"] == 0


def test_what_counts_as_speech_is_a_setting(tmp_path: Path) -> None:
    path = recording(tmp_path, silence(4), voice(4))
    shares = [said_of(path, "speech", threshold=value)["share"] for value in (0.01, 0.5, 0.99)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > shares[2]


def test_of_a_clip_only_its_own_sound_counts(tmp_path: Path) -> None:
    path = recording(tmp_path, silence(4), voice(4), silence(4))
    assert said_of(path, "speech", span=Span(Fraction(3), Fraction(8)))["share"] > 0.7
    assert said_of(path, "speech", span=Span(Fraction(9), Fraction(12)))["share"] == 0


def test_minutes_are_heard_in_stretches(tmp_path: Path) -> None:
    """A stretch of 8 MB holds two minutes."""
    path = recording(tmp_path, silence(4), voice(4), silence(122))
    said = said_of(path, "speech")
    assert len(said["probability"]["values"]) == 130
    assert said["share"] == pytest.approx(4 / 130, abs=0.005)


def test_a_silent_film_is_absent(tmp_path: Path) -> None:
    assert cell_of(make_video(tmp_path / "film.mp4", audio=None), "speech").status == "absent"
