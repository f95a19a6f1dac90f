"""Samples put together as one batch of arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_AXES = {"thwc": (0, 1, 2, 3), "tchw": (0, 3, 1, 2), "cthw": (3, 0, 1, 2)}


def collate(
    samples: Sequence[Mapping[str, Any]], layout: str = "thwc", arrays: Sequence[str] = ()
) -> dict[str, Any]:
    """One batch.

    Frames of samples of unequal length are filled up with black, sound with silence, arrays with
    zeros; the masks tell. Where pictures differ in size, ``frames`` is a list of arrays.

    Args:
        samples: as ``Samples`` gives them; all have the same names.
        layout: order of the axes of frames: ``thwc``, ``tchw`` or ``cthw``.
        arrays: names of members that are arrays.

    Returns:
        ``key`` and texts as lists; ``frames`` uint8 (B, T, H, W, 3) or as the layout says,
        ``pts_seconds`` float64 (B, T), ``frame_mask`` bool (B, T); ``fps`` float64 (B,),
        ``start_frame``, ``original_width`` and ``original_height`` int64 (B,); ``audio`` float32
        (B, channels, N), ``audio_mask`` bool (B, N), ``audio_rate`` and ``original_audio_rate``
        int64 (B,); arrays (B, T, ...) of their own type and, where they have axes, a mask bool
        (B, T) called after them, such as ``npy_mask``; other columns as arrays where they are
        numbers or vectors of equal length, else as lists.
    """
    batch: dict[str, Any] = {}
    for name in samples[0]:
        values = [sample[name] for sample in samples]
        if name == "frames":
            batch[name] = _frames(values, _AXES[layout])
        elif name == "audio":
            batch[name], batch["audio_mask"] = _audio(values)
        elif name in arrays:
            batch[name] = _padded(values, 0) if values[0].ndim else np.stack(values)
            if values[0].ndim:
                batch[f"{name}_mask"] = _mask(batch[name], [len(one) for one in values])
        elif name in ("pts_seconds", "frame_mask"):
            fill = False if name == "frame_mask" else np.nan
            batch[name] = _padded(values, fill)
        else:
            batch[name] = _column(values)
    return batch


def _frames(values: Sequence[Any], axes: tuple[int, ...]) -> Any:
    if len({one.shape[1:] for one in values}) > 1:
        return [np.ascontiguousarray(one.transpose(axes)) for one in values]
    return np.ascontiguousarray(_padded(values, 0).transpose(0, *(axis + 1 for axis in axes)))


def _padded(values: Sequence[Any], fill: Any) -> Any:
    """Arrays stacked, shorter ones filled up at their end."""
    longest = max(len(one) for one in values)
    if all(len(one) == longest for one in values):
        return np.stack(values)
    made = np.full((len(values), longest, *values[0].shape[1:]), fill, values[0].dtype)
    for place, one in enumerate(values):
        made[place, : len(one)] = one
    return made


def _audio(values: Sequence[Any]) -> tuple[Any, Any]:
    """Sound stacked; of fewer channels than others, one is left and right, the rest silent."""
    channels = max(one.shape[0] for one in values)
    wide = [one if len(one) == channels else _widened(one, channels) for one in values]
    made = _padded([one.T for one in wide], 0)
    mask = _mask(made, [one.shape[1] for one in values])
    return np.ascontiguousarray(made.transpose(0, 2, 1)), mask


def _widened(sound: Any, channels: int) -> Any:
    made = np.zeros((channels, sound.shape[1]), sound.dtype)
    made[: max(len(sound), 2)] = sound
    return made


def _mask(made: Any, lengths: Sequence[int]) -> Any:
    """What of arrays filled up to one length was there."""
    return np.arange(made.shape[1]) < np.array(lengths)[:, None]


def _column(values: Sequence[Any]) -> Any:
    """Numbers, and lists of equally many of them, as an array; an unknown number is NaN."""
    is_number = [isinstance(one, int | float) and not isinstance(one, bool) for one in values]
    known = [one for one in values if one is not None]
    if known and all(is_number[place] or one is None for place, one in enumerate(values)):
        whole = all(isinstance(one, int) for one in values)
        return np.array([np.nan if one is None else one for one in values],
                        np.int64 if whole else np.float64)  # fmt: skip
    if all(isinstance(one, np.ndarray) for one in values) and len({*map(len, values)}) == 1:
        return np.stack(values)
    return list(values)
