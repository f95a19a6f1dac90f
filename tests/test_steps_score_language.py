"""What `language` says of captions and subtitles whose language is known."""

from __future__ import annotations

import pytest

from step_results import said_of

pytest.importorskip("py3langid")

CAPTIONS = {
    "en": "A man walks his dog along the beach at sunset.",
    "de": "Ein Mann geht mit seinem Hund am Strand spazieren.",
    "fr": "Un homme promène son chien sur la plage au coucher du soleil.",
    "es": "Un hombre pasea a su perro por la playa al atardecer.",
    "zh": "一个男人在海滩上遛狗",
    "ja": "男の人が浜辺で犬を散歩させている。",
    "ru": "Мужчина выгуливает свою собаку на пляже на закате.",
    "ar": "رجل يمشي مع كلبه على الشاطئ عند غروب الشمس",
}


@pytest.mark.parametrize("language", CAPTIONS)
def test_the_language_of_a_sentence_is_known(language: str) -> None:
    said = said_of(None, "language", row={"caption": CAPTIONS[language]})
    assert said["caption_language"] == language
    assert 0.5 < said["caption_confidence"] <= 1
    assert said["subtitle_language"] is None


def test_one_word_is_of_many_languages() -> None:
    assert said_of(None, "language", row={"caption": "dog"})["caption_confidence"] < 0.2


@pytest.mark.parametrize("caption", [None, "", "12345", "!!! -- ???", []])
def test_what_has_no_letter_has_no_language(caption: object) -> None:
    said = said_of(None, "language", row={"caption": caption})
    assert said["caption_language"] is None
    assert said["caption_confidence"] is None


def test_captions_in_a_list_count_together() -> None:
    said = said_of(None, "language", row={"caption": ["ein Hund am Strand", "ein alter Mann"]})
    assert said["caption_language"] == "de"


def test_of_subtitles_the_first_track_counts() -> None:
    lines = [
        {"language": track, "start_seconds": 0.0, "end_seconds": 1.0, "text": text}
        for track in ("x", "y")
        for text in (CAPTIONS["fr"] if track == "x" else CAPTIONS["ru"], None)
    ]
    said = said_of(None, "language", row={"caption": CAPTIONS["en"], "subtitles": lines})
    assert said["caption_language"] == "en"
    assert said["subtitle_language"] == "fr"
    assert said["subtitle_confidence"] > 0.5
