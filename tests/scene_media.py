"""Made footage whose cuts are known: panning textures, joined hard, by fades, or by dissolves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

Array = np.ndarray[Any, Any]


def texture(seed: int, width: int, height: int) -> Array:
    """A picture like none other: coloured patches of several sizes, uint8 RGB."""
    random = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), np.float32)
    for cells, strength in ((3, 1.0), (9, 0.6), (40, 0.25)):
        patches = random.uniform(-1, 1, (cells, cells, 3)).astype(np.float32)
        picture += strength * cv2.resize(patches, (width, height), interpolation=cv2.INTER_CUBIC)
    middle = random.uniform(20, 235, 3)
    return np.clip(middle + 70 * picture, 0, 255).astype(np.uint8)


def scene(
    seed: int, frames: int, size: tuple[int, int] = (320, 180), speed: float = 1.5
) -> Iterator[Array]:
    """Frames of one scene: a camera that pans over a texture, `speed` pixels a frame."""
    width, height = size
    reach = int(frames * abs(speed)) + 2
    wide = texture(seed, width + reach, height + reach)
    for number in range(frames):
        shift = int(number * speed)
        yield np.ascontiguousarray(wide[shift : shift + height, shift : shift + width])


def scenes(
    lengths: Sequence[int], size: tuple[int, int] = (320, 180), *, seed: int = 0, speed: float = 1.5
) -> Iterator[Array]:
    """Scenes joined by hard cuts."""
    for number, frames in enumerate(lengths):
        yield from scene(100 * seed + number, frames, size, speed)


def faded(pictures: Iterable[Array], fades: Sequence[tuple[int, int]]) -> Iterator[Array]:
    """Pictures that fade to black and back: (middle, half length) of each fade, in frames."""
    for number, picture in enumerate(pictures):
        light = min((min(abs(number - middle) / half, 1.0) for middle, half in fades), default=1.0)
        yield (picture * light).astype(np.uint8)


def flashed(pictures: Iterable[Array], flashes: Sequence[int]) -> Iterator[Array]:
    """Pictures of which some, and the ones after them, are blinded by a flash."""
    for number, picture in enumerate(pictures):
        blind = number in flashes or number - 1 in flashes
        yield np.maximum(picture, 235) if blind else picture


def write_pictures(
    path: Path,
    pictures: Iterable[Array],
    *,
    fps: int | Fraction = 25,
    frame_times: Sequence[Fraction] | None = None,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
) -> Path:
    """Encode RGB pictures as a video without sound.

    Args:
        path: where to.
        pictures: uint8 (height, width, 3), all of one even size.
        fps: frames in a second.
        frame_times: when each is shown, in seconds; makes the rate variable.
        codec: libav's name of the encoder.
        pixel_format: libav's name.
        options: of the encoder.
    """
    time_base = Fraction(1, 90_000)
    with av.open(str(path), "w") as container:
        stream: Any = None
        for number, picture in enumerate(pictures):
            if stream is None:
                chosen = {"preset": "ultrafast", "crf": "20", **(options or {})}
                stream = container.add_stream(codec, rate=fps, options=chosen)
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = pixel_format
                stream.codec_context.time_base = time_base
                stream.codec_context.thread_count = 1
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = frame.reformat(format=pixel_format, threads=1)
            time = frame_times[number] if frame_times else number / Fraction(fps)
            frame.pts, frame.time_base = round(time / time_base), time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


KINDS = ("hard", "dissolve", "wipe", "iris", "fade")
"""Ways of joining two scenes."""


def blend(kind: str, old: Sequence[Array], new: Sequence[Array]) -> list[Array]:
    """The frames that join two scenes, as many as are given of each."""
    pictures = []
    for number, (one, other) in enumerate(zip(old, new, strict=True)):
        share = (number + 1) / (len(old) + 1)
        height, width = one.shape[:2]
        rows, columns = np.ogrid[:height, :width]
        if kind == "dissolve":
            pictures.append((one * (1 - share) + other * share).astype(np.uint8))
        elif kind == "fade":
            light = abs(1 - 2 * share)
            pictures.append(((one if share < 0.5 else other) * light).astype(np.uint8))
        else:
            shown = columns < width * share
            if kind == "iris":
                far = np.hypot(columns - width / 2, rows - height / 2)
                shown = far < np.hypot(width, height) / 2 * share
            shown = np.broadcast_to(shown, (height, width))
            pictures.append(np.where(shown[..., None], other, one))
    return pictures
