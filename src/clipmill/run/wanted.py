"""What of a source is wanted: which of its media, and which stretches."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from clipmill.core.errors import ProcessError
from clipmill.core.media_names import AUDIO_EXTENSIONS, IMAGE_EXTENSIONS
from clipmill.core.sample import MediaRef, Sample
from clipmill.core.time import Span
from clipmill.run.clips import MemberFile
from clipmill.run.recipe import Recipe
from clipmill.steps.split.options import SplitOptions
from clipmill.steps.split.spans import check_count


def files_for_clips(members: Mapping[str, MemberFile], recipe: Recipe) -> tuple[Path, Path | None]:
    """The files that clips are made of: those that a split of the kept dataset would take."""
    refs = tuple(MediaRef(str(file.path), extension) for extension, file in members.items())
    main, audio = pick_media(refs, recipe.modalities)
    assert main is not None
    return Path(main.path), None if audio is None else Path(audio.path)


def pick_media(
    media: tuple[MediaRef, ...], modalities: tuple[str, ...]
) -> tuple[MediaRef | None, MediaRef | None]:
    """The member to start from, and a separate sound track when both are wanted and there."""
    if not media:
        return None, None
    sounds = [ref for ref in media if ref.extension in AUDIO_EXTENSIONS]
    others = AUDIO_EXTENSIONS | IMAGE_EXTENSIONS
    pictures = [ref for ref in media if ref.extension not in others]
    if modalities == ("audio",) and sounds:
        return sounds[0], None
    if pictures:
        return pictures[0], sounds[0] if sounds and "audio" in modalities else None
    return (sounds or media)[0], None


def spans_of(sample: Sample, split: SplitOptions | None) -> list[Span]:
    """The spans a row asks for, those alone that are some where each becomes a clip of its own.

    Raises:
        ProcessError: one of them is not a span, or there are more than may become clips.
    """
    become_clips = split is not None and split.detector == "column"
    if split is not None and become_clips:
        check_count(len(sample.spans or ()), split)
    found = []
    for pair in sample.spans or ():
        try:
            found.append(Span.parse(pair))
        except ValueError as error:
            if not become_clips:
                message = f"clip column: {error}"
                raise ProcessError(message, error_class="invalid_span") from error
    return found


def all_spans(samples: list[Sample], split: SplitOptions | None) -> tuple[tuple[float, float], ...]:
    """Union of the spans that rows of one source ask for; empty when any wants the whole."""
    found = [spans_of(sample, split) for sample in samples]
    if not all(found):
        return ()
    every = {(span.start_seconds, span.end_seconds) for spans in found for span in spans}
    return tuple(sorted(every))
