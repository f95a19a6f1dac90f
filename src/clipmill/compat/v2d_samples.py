"""Samples as video2dataset's loader gives them: filtered, decoded, transformed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch

from clipmill.compat.v2d_filters import left_out_by
from clipmill.compat.v2d_loader_arguments import AudioDecoding, LoaderArguments, VideoDecoding
from clipmill.compat.v2d_tars import Members, Tars, decoded
from clipmill.core.errors import ProcessError, SampleError, StorageError
from clipmill.core.sample import MediaRef
from clipmill.core.time import Span
from clipmill.dataset.load.media_files import MediaFiles
from clipmill.dataset.load.order import choices
from clipmill.dataset.load.view import view

_CACHE_BYTES = 256_000_000


class Where(NamedTuple):
    """One sample of one epoch."""

    seed: int
    epoch: int
    number: int
    tar: int
    place: int


class Outcome(NamedTuple):
    """What came of a sample: itself, or why it is left out, or what went wrong with it."""

    key: str | None
    url: str | None
    sample: dict[str, Any] | None = None
    left_out: str = ""
    error: Exception | None = None


class V2dSamples:
    """Gives samples under video2dataset's names. Picklable.

    Args:
        tars: where they lie.
        arguments: what is wanted of them.
    """

    def __init__(self, tars: Tars, arguments: LoaderArguments) -> None:
        self.tars = tars
        self._arguments = arguments
        decoding = arguments.decoder_kwargs
        if isinstance(decoding, VideoDecoding):
            self._options = decoding.options(arguments.resize_size)
        elif decoding is not None:
            self._options = decoding.options()
        self._files = MediaFiles(_CACHE_BYTES)

    def __getstate__(self) -> dict[str, Any]:
        return {name: part for name, part in self.__dict__.items() if name != "_files"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._files = MediaFiles(_CACHE_BYTES)

    def fetch(self, several: Sequence[Where]) -> None:
        """Fetch what samples have on far storage, as far as some of it lies together.

        Args:
            several: of one batch.
        """
        removed = self._arguments.keys_to_remove
        with suppress(SampleError, StorageError):  # told when the sample itself is loaded
            found = [self.tars.sample(where.tar, where.place).refs for where in several]
            self._files.fetch(
                ref for refs in found for name, ref in refs.items() if name not in removed
            )

    def load(self, where: Where) -> Outcome:
        """One sample; what fails is told, for the handler to decide.

        Args:
            where: which one.
        """
        key = url = None
        try:
            members = self.tars.sample(where.tar, where.place)
            key, url = members.key, members.url
            reason = self._left_out(members)
            if reason:
                return Outcome(key, url, left_out=reason)
            sample = self._made(members, where)
        except (SampleError, StorageError) as error:
            return Outcome(key, url, error=_named(error, key))
        try:
            for name, transform in self._arguments.custom_transforms.items():
                sample[name] = transform(sample[name])
        except Exception as error:  # noqa: BLE001  of the user's own code: the handler decides
            return Outcome(key, url, error=error)
        return Outcome(key, url, {**sample, "__key__": key, "__url__": url})

    def _left_out(self, members: Members) -> str:
        lacking = self._arguments.required - members.refs.keys()
        if lacking:
            return f"without {min(lacking)}"
        there = [name for name in ("json", "txt") if name in members.refs]
        read: dict[str, Callable[[], bytes]] = {
            name: partial(self._read, members.refs[name]) for name in there
        }
        return left_out_by(self._arguments, read)

    def _read(self, ref: MediaRef) -> bytes:
        return self._files.read(ref)

    def _made(self, members: Members, where: Where) -> dict[str, Any]:
        arguments = self._arguments
        refs = {n: r for n, r in members.refs.items() if n not in arguments.keys_to_remove}
        medium = refs.pop(arguments.video_key)
        decoding = arguments.decoder_kwargs
        if decoding is None:
            raw = {name: self._read(ref) for name, ref in refs.items()}
            return {arguments.video_key: self._read(medium), **raw}
        scenes = self._scenes(refs)
        sample = {name: decoded(name, self._read(ref)) for name, ref in refs.items()}
        if isinstance(decoding, AudioDecoding):
            return sample | self._heard(medium, decoding)
        chance = choices(where.seed, where.epoch, where.number)
        sample |= self._seen(medium, decoding, scenes, chance)
        if decoding.return_bytes:
            sample["video_bytes"] = self._read(medium)
        return sample

    def _scenes(self, refs: dict[str, MediaRef]) -> list[tuple[int, int]]:
        """The stretches between cuts; their member is none of the batch's, as in the peer."""
        name = self._arguments.cuts_key
        if name is None:
            return []
        if name not in refs:
            raise ProcessError(f"it has no member {name!r} with cuts", error_class="no_cuts")
        cuts = decoded(name, self._read(refs.pop(name)))
        if isinstance(cuts, dict):  # video2dataset's own <key>.json
            cuts = (cuts.get("cuts") or {}).get("cuts_original_fps")
        pairs = np.asarray([] if cuts is None else cuts)
        if pairs.ndim != 2 or pairs.shape[1] != 2:
            raise ProcessError(
                f"its member {name!r} holds no pairs of first and last frames of scenes",
                error_class="no_cuts",
            )
        return [(int(first), int(last)) for first, last in pairs]

    def _seen(
        self,
        ref: MediaRef,
        decoding: VideoDecoding,
        scenes: Sequence[tuple[int, int]],
        chance: np.random.Generator,
    ) -> dict[str, Any]:
        arguments, options = self._arguments, self._options
        with self._files.open(ref, hears=False) as media:
            arrays = view(media, None, None, options, chance, scenes)
        frames, count = arrays["frames"], len(arrays["frames"])
        if arguments.crop_box:
            frames = _cut_out(frames, arguments.crop_box, chance if arguments.random_crop else None)
        is_shaped = bool(arguments.resize_size or arguments.crop_box)
        kind = np.float16 if is_shaped else np.float32
        rates = decoding.rates
        chosen = arrays["fps"] if rates else round(arrays["fps"])
        sizes = {
            arguments.original_height_key: arrays["original_height"],
            arguments.original_width_key: arrays["original_width"],
        }
        return {
            arguments.video_key: torch.from_numpy(frames.astype(kind)),
            "fps_id": torch.full((count,), rates.index(chosen) if rates else 0),
            **{name: torch.full((count,), size) for name, size in sizes.items()},
            "pad_masks": torch.from_numpy(arrays["frame_mask"].astype(np.float32)),
            "native_fps": int(chosen) if float(chosen).is_integer() else chosen,
            "start_frame": arrays["start_frame"],
        }

    def _heard(self, ref: MediaRef, decoding: AudioDecoding) -> dict[str, Any]:
        span = Span(Fraction(0), Fraction(decoding.max_length))
        with self._files.open(ref, hears=True) as media:
            arrays = view(None, media, span, self._options, choices(0, 0, 0))
        there, length = arrays["audio"], decoding.max_length * decoding.sample_rate
        if not there.shape[1]:
            raise ProcessError("it has no sound", error_class="no_audio_stream")
        waveform = np.zeros((len(there), length), np.float32)
        heard = min(there.shape[1], length)
        waveform[:, :heard] = there[:, :heard]
        return {
            self._arguments.video_key: torch.from_numpy(waveform),
            "audio_pad_masks": (torch.arange(length) < heard).float(),
            "original_sample_rate": torch.tensor(arrays["original_audio_rate"]),
            "sample_rate": torch.tensor(decoding.sample_rate),
        }


def _cut_out(
    frames: Any, box: tuple[int, int], chance: np.random.Generator | None
) -> np.ndarray[Any, Any]:
    """A box of so many rows and columns: in the middle, or by chance the same in all frames."""
    spare = [frames.shape[axis + 1] - box[axis] for axis in (0, 1)]
    if min(spare) < 0:
        raise ProcessError(
            f"its pictures of {frames.shape[1]}x{frames.shape[2]} pixels are smaller than "
            f"crop_size {box[0]}x{box[1]}: give a greater resize_size",
            error_class="crop_outside",
        )
    y, x = (int(chance.integers(one + 1)) if chance else one // 2 for one in spare)
    return np.ascontiguousarray(frames[:, y : y + box[0], x : x + box[1]])


def _named(error: SampleError | StorageError, key: str | None) -> ProcessError:
    return ProcessError(
        f"Sample {key or '(unknown)'}: {error.message}. To leave such samples out, give a handler, "
        "such as webdataset.warn_and_continue.",
        error_class=getattr(error, "error_class", "storage"),
    )
