"""Steps shown their samples: one decode of a source for all of them; runs in a media process."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from clipmill.core.errors import ProcessError
from clipmill.core.request import DecoderName, Frames
from clipmill.core.seen import Cell, Seen
from clipmill.io.stretch import Place
from clipmill.media.decode import MediaFile, time_of
from clipmill.media.pulse import unhurried
from clipmill.steps.base import Annotate, InBatches
from clipmill.steps.load import StepOrder, make_step
from clipmill.steps.look import Look, Showing
from clipmill.steps.ready import ready_step
from clipmill.steps.split.find import duration_of


@dataclass(slots=True)
class Observed:
    """What came of one source.

    Args:
        cells: for each sample what each of its steps says, or what those that are InBatches are to
            be given.
        decoded_seconds: length of video decoded, in seconds.
    """

    cells: list[list[Cell | Seen]]
    decoded_seconds: float = 0.0


def _shown_step(order: StepOrder) -> Annotate:
    """A step as far as showing it samples needs; one that is InBatches judges them elsewhere."""
    with unhurried():
        step = make_step(order)
    return step if isinstance(step, InBatches) else ready_step(order)


def observe(
    path: Place | None, showings: Sequence[Showing], orders: Sequence[StepOrder]
) -> Observed:
    """Show the samples of one source to steps.

    Args:
        path: a local media file or a stretch of one; None where no step wants to see or hear
            anything.
        showings: the samples.
        orders: the steps, of one decoder.

    Raises:
        ProcessError: the file cannot be read.
        RunError: a step has a programming error; its fields hold the traceback.
    """
    used = sorted({number for showing in showings for number in showing.steps})
    steps = {number: _shown_step(orders[number]) for number in used}
    looks = [[Look(showing, steps[number]) for number in showing.steps] for showing in showings]
    decoded = 0.0
    if path is not None:
        with MediaFile(path, decoder=orders[0].decoder) as media:
            eager = begin(media, [look for row in looks for look in row])
            for part in _decodes(eager, orders[0].decoder):
                _show(media, part)
            decoded = float(media.decoded_seconds)
    return Observed([[look.ending() for look in row] for row in looks], decoded)


def _decodes(looks: Sequence[Look], decoder: DecoderName) -> list[list[Look]]:
    """Looks in parts that share a decode; what sees RGB alone is not decoded for others besides.

    Otherwise the decoder would be that of all of them, and not the one that was asked for.
    """
    if decoder == "pyav":
        return [list(looks)]
    parts: dict[bool, list[Look]] = {}
    for look in looks:
        request = look.want and look.want.request
        is_for_it = isinstance(request, Frames) and request.is_for_any_decoder
        parts.setdefault(is_for_it, []).append(look)
    return list(parts.values())


def _show(media: MediaFile, looks: Sequence[Look]) -> None:
    """Give every look its pieces in order of time, and end each as soon as its span is over."""
    under_way = [(look.span.end, number) for number, look in enumerate(looks)]
    heapq.heapify(under_way)
    try:
        for piece in media.decode([look.want for look in looks if look.want]):
            while under_way and under_way[0][0] <= time_of(piece):
                looks[heapq.heappop(under_way)[1]].finish()
            looks[piece.want].take(piece)
    except ProcessError as error:
        for look in looks:
            look.fail(error)


def begin(media: MediaFile, looks: Sequence[Look]) -> list[Look]:
    """Begin looks, and show those that take packets theirs; gives those that wait for a decode.

    Args:
        media: the open source.
        looks: of its samples.
    """
    end = duration_of(media)
    begun = [look for look in looks if look.begin(media, end)]
    unseen = [look for look in begun if look.want is None]
    try:
        for number, packet in media.coded([look.span for look in unseen]) if unseen else ():
            unseen[number].take(packet)
    except ProcessError as error:
        for look in begun:
            look.fail(error)
    return [look for look in begun if look.want is not None]
