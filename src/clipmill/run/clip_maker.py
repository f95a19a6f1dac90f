"""From the clips of one source to files of them, made by the renderer."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from clipmill.core.edit import Edit
from clipmill.core.errors import ProcessError
from clipmill.core.outcome import Outcome
from clipmill.core.sample import Sample
from clipmill.core.time import Span
from clipmill.formats.trainers.fit import Misfit, fit_clip
from clipmill.io.stretch import Place, file_of
from clipmill.media.order import ClipOrder
from clipmill.media.pool import MediaPool
from clipmill.run.clip_rows import ClipRows
from clipmill.run.clips import Clip, SourceClips
from clipmill.run.recipe import Recipe


class ClipMaker:
    """Makes the clips of one source in media processes.

    Args:
        recipe: how to render, if it does.
        pool: media processes.
        rows: what is known of each row's clips, by its key.
    """

    def __init__(
        self,
        recipe: Recipe,
        pool: MediaPool,
        rows: Mapping[str, ClipRows],
    ) -> None:
        self._recipe = recipe
        self._pool = pool
        self._rows = rows

    async def make(
        self, path: Place, samples: Sequence[Sample], found: Mapping[str, SourceClips]
    ) -> None:
        """Make files of the clips, if the recipe renders; not of those that failed or are dropped.

        Args:
            path: the source.
            samples: the rows.
            found: their clips, which become what was made of them.
        """
        if self._recipe.render is not None:
            await self._render(self._recipe.render, path, samples, found)

    async def _render(
        self,
        edit: Edit,
        path: Place,
        samples: Sequence[Sample],
        found: Mapping[str, SourceClips],
    ) -> None:
        """Make files of all clips, in as many jobs as there are media processes."""
        clips: list[Clip] = []
        orders: dict[Edit, list[tuple[ClipOrder, Clip]]] = {}
        for number, sample in enumerate(samples):
            for clip in found[sample.key].clips:
                if clip.outcome.status != "success":
                    continue
                if clip.made is not None:
                    clip.set_rendered(clip.made)
                    continue
                rows = self._rows[sample.key]
                span, made = self._fitted(clip, edit, rows.probe)
                if span is not None:
                    name = f"{file_of(path).name}.{number}-{clip.index}"
                    order = ClipOrder(name, span, rows.lines)
                    orders.setdefault(made, []).append((order, clip))
                    clips.append(clip)
        await asyncio.gather(*(self._make(one, path, some) for one, some in orders.items()))
        again = set(clips) if edit.precision != "copy" else set()
        for one in found.values():
            spans = (clip.span for clip in one.clips if clip in again and clip.span)
            one.decoded_seconds += float(sum(span.duration for span in spans))
            one.encoded_seconds = sum(map(_encoded_seconds, one.clips))

    def _fitted(
        self, clip: Clip, edit: Edit, probe: dict[str, Any] | None
    ) -> tuple[Span | None, Edit]:
        """What is shown of a clip and how it is made; no span for one that has none, or no place.

        A clip that fits no bucket ends here.
        """
        if self._recipe.fit is None:
            return clip.span, edit
        try:
            fit = fit_clip(clip.span, probe, self._recipe.fit, edit)
        except ProcessError as error:
            clip.outcome = Outcome.of_error(error, "fit")
            return None, edit
        if isinstance(fit, Misfit):
            clip.outcome = Outcome("dropped", "fit", fit.reason, fit.message)
            return None, edit
        return fit.span, fit.edit

    async def _make(
        self, edit: Edit, path: Place, wanted: Sequence[tuple[ClipOrder, Clip]]
    ) -> None:
        """Make the files of clips that are made alike."""
        orders = [order for order, _ in wanted]
        parts = _parts(orders, self._recipe.run.media_processes)
        jobs = [
            self._pool.call(
                "clipmill.media.render:render_clips",
                path=path,
                orders=[orders[number] for number in part],
                edit=edit,
                wanted=dict(self._recipe.write.encode_formats),
                folder=file_of(path).parent,
            )
            for part in parts
        ]
        made = [one for part in await asyncio.gather(*jobs) for one in part]
        in_time = [wanted[number] for part in parts for number in part]
        for (order, clip), rendered in zip(in_time, made, strict=True):
            if self._recipe.fit is not None and not isinstance(rendered, ProcessError):
                promised = math.ceil(order.span.duration * (edit.frame_rate or 1))
                if rendered.frame_count != promised:
                    rendered = ProcessError(
                        f"its source ends early, so it has {rendered.frame_count} frames and not "
                        f"the {promised} of its bucket",
                        error_class="clip_check_failed",
                    )
            clip.set_rendered(rendered)


def _parts(orders: Sequence[ClipOrder], jobs: int) -> list[list[int]]:
    """Numbers of orders, in order of time, cut into as many runs of like total length."""
    in_time = sorted(range(len(orders)), key=lambda n: (orders[n].span.start, orders[n].span.end))
    total = sum(order.span.duration for order in orders)
    parts: list[list[int]] = [[] for _ in range(jobs)]
    done = Fraction(0)
    for number in in_time:
        parts[min(int(done * jobs / total), jobs - 1)].append(number)
        done += orders[number].span.duration
    return [part for part in parts if part]


def _encoded_seconds(clip: Clip) -> float:
    if clip.rendered is None or clip.rendered["encoder"] is None:
        return 0.0
    span = clip.rendered["span"]
    return float(span["end_seconds"] - span["start_seconds"])
