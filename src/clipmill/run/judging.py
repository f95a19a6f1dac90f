"""Steps and conditions within a pass: what is dropped here is never encoded."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

import pyarrow as pa

from clipmill.core.errors import ProcessError, RecipeError
from clipmill.core.request import Frames
from clipmill.dataset.expression import Expression, parse_condition
from clipmill.io.stretch import Place
from clipmill.media.pool import MediaPool
from clipmill.run.clip_rows import ClipRows
from clipmill.run.clips import Judged, Making, TriedClips
from clipmill.run.recipe import Recipe
from clipmill.run.rows import table_schema
from clipmill.run.step_crew import StepCrew
from clipmill.run.trial import TrialOrder, can_be_kept, can_share
from clipmill.run.verdicts import Tier, Verdicts
from clipmill.steps.base import Annotate
from clipmill.steps.judge import failed
from clipmill.steps.load import make_step, step_orders
from clipmill.steps.look import Showing

_MADE_LATER = (
    "media",
    "rendered",
    "status",
    "error_step",
    "error_class",
    "error_message",
    "retryable",
)
"""Columns of a row that tell how it ended."""
_STATUS = pa.field("status", pa.string())


class Judge:
    """The steps and conditions of a recipe; one for all the samples of a worker.

    Conditions are told as early as they can be: those on the row alone before anything is decoded,
    those on models after all others.

    Args:
        recipe: its ``annotate`` and ``where``.
        schema: columns of the rows.

    Raises:
        RecipeError: there is no such step, or a setting is wrong.
        InputError: a condition does not parse or names no column.
    """

    def __init__(self, recipe: Recipe, schema: pa.Schema) -> None:
        orders = step_orders(recipe.annotate, recipe.modules, recipe.run.decoder)
        self._steps = [make_step(order) for order in orders]
        self._orders = tuple(orders)
        self._crew = StepCrew(orders, self._steps, recipe.run.sample_timeout_seconds)
        self._keep_bytes = int(recipe.run.scene_bytes)
        schema = _with_steps(schema, self._steps)
        self._verdicts = Verdicts(tuple(step.name for step in self._steps), schema)
        parts = [part for text in recipe.where for part in parse_condition(text, schema).parts]
        self._tiers = self._in_tiers(parts)

    async def judge(
        self,
        pool: MediaPool,
        path: Place,
        samples: Sequence[Judged],
        scratch: Path,
        making: Making | None = None,
    ) -> float:
        """Let steps see the samples of one source, and drop those that conditions do not hold for.

        Args:
            pool: media processes.
            path: the source.
            samples: what became of each is written into it.
            scratch: folder for work in hand.
            making: how samples with an order are made by the decode that judges them.

        Returns:
            Length of video decoded, in seconds.
        """
        decoded = 0.0
        for tier in self._tiers:
            left = [one for one in samples if one.outcome.status == "success"]
            unseen = [one for one in left if not one.cells.keys() >= set(tier.steps)]
            if unseen:
                last = tier is self._tiers[-1]
                decoded += await self._look(pool, path, unseen, tier, making if last else None)
            self._verdicts.drop(left, tier.conditions, scratch)
        return decoded

    def trial(self, rows: ClipRows, scratch: Path) -> TrialOrder:
        """What clips can be judged by while they are found.

        Args:
            rows: of the sample that is split.
            scratch: folder for work in hand.
        """
        steps = self._steps
        kept = [
            can_be_kept(step, order.decoder)
            for step, order in zip(steps, self._orders, strict=True)
        ]
        tiers = tuple(takewhile(lambda tier: all(kept[n] for n in tier.steps), self._tiers))
        return TrialOrder(
            orders=self._orders,
            tiers=tiers,
            verdicts=self._verdicts,
            rows=rows,
            looks=any(steps[number].wants for tier in tiers for number in tier.steps),
            is_all=len(tiers) == len(self._tiers),
            scratch=scratch,
        )

    async def close(self, pool: MediaPool) -> None:
        """Let the steps go; see ``StepCrew.close``."""
        await self._crew.close(pool)

    def _in_tiers(self, parts: Sequence[Expression]) -> list[Tier]:
        names = {step.name: number for number, step in enumerate(self._steps)}
        rank = {number: _rank(step) for number, step in enumerate(self._steps)}
        needed = [
            max((rank[names[path[0]]] for path in part.columns if path[0] in names), default=0)
            for part in parts
        ]
        tiers = []
        steps: tuple[int, ...] = ()
        for level in range(4):
            steps += tuple(number for number in rank if rank[number] == level)
            told = tuple(part for part, need in zip(parts, needed, strict=True) if need == level)
            # Without a condition in between, one decode does for both.
            if told or (level == 3 and steps):
                tiers.append(Tier(steps, told))
                steps = ()
        return tiers

    async def _look(
        self,
        pool: MediaPool,
        path: Place,
        samples: Sequence[Judged],
        tier: Tier,
        making: Making | None,
    ) -> float:
        """Let the steps of a tier see samples; the length of video decoded for it."""
        steps = [self._steps[number] for number in tier.steps]
        looks = any(step.wants for step in steps)
        reads = {name for step in steps for name in step.reads}
        showings = [
            Showing(one.key, one.span, {name: one.row.get(name) for name in reads}, tier.steps)
            for one in samples
        ]
        # What is decoded for the steps is the better part of what files are made of.
        sees = any(isinstance(step.wants, Frames) for step in steps)
        shares = sees and all(
            can_share(self._steps[number], self._orders[number].decoder) for number in tier.steps
        )
        decoded = 0.0
        for part in self._crew.in_parts(showings):
            mine = samples[part.start : part.stop]
            if making is not None and shares and all(one.order for one in mine):
                seconds = await self._try_and_make(pool, path, mine, tier, making)
                if seconds is not None:
                    decoded += seconds
                    continue
            try:
                cells, seconds = await self._crew.look(
                    pool, path if looks else None, showings[part.start : part.stop]
                )
            except ProcessError as error:
                cells = [[failed(error.error_class, error.message)] * len(steps) for _ in mine]
                seconds = 0.0
            decoded += seconds
            for sample, said in zip(mine, cells, strict=True):
                sample.cells.update(zip(tier.steps, said, strict=True))
        return decoded

    async def _try_and_make(
        self,
        pool: MediaPool,
        path: Place,
        samples: Sequence[Judged],
        tier: Tier,
        making: Making,
    ) -> float | None:
        """Judge and make samples by one decode; None when that came to nothing."""
        try:
            tried: TriedClips = await pool.call(
                "clipmill.run.judged_clips:judge_and_render",
                path=path,
                samples=samples,
                orders=self._orders,
                tier=tier,
                verdicts=self._verdicts,
                making=making,
                keep_bytes=self._keep_bytes,
            )
        except ProcessError:
            # Of the file, of a step or of what is to be made: seen where each has its turn.
            for sample in samples:
                assert sample.order is not None
                for left in making.folder.glob(f"{sample.order.name}.*"):
                    left.unlink()
            return None
        for sample, cells, made in zip(samples, tried.cells, tried.made, strict=True):
            sample.cells, sample.made = cells, made
        return tried.decoded_seconds


def judged_schema(inputs: pa.Schema, recipe: Recipe) -> pa.Schema:
    """The columns of a row that are known before it is made, so that conditions may name them.

    Args:
        inputs: columns of the source's rows.
        recipe: tells what is learnt of a row.
    """
    known = table_schema(inputs, recipe, [])
    return pa.schema([one for one in known if one.name not in _MADE_LATER])


def _rank(step: Annotate) -> int:
    """How early a step runs: 1 without a decode, 2 in the decode for all, 3 after conditions."""
    if step.wants is None:
        return 1
    return 3 if step.cost == "model" else 2


def _with_steps(schema: pa.Schema, steps: Sequence[Annotate]) -> pa.Schema:
    """The row's columns, and a struct for what each step says.

    Raises:
        RecipeError: a column of the input has the name of a step.
    """
    for step in steps:
        if step.name in schema.names:
            raise RecipeError(
                f"The input has a column {step.name!r}, which is the name of a step too: rename "
                "it, or leave it out with save_additional_columns."
            )
        fields = [*(pa.field(one.name, one.type) for one in step.columns), _STATUS]
        schema = schema.append(pa.field(step.name, pa.struct(fields)))
    return schema
