"""What is looked up in every file of a run, and how its work is done."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ByteSize, Field, field_validator

from clipmill.core.config import Config, PositiveBytes
from clipmill.core.request import DecoderName
from clipmill.run.write_spec import known_name


class ProbeOptions(Config):
    """What is looked up in every file."""

    keyframes: bool = False
    """Store the time of every keyframe."""
    max_duration_seconds: float | None = Field(default=None, gt=0)
    """Longest source, in seconds; longer ones fail as `too_long`. Default: any."""


class RunSpec(Config):
    """How the work is done; none of it changes the result, but for shades by the decoder."""

    executor: str = "local"
    """Who runs the shards."""
    workers: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """Worker processes. Default: one for every two cores."""
    decoder: DecoderName = "pyav"
    """What decodes the pictures that `annotate` looks at: `pyav`, or `torchcodec` (extra
    `torchcodec`; on a GPU where there is one) for pictures in RGB of common MP4, MOV, MKV and WebM
    files. All others, and those for `split` and `render`, are decoded by PyAV in any case."""
    media_processes: int = Field(default=2, ge=1, le=64)
    """Processes per worker that read media; they may crash or hang without harm."""
    sample_timeout_seconds: float = Field(default=120.0, gt=0)
    """Time that reading one file, or a step over one sample or batch, may stand still before its
    process is killed."""
    media_memory_bytes: Annotated[ByteSize, Field(ge=100_000_000)] = ByteSize(4_000_000_000)
    """Memory a media process may take before the file it reads fails."""
    scene_bytes: ByteSize = ByteSize(160_000_000)
    """Memory a media process may take for the pictures of a scene until its end is known; what does
    not fit is decoded again, to be judged and made."""
    ahead_bytes: PositiveBytes = ByteSize(2_000_000_000)
    """Bytes a worker may hold on disk between fetching and writing."""
    max_shard_retries: int = Field(default=2, ge=0)
    """Further tries for a shard whose worker died."""
    failure_budget: float = Field(default=0.5, ge=0, le=1)
    """Exit with status 3 when a larger share of rows failed."""
    temp_dir: str | None = None
    """Folder for work in hand. Default: inside a local output folder, else the system's."""
    wandb: str | None = None
    """Weights & Biases project to report to. Default: none."""

    @field_validator("executor")
    @classmethod
    def _known_executor(cls, value: str) -> str:
        return known_name(value, "executor")
