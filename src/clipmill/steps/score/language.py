"""Which language captions and subtitles are in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import pyarrow as pa

from clipmill.core.extras import require
from clipmill.core.seen import Seen
from clipmill.steps.base import Annotate, column

# More than this says no more.
_CHARACTERS = 2000


class LanguageStep(Annotate):
    """Language of caption and subtitles, by py3langid's naive Bayes over their bytes.

    Its confidence is low for a word or two, which may be of many languages: filter by both.
    """

    name = "language"
    needs = (("py3langid", "language"),)
    reads = ("caption", "subtitles")
    columns = pa.schema(
        [
            column(
                f"{of}_{what}",
                kind,
                f"{words} of the {of}; null where there is none, or no letter in it",
                unit=unit,
            )
            for of in ("caption", "subtitle")
            for what, kind, words, unit in (
                ("language", pa.string(), "ISO 639-1 code of the likeliest language", ""),
                ("confidence", pa.float32(), "probability of that language", "probability"),
            )
        ]
    )

    def setup(self) -> None:
        """See ``Annotate.setup``."""
        _identifier()

    def annotate(self, batch: Sequence[Seen]) -> Sequence[Mapping[str, Any]]:
        """See ``Annotate.annotate``."""
        return [_said(seen.row) for seen in batch]


def _said(row: Mapping[str, Any]) -> dict[str, Any]:
    caption_language, caption_confidence = language_of(_text(row.get("caption")))
    subtitle_language, subtitle_confidence = language_of(_spoken(row.get("subtitles")))
    return {
        "caption_language": caption_language,
        "caption_confidence": caption_confidence,
        "subtitle_language": subtitle_language,
        "subtitle_confidence": subtitle_confidence,
    }


def _text(caption: Any) -> str:
    """A caption as text; of several, all of them."""
    if isinstance(caption, list | tuple):
        return " ".join(str(one) for one in caption if one is not None)
    return "" if caption is None else str(caption)


def _spoken(lines: Sequence[Mapping[str, Any]] | None) -> str:
    """The lines of the first track among subtitles."""
    if not lines:
        return ""
    track = lines[0].get("language")
    return " ".join(line["text"] or "" for line in lines if line.get("language") == track)


def language_of(text: str) -> tuple[str | None, float | None]:
    """The likeliest language of a text and its probability; None when it has no letters.

    Args:
        text: of which the first 2,000 characters count.
    """
    text = text[:_CHARACTERS]
    if not any(letter.isalpha() for letter in text):
        return None, None
    language, confidence = _identifier().classify(text)
    return str(language), float(confidence)


@cache
def _identifier() -> Any:
    langid: Any = require("py3langid.langid", extra="language", used_by="step 'language'")
    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
