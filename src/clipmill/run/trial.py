"""Steps and conditions told of clips as these are found: runs in a media process.

What steps want of a clip is kept while its end is looked for, as what its files are made of is. So
a clip is judged by the decode that finds it, and made by it too, if it is not dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clipmill.core.request import Audio, DecoderName, Frames
from clipmill.core.seen import Cell
from clipmill.media.decode import MediaFile
from clipmill.media.keep import Kept
from clipmill.run.clip_rows import ClipRows
from clipmill.run.clips import Clip, Judged
from clipmill.run.verdicts import Tier, Verdicts
from clipmill.steps.base import Annotate, InBatches
from clipmill.steps.load import StepOrder, sees_by
from clipmill.steps.look import Look, Showing
from clipmill.steps.ready import ready_step
from clipmill.steps.split.find import duration_of


@dataclass(frozen=True, slots=True)
class TrialOrder:
    """What clips are judged by as they are found; picklable.

    Args:
        orders: all steps, by their numbers.
        tiers: those that can be told then, in order.
        verdicts: tells their conditions.
        rows: of the sample that is split.
        looks: whether any of their steps wants to see or hear something.
        is_all: whether a clip that passes these is wanted.
        scratch: folder for work in hand.
    """

    orders: tuple[StepOrder, ...]
    tiers: tuple[Tier, ...]
    verdicts: Verdicts
    rows: ClipRows
    looks: bool
    is_all: bool
    scratch: Path

    def begin(self, media: MediaFile) -> Trial:
        """Set the steps up for a source; see ``Trial``."""
        return Trial(self, media)


def can_share(step: Annotate, decoder: DecoderName) -> bool:
    """Whether a step can be shown its samples by the decode that finds clips or makes their files.

    Args:
        step: with its settings.
        decoder: of the pictures that it is to see; where clips are found and made, PyAV decodes.
    """
    return not isinstance(step, InBatches) and sees_by(step, decoder) == "pyav"


def can_be_kept(step: Annotate, decoder: DecoderName) -> bool:
    """Whether what a step wants of a clip can be kept while the clip's end is not known.

    Args:
        step: with its settings.
        decoder: of the pictures that it is to see.
    """
    wants = step.wants
    if isinstance(wants, Frames):
        # A count needs the end; what may be left undecoded is another frame in another decode.
        fits = wants.count is None and not wants.nearest and wants.loop_filter
    else:
        fits = wants is None or isinstance(wants, Audio)
    return fits and can_share(step, decoder)


class Trial:
    """The steps and conditions of one source's clips.

    Args:
        order: what they are.
        media: the open source.

    Raises:
        RunError: a step could not be set up.
    """

    def __init__(self, order: TrialOrder, media: MediaFile) -> None:
        self._order = order
        self._media = media
        self._end = duration_of(media)
        used = {number for tier in order.tiers for number in tier.steps}
        self._steps = {number: ready_step(order.orders[number]) for number in sorted(used)}

    @property
    def looks(self) -> list[Frames]:
        """What steps want to see of clips."""
        return [one.wants for one in self._steps.values() if isinstance(one.wants, Frames)]

    @property
    def sounds(self) -> list[Audio]:
        """What steps want to hear of clips."""
        return [one.wants for one in self._steps.values() if isinstance(one.wants, Audio)]

    def passes(self, clip: Clip, kept: Kept) -> bool:
        """Judge a clip, as far as what steps want of it is kept; whether it is to be made now.

        Args:
            clip: its ``cells`` become what steps say.
            kept: pictures and sound of the source.

        Raises:
            RunError: a step has a programming error.
            UserError: a value of a condition cannot be worked out.
        """
        order = self._order
        order.rows.place(clip)
        judged = order.rows.judged(clip)
        for tier in order.tiers:
            for number in tier.steps:
                cell = self._cell(number, judged, kept)
                if cell is None:
                    return False
                clip.cells[number] = judged.cells[number] = cell
            order.verdicts.drop([judged], tier.conditions, order.scratch)
            if judged.outcome.status != "success":
                return False
        return order.is_all

    def _cell(self, number: int, judged: Judged, kept: Kept) -> Cell | None:
        """What a step says of a clip; None when something of it was not kept."""
        look = look_of(judged, number, self._steps[number])
        if look.begin(self._media, self._end) and look.want is not None:
            pieces = kept.of(look.want)
            if pieces is None:
                return None
            for piece in pieces:
                look.take(piece)
        return cell_of(look)


def look_of(sample: Judged, number: int, step: Annotate) -> Look:
    """What a step sees of a sample.

    Args:
        sample: the sample.
        number: of the step.
        step: set up.
    """
    row = {name: sample.row.get(name) for name in step.reads}
    return Look(Showing(sample.key, sample.span, row, (number,)), step)


def cell_of(look: Look) -> Cell:
    """What a step that is not InBatches says, now that all has come that it wants."""
    cell = look.ending()
    assert isinstance(cell, Cell)
    return cell
