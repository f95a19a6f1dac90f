"""What models take: how many frames, of which sides, at which rate. One row per family.

Facts are from the trainers' own pages: musubi-tuner's ``docs/dataset_config.md`` (4n+1 frames; 16
frames/s for Wan, 24 for HunyuanVideo), the LTX trainer's ``preprocess_dataset.py`` (8n+1 frames,
sides in multiples of 32), and cogvideox-factory's ``prepare_dataset.sh`` and ``assets/dataset.md``
(4n+1 frames, 8 frames/s, 720x480). Default buckets are sizes that each model was trained on, and
``max_frames`` its usual longest clip; both can be chosen otherwise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_BUCKET = re.compile(r"(\d+)x(\d+)(?:x(\d+))?")


@dataclass(frozen=True, slots=True)
class Bucket:
    """One size of clips.

    Args:
        width: in pixels.
        height: in pixels.
        frames: exactly so many; None for as many as a clip has, by the model's rule.
    """

    width: int
    height: int
    frames: int | None = None

    def __str__(self) -> str:
        size = f"{self.width}x{self.height}"
        return size if self.frames is None else f"{size}x{self.frames}"


@dataclass(frozen=True, slots=True)
class Profile:
    """What the trainers of one family of models take.

    Args:
        name: what it is called on every surface.
        frame_step: clips have ``n * frame_step + 1`` frames.
        side_step: both sides are multiples of it, in pixels.
        fps: frames per second.
        max_frames: most frames of a clip whose bucket names none.
        buckets: sizes, where none are chosen.
        layout: shard format that its usual trainer reads.
    """

    name: str
    frame_step: int
    side_step: int
    fps: float
    max_frames: int
    buckets: tuple[Bucket, ...]
    layout: str

    def frames_within(self, count: int) -> int | None:
        """The largest number of frames that is allowed, of at most so many; None for none.

        A single frame is an image, so it does not count as a clip.
        """
        steps = (min(count, self.max_frames) - 1) // self.frame_step
        return steps * self.frame_step + 1 if steps > 0 else None

    def parse_bucket(self, text: str) -> Bucket:
        """Read ``832x480`` or ``832x480x81``.

        Raises:
            ValueError: it is no size, or not one that the model takes; says what would be.
        """
        found = _BUCKET.fullmatch(text.strip())
        if not found:
            raise ValueError(f"{text!r} is no bucket: write WIDTHxHEIGHT or WIDTHxHEIGHTxFRAMES")
        bucket = Bucket(int(found[1]), int(found[2]), int(found[3]) if found[3] else None)
        step = self.side_step
        for side in (bucket.width, bucket.height):
            if not side or side % step:
                near = max(step, round(side / step) * step)
                raise ValueError(
                    f"bucket {text}: {self.name} takes sides in multiples of {step}, so {side} "
                    f"cannot be one; the nearest is {near}"
                )
        if bucket.frames is not None and (
            bucket.frames <= 1 or (bucket.frames - 1) % self.frame_step
        ):
            near = max(1, round((bucket.frames - 1) / self.frame_step)) * self.frame_step + 1
            raise ValueError(
                f"bucket {text}: {self.name} takes {self.frame_step}n+1 frames, so "
                f"{bucket.frames} cannot be their number; the nearest is {near}"
            )
        return bucket


def _sizes(*sizes: tuple[int, int]) -> tuple[Bucket, ...]:
    return tuple(Bucket(*size) for size in sizes)


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("cogvideox", 4, 16, 8, 49, _sizes((720, 480), (480, 720)), "finetrainers"),
        Profile(
            "hunyuan",
            4,
            16,
            24,
            129,
            _sizes((960, 544), (544, 960), (720, 720)),
            "musubi-tuner",
        ),
        Profile("ltx", 8, 32, 25, 121, _sizes((768, 512), (512, 768), (640, 640)), "ltx-trainer"),
        Profile("wan", 4, 16, 16, 81, _sizes((832, 480), (480, 832), (624, 624)), "musubi-tuner"),
    )
}
"""By name."""
