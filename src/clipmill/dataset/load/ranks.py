"""Processes that train together: which of an epoch's batches each of them gets."""

from __future__ import annotations

import os
import sys

from clipmill.core.errors import UserError


def share_of_rank(total: int, rank: int, ranks: int, uneven: str, first: int = 0) -> range:
    """Numbers of the batches that a rank gets: in turn, one of every round of all ranks.

    Args:
        total: batches of an epoch; numbers from this on stand for its first ones again.
        rank: its number.
        ranks: how many there are.
        uneven: what is done with a last round that is not full; see ``LoadOptions``.
        first: batches of all ranks together that were given already.
    """
    rounds, over = divmod(max(0, total - first), ranks)
    if uneven != "drop" and over > (0 if uneven == "repeat" else rank):
        rounds += 1
    begin = first + rank
    return range(begin, begin + rounds * ranks, ranks)


def check_even(batches: int, ranks: int) -> None:
    """Refuse to divide batches among ranks that would get unequally many.

    Raises:
        UserError: says what can be done about it.
    """
    if batches % ranks:
        raise UserError(
            f"{batches} batches cannot be divided evenly among {ranks} ranks, which wait for each "
            "other as a rule. Give uneven='repeat' to give a few batches twice, 'drop' to leave a "
            "few out, or 'keep' where some ranks may have one more."
        )


def rank_and_ranks() -> tuple[int, int]:
    """This process's number among those that train together, and how many they are."""
    distributed = getattr(sys.modules.get("torch"), "distributed", None)
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
