"""The same batches as tensors, decoded by the processes of PyTorch's DataLoader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from clipmill.core.errors import UserError
from clipmill.dataset.load.loader import batches

if TYPE_CHECKING:
    from clipmill.dataset.load.loader import Loader

_OURS = ("batch_size", "shuffle", "drop_last", "sampler", "batch_sampler", "collate_fn", "dataset")
"""Arguments of ``DataLoader`` that tell what makes up a batch, which the loader has settled."""


class Batches(IterableDataset[Any]):
    """Batches of one rank; the workers of a DataLoader take turns, so that their order stays.

    Args:
        loader: whose they are.
    """

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        # Workers that live on see here which epoch is next, and where it begins.
        self._place = torch.zeros(2, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]

    def begin(self) -> None:
        """Tell workers where the loader is."""
        self._place[:] = torch.tensor(self._loader.begin())

    def __iter__(self) -> Iterator[Any]:
        """What this worker has to give of the epoch: pairs of a batch and what it lacks."""
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        self._loader.begin_at(*self._place.tolist())
        numbers = self._loader.numbers(worker, workers)
        samples = self._loader.samples
        threads = samples.options.threads or (1 if info else None)
        for batch, failures in batches(samples, self._loader.epoch, numbers, threads):
            yield None if batch is None else _tensors(batch), failures


class TorchLoader(DataLoader[Any]):
    """Batches of tensors; each iteration over it is one epoch.

    Args:
        loader: what is loaded.
        num_workers: processes that decode; 0 for this one.
        settings: further arguments of ``DataLoader``.

    Raises:
        UserError: one of them would make other batches.
    """

    def __init__(self, loader: Loader, num_workers: int, settings: Mapping[str, Any]) -> None:
        if taken := [name for name in _OURS if name in settings]:
            raise UserError(
                f"{taken[0]} is not for torch(): say what makes up a batch to the loader, as in "
                "data.loader(batch_size=8, shuffle=True).torch(num_workers=2)."
            )
        self.loader = loader
        super().__init__(Batches(loader), batch_size=None, num_workers=num_workers, **settings)

    # Accelerate's prepare() would divide once more what ranks share already; this it leaves alone.
    _is_accelerate_prepared = True

    def __len__(self) -> int:
        """Batches of an epoch that this rank gets."""
        return len(self.loader)

    def __iter__(self) -> Any:
        """One epoch, or what is left of one after ``load_state_dict``."""
        assert isinstance(self.dataset, Batches)
        self.dataset.begin()
        yield from self.loader.counted(super().__iter__())

    def set_epoch(self, epoch: int) -> None:
        """See ``Loader.set_epoch``."""
        self.loader.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """See ``Loader.state_dict``."""
        return self.loader.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See ``Loader.load_state_dict``."""
        self.loader.load_state_dict(state)


def _tensors(batch: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _tensor(value) for name, value in batch.items()}


def _tensor(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    if isinstance(value, list) and value and isinstance(value[0], np.ndarray):
        return [torch.from_numpy(one) for one in value]
    return value
