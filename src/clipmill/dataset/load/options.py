"""What a loader gives of every sample, and in which order."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from clipmill.core.config import Config
from clipmill.core.request import DecoderName

_ARRAY = re.compile(r"([^./]+\.)*npy")
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class LoadOptions(Config):
    """Settings of a loader; all of them can be given to ``Dataset.loader``.

    Raises:
        ValueError: two settings contradict each other.
    """

    frames: PositiveInt | None = None
    """How many frames of each sample. Default: all that ``fps`` or ``stride`` leave."""
    fps: Rate | tuple[Rate, ...] | None = None
    """Rate of the frames in frames/s; of several, each sample gets one by chance, of those that its
    source has. Default: frames are spread over the whole sample."""
    fps_range: tuple[Rate, Rate] | None = None
    """Each sample gets a rate between these by chance, evenly on a logarithmic scale, up to that of
    its source."""
    stride: PositiveInt | None = None
    """Every n-th frame as the source has them, in place of a rate."""
    position: Literal["middle", "random", "first", "ends"] = "middle"
    """Where frames lie: of a stretch of frames, where in the sample it is; of frames that are
    spread, where in each of as many equal parts. ``ends`` spreads them from the sample's first
    frame to its last, in steps of as many frames."""
    short: Literal["pad", "fail"] = "pad"
    """What is done with a sample that is shorter than the frames wanted at their rate: black frames
    follow, which ``frame_mask`` tells; or it counts as one that cannot be read (``too_short``)."""
    short_side: PositiveInt | None = None
    """Scale the shorter side of the picture to so many pixels."""
    size: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None
    """Width and height of the picture in pixels (one number: a square). What is too wide or too
    high is cut off before it is scaled."""
    crop: Literal["center", "random", "none"] = "center"
    """Which part is kept then, the same in all frames of a sample; ``none`` distorts instead."""
    audio: bool = False
    """Give the sound as well: of the stretch that the frames are of, or of the whole sample."""
    audio_rate: PositiveInt | None = None
    """Samples per second of the sound. Default: those of the source."""
    audio_channels: Literal[1, 2] | None = None
    """Channels of the sound. Default: those of the source."""
    video: bool = True
    """Give frames; without them a loader of sound, arrays or columns alone."""
    arrays: tuple[str, ...] = ()
    """Members to give as arrays, such as embeddings, by their whole extension: ``npy``,
    ``clip.npy``. Their first axis may differ in length; a mask tells what was filled up."""
    columns: tuple[str, ...] = ()
    """Further columns to give, of the dataset or of steps, such as ``motion.mean``."""
    layout: Literal["thwc", "tchw", "cthw"] = "thwc"
    """Order of the axes of a sample's frames: time, height, width, colours."""
    batch_size: PositiveInt = 8
    """Samples per batch."""
    buckets: dict[str, PositiveInt] | None = None
    """Batches of one shape each, in place of ``size`` and ``batch_size``: ``WIDTHxHEIGHT`` or
    ``WIDTHxHEIGHTxFRAMES``, each with its samples per batch. A sample goes to the one that cuts off
    least of its picture, then to the one with the most frames; what fits none is left out."""
    clips_per_sample: PositiveInt = 1
    """How often each sample comes in an epoch, with choices by chance of its own each time."""
    shuffle: bool | PositiveInt = False
    """Whether samples come in another order each epoch; a number is how many are mixed at a time:
    True means 16,384."""
    seed: int = Field(default=0, ge=0)
    """Of the order and of all other choices by chance."""
    drop_last: bool = False
    """Leave out batches that are not full, and those that not every rank would get."""
    uneven: Literal["refuse", "repeat", "drop", "keep"] = "refuse"
    """What is done when the batches of an epoch cannot be divided evenly among ranks, of which some
    would go on waiting for others: an error (``refuse``); ranks that lack a last one get the
    epoch's first batches again (``repeat``), one each; the last batches that not every rank would
    get are left out (``drop``); or some ranks have one more (``keep``)."""
    on_error: Literal["skip", "raise"] = "skip"
    """What is done with a sample that cannot be read: left out and counted, or an error."""
    decoder: DecoderName = "pyav"
    """What decodes pictures: ``pyav``, or ``torchcodec`` (an extra; on a GPU where there is one) as
    far as it gives the right ones, which is of common MP4, MOV, MKV and WebM files."""
    threads: PositiveInt | None = None
    """Samples decoded at a time. Default: one per core, and one alone within a worker of PyTorch's
    DataLoader."""
    cache_bytes: PositiveInt = 256_000_000
    """Media from far storage that are kept in memory, since clips may share them."""

    @model_validator(mode="after")
    def _one_rate(self) -> Self:
        rates = [name for name in ("fps", "fps_range", "stride") if getattr(self, name)]
        if len(rates) > 1:
            raise ValueError(f"{' and '.join(rates)} exclude each other; give one")
        if self.drop_last and self.uneven in ("repeat", "keep"):
            raise ValueError(f"drop_last leaves out what uneven={self.uneven!r} would give")
        if self.position == "ends" and (rates or not self.frames):
            raise ValueError("position 'ends' is for frames that are spread: give frames alone")
        if self.size and self.short_side:
            raise ValueError("size and short_side exclude each other; give one")
        if self.buckets and (self.size or self.short_side or not self.video):
            raise ValueError("buckets say how large pictures are; give no size, and leave video on")
        if self.buckets is not None and not self.buckets:
            raise ValueError("buckets names no shape")
        if not (self.video or self.audio or self.arrays or self.columns):
            raise ValueError(
                "neither video, audio, arrays nor columns are wanted; ask for one of them"
            )
        if strange := [name for name in self.arrays if not _ARRAY.fullmatch(name)]:
            raise ValueError(f"arrays are members called npy or such as clip.npy, no {strange[0]}")
        if self.fps_range and self.fps_range[0] > self.fps_range[1]:
            raise ValueError("fps_range goes from the lower to the higher rate")
        if isinstance(self.fps, tuple) and not self.fps:
            raise ValueError("fps names no rate")
        return self

    @property
    def box(self) -> tuple[int, int] | None:
        """Width and height of the picture when both are fixed."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    @property
    def mixed(self) -> int:
        """How many samples are mixed at a time; 0 for none."""
        if self.shuffle is True:
            return 16_384
        return int(self.shuffle)

    def dump(self) -> dict[str, Any]:
        """Those settings that decide which samples come when, for a saved state."""
        names = ("batch_size", "clips_per_sample", "shuffle", "seed", "drop_last", "buckets")
        return {name: getattr(self, name) for name in names}
