"""Batches for training, in the same order whoever decodes them."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

from clipmill.core.errors import ProcessError, UserError
from clipmill.core.extras import check_installed
from clipmill.dataset.load.collate import collate
from clipmill.dataset.load.mixture import Mixture
from clipmill.dataset.load.options import LoadOptions
from clipmill.dataset.load.ranks import check_even, rank_and_ranks, share_of_rank
from clipmill.dataset.load.samples import Failure, Samples

if TYPE_CHECKING:
    from clipmill.dataset.load.torch_loader import TorchLoader

_AHEAD = 2
"""Batches under way at a time: while one is used, the next is decoded."""


class Loader:
    """Batches of NumPy arrays; each iteration over it is one epoch.

    Samples that cannot be read are left out of their batch and counted, unless they are errors.

    Args:
        samples: gives them, batch by batch.
        rank: number of this process among those that share an epoch. Default: that of
            ``torch.distributed``, else the environment's ``RANK``, else 0.
        ranks: how many there are. Default: likewise, else ``WORLD_SIZE``, else 1.

    Attributes:
        epoch: number of the epoch that the next iteration is, 0 for the first.
        failures: how many samples were left out so far, by class of error.
        last_failures: key, class and message of the latest of them.
    """

    def __init__(
        self,
        samples: Samples | Mixture,
        rank: int | None = None,
        ranks: int | None = None,
    ) -> None:
        self.samples = samples
        here = rank_and_ranks()
        self.rank, self.ranks = (
            here[0] if rank is None else rank,
            here[1] if ranks is None else ranks,
        )
        if not 0 <= self.rank < self.ranks:
            raise UserError(f"There is no rank {self.rank} of {self.ranks}: they count from 0.")
        self._uneven = "drop" if samples.options.drop_last else samples.options.uneven
        if samples.batch_count < (self.ranks if self._uneven == "drop" else 1):
            raise UserError(
                f"Dropping what is uneven leaves no batch at all (ranks: {self.ranks}). Make "
                "batches smaller, or leave drop_last or uneven='drop' out."
            )
        self.epoch = 0
        self.failures: Counter[str] = Counter()
        self.last_failures: deque[Failure] = deque(maxlen=100)
        self._first = 0
        self._given = 0

    def __len__(self) -> int:
        """Batches of an epoch that this rank gets."""
        return len(share_of_rank(self.samples.batch_count, self.rank, self.ranks, self._uneven))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """One epoch, or what is left of one after ``load_state_dict``."""
        self.begin()
        yield from self.counted(batches(self.samples, self.epoch, self.numbers()))

    def begin(self) -> tuple[int, int]:
        """Begin an iteration, whatever one that was broken off had given; epoch and first batch.

        Raises:
            UserError: ranks would get unequally many batches, and nobody said that they may.
        """
        if self._uneven == "refuse":
            check_even(self.samples.batch_count - self._first, self.ranks)
        self._given = 0
        return self.epoch, self._first

    def numbers(self, worker: int = 0, workers: int = 1) -> range:
        """The batches that are left of the epoch for this rank, or for one of its workers.

        Args:
            worker: number of the worker.
            workers: how many take turns.
        """
        total = self.samples.batch_count
        share = share_of_rank(total, self.rank, self.ranks, self._uneven, self._first)
        return share[worker::workers]

    def counted(self, pairs: Iterable[tuple[Any, list[Failure]]]) -> Iterator[Any]:
        """Give the batches of an epoch, count what they lack, and go on to the next epoch.

        Args:
            pairs: each batch, None when nothing is left of it, and what was left out of it.

        Raises:
            ProcessError: nothing was left of any batch.
        """
        is_any = False
        for batch, failures in pairs:
            self._given += 1
            self.failures.update(error_class for _, error_class, _ in failures)
            self.last_failures.extend(failures)
            if batch is not None:
                is_any = True
                yield batch
        if self._given and not is_any:
            key, error_class, message = self.last_failures[-1]
            raise ProcessError(
                f"No sample could be loaded in the whole epoch. The last one, {key}: {message}.",
                error_class=error_class,
            )
        self.set_epoch(self.epoch + 1)

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch from its first batch.

        Args:
            epoch: its number, 0 for the first.
        """
        self.begin_at(epoch, 0)

    def begin_at(self, epoch: int, first: int) -> None:
        """Begin an epoch after its first batches.

        Args:
            epoch: its number.
            first: batches of all ranks together that are left out.
        """
        self.epoch, self._first, self._given = epoch, first, 0

    def state_dict(self) -> dict[str, Any]:
        """Where training is: epoch and batches that all ranks were given of it, as plain values."""
        return {
            "epoch": self.epoch,
            "batches": self._first + self._given * self.ranks,
            "order": self.samples.describe(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a state says, whatever the numbers of workers and ranks are now.

        Args:
            state: as ``state_dict`` gave it.

        Raises:
            UserError: it is of other samples, or of other settings that decide their order; or it
                is no state of a loader.
        """
        if missing := {"epoch", "batches", "order"} - state.keys():
            raise UserError(f"This is no saved state of a loader: it lacks {min(missing)!r}.")
        mine, theirs = self.samples.describe(), state["order"]
        changed = [
            f"{name} {theirs.get(name)} then, {now} now"
            for name, now in mine.items()
            if now != theirs.get(name)
        ]
        if changed:
            told = ", ".join(changed)
            raise UserError(
                f"The saved state is of another order of samples ({told}). Load with the same "
                "settings and the same selection, or begin the epoch anew with set_epoch."
            )
        self.begin_at(int(state["epoch"]), int(state["batches"]))

    def torch(self, num_workers: int = 0, **settings: Any) -> TorchLoader:
        """The same batches as tensors, from a ``torch.utils.data.DataLoader``.

        Args:
            num_workers: processes that decode. Default: this one does.
            **settings: further arguments of ``DataLoader``, such as ``pin_memory``.

        Raises:
            MissingExtra: PyTorch is not installed.
        """
        check_installed([("torch", "torch")], used_by="A loader of tensors")
        from clipmill.dataset.load.torch_loader import TorchLoader

        return TorchLoader(self, num_workers, settings)


def batches(
    samples: Samples | Mixture, epoch: int, numbers: range, threads: int | None = None
) -> Iterator[tuple[dict[str, Any] | None, list[Failure]]]:
    """Batches in order, each with what was left out of it; None for one of which nothing is left.

    Args:
        samples: gives them.
        epoch: its number.
        numbers: of the batches; after the last one, the first follows again.
        threads: samples decoded at a time. Default: as the options say, else one per core.
    """
    places = (samples.batch(epoch, number % samples.batch_count) for number in numbers)
    threads = threads or samples.options.threads
    for futures in loaded_ahead(samples, places, threads):
        yield _collated(futures, samples.options)


class Loading(Protocol):
    """What gives samples: those of a batch are fetched together, then loaded one by one."""

    def fetch(self, samples: Any, /) -> None:
        """Fetch what several have on far storage."""

    def load(self, sample: Any, /) -> Any:
        """One sample."""


def loaded_ahead(
    samples: Loading, groups: Iterable[Iterable[Any]], threads: int | None = None
) -> Generator[list[Future[Any]], None, None]:
    """Groups of samples in order, the next one being loaded while one is used.

    Args:
        samples: gives them.
        groups: which ones.
        threads: samples loaded at a time. Default: one per core.
    """
    waiting: deque[list[Future[Any]]] = deque()
    with ThreadPoolExecutor(threads or _cores(), "clipmill-load") as pool:
        try:
            for group in groups:
                batch = list(group)
                fetched = pool.submit(samples.fetch, batch)
                waiting.append([pool.submit(_after, fetched, samples.load, one) for one in batch])
                if len(waiting) == _AHEAD:
                    yield waiting.popleft()
            while waiting:
                yield waiting.popleft()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _after(fetched: Future[None], work: Callable[[Any], Any], sample: Any) -> Any:
    """Load a sample once what its batch shares is there."""
    fetched.result()
    return work(sample)


def _collated(
    futures: list[Future[Any]], options: LoadOptions
) -> tuple[dict[str, Any] | None, list[Failure]]:
    results = [future.result() for future in futures]
    there = [one for one in results if isinstance(one, dict)]
    failures = [one for one in results if not isinstance(one, dict)]
    return (collate(there, options.layout, options.arrays) if there else None), failures


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
