"""video2dataset's loader, carried out by clipmill's."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clipmill.compat.v2d_loader_arguments import (
    AUDIO_KEYS,
    AudioDecoding,
    LoaderArguments,
    VideoDecoding,
)
from clipmill.core.config import parse_config
from clipmill.core.extras import check_installed

if TYPE_CHECKING:
    from clipmill.compat.v2d_dataset import VideoDataset

_Names = str | Sequence[str] | None
_Size = int | Sequence[int] | None


def reraise(error: Exception) -> bool:
    """The handler that lets no error pass, as ``webdataset.reraise_exception``."""
    raise error


def get_video_dataset(  # noqa: PLR0913  its arguments are the peer's
    urls: str | os.PathLike[str] | Sequence[str],
    batch_size: int,
    shuffle: int = 0,
    repeat: int | None = 1,
    drop_last: bool = False,
    video_key: str = "mp4",
    cuts_key: str | None = None,
    decoder_kwargs: Mapping[str, Any] | None = None,
    custom_transforms: Mapping[str, Callable[[Any], Any]] | None = None,
    aesthetics_threshold: float | None = None,
    allowed_languages: _Names = None,
    p_unsafe_threshold: float | None = None,
    resize_size: _Size = None,
    crop_size: _Size = None,
    random_crop: bool = False,
    original_height_key: str = "original_height",
    original_width_key: str = "original_width",
    keys_to_remove: _Names = None,
    enforce_additional_keys: _Names = None,
    return_always: bool = False,
    handler: Callable[[Exception], Any] = reraise,
) -> VideoDataset:
    """Load tars for training, with video2dataset's arguments and under its names.

    Made for ``webdataset.WebLoader(dataset, batch_size=None, num_workers=n)`` or PyTorch's
    DataLoader with the same arguments. ``clipmill.load`` can do more: see docs/video2dataset.md.

    Args:
        urls: tars by path, glob, braces or fsspec URL, folders of tars, or a list of these.
        batch_size: samples per batch.
        shuffle: 0 for the order in which they lie; else about how many samples are mixed at a
            time, at least 16,384.
        repeat: epochs of one iteration; None or -1 for ever.
        drop_last: leave out a worker's last batch if it is not full, and the samples that not every
            process would get.
        video_key: extension of the member to decode. ``mp3``, ``wav``, ``flac`` and ``m4a`` are
            sound.
        cuts_key: extension of the member with the first and last frames of scenes (``npy``, or
            ``json``); frames are of one scene then.
        decoder_kwargs: of ``v2d_loader_arguments.VideoDecoding`` or ``AudioDecoding``. Default:
            nothing is decoded, and samples come one by one, as bytes.
        custom_transforms: what is done to values of a sample, by key.
        aesthetics_threshold: least ``AESTHETIC_SCORE`` in a sample's JSON.
        allowed_languages: languages of its ``txt``, as ISO 639-1 codes.
        p_unsafe_threshold: its JSON's ``punsafe`` must lie below it.
        resize_size: pixels of the short side, or height and width.
        crop_size: height and width in pixels (one number: a square) to cut out after that.
        random_crop: cut out anywhere, the same in all frames, in place of the middle.
        original_height_key: what the height before resizing is called.
        original_width_key: what the width before resizing is called.
        keys_to_remove: extensions of members that are not read.
        enforce_additional_keys: extensions that samples must have. Default: ``txt``.
        return_always: give samples that fail as copies of others, told by ``__corrupted__``.
        handler: called with the error of a sample that fails; goes on if it returns true, stops if
            false. Default: raises it.

    Returns:
        A ``torch.utils.data.IterableDataset`` of batches.

    Raises:
        RecipeError: wrong arguments, or what clipmill cannot do.
        MissingExtra: PyTorch, or for ``allowed_languages`` py3langid, is not installed.
        InputError: there are no such tars.
    """
    given = dict(locals())
    check_installed([("torch", "torch")], used_by="get_video_dataset")
    if allowed_languages is not None:
        check_installed([("py3langid", "language")], used_by="allowed_languages")
    kind = AudioDecoding if video_key in AUDIO_KEYS else VideoDecoding
    given["decoder_kwargs"] = (
        parse_config(kind, decoder_kwargs, "decoder_kwargs", style="keyword")
        if decoder_kwargs
        else None
    )
    given["custom_transforms"] = custom_transforms or {}
    given["keys_to_remove"] = keys_to_remove or ()
    if enforce_additional_keys is None:
        given["enforce_additional_keys"] = ("txt",)
    arguments = parse_config(LoaderArguments, given, "get_video_dataset", style="keyword")
    from clipmill.compat.v2d_dataset import VideoDataset

    return VideoDataset(arguments)
