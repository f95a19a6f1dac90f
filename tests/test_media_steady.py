"""An encoder gives the same bytes for the same pictures, on processors of every kind."""

import hashlib
import io

import av
import numpy as np
import pytest

from clipmill.core.edit import Edit
from clipmill.media.encoders import choose_video

WIDTH, HEIGHT, FRAMES = 432, 240, 40


@pytest.fixture(scope="module")
def pictures():
    """A soft texture that drifts: what a lookahead has to search for."""
    random = np.random.default_rng(7)
    coarse = random.integers(0, 255, (HEIGHT // 8 + 8, WIDTH // 8 + 8)).astype(np.uint8)
    texture = np.kron(coarse, np.ones((8, 8), np.uint8))
    found = []
    for number in range(FRAMES):
        luma = texture[number : number + HEIGHT, number : number + WIDTH]
        noise = random.integers(0, 6, luma.shape).astype(np.uint8)
        chroma = np.full((HEIGHT // 2, WIDTH), 128, np.uint8)
        found.append(np.concatenate([luma // 2 + noise, chroma]))
    return found


def encoded(pictures):
    coding = choose_video(Edit(preset="medium"), "mp4")
    digest = hashlib.sha256()
    with av.open(io.BytesIO(), "w", format="matroska") as writer:
        stream = writer.add_stream(coding.encoder, rate=10, options=coding.options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.thread_count = 1
        frames = [av.VideoFrame.from_ndarray(one, format="yuv420p") for one in pictures]
        for frame in [*frames, None]:
            for packet in stream.encode(frame):
                digest.update(bytes(packet))
    return digest.hexdigest()


def test_x264_gives_the_same_bytes_every_time(pictures):
    assert len({encoded(pictures) for _ in range(4)}) == 1
