"""Tars as video2dataset writes them, for the tests of its loader."""

import io
import json
import wave

import numpy as np

from clipmill.demo.media import make_video, read_frame_number
from clipmill.io.tar import TarWriter

FPS, SECONDS, EACH = 12, 2, 40
"""Frame n of sample s carries the number ``s * EACH + n``."""
FRAMES = FPS * SECONDS
TEXTS = [
    "a man walks his dog along the river",
    "ein Mann geht mit seinem Hund am Fluss spazieren",
    "un homme promène son chien le long de la rivière",
]


def write_tar(path, samples):
    """A tar of samples, given as their members by extension."""
    writer = TarWriter(path)
    for key, members in samples.items():
        for extension, data in members.items():
            writer.add(f"{key}.{extension}", data)
    writer.close()
    return path


def video_samples(folder, count, **options):
    """Samples 00000, 00001 and so on, with text in three languages and scores."""
    samples = {}
    for number in range(count):
        path = folder / f"{number}.mp4"
        given = {"seconds": SECONDS, "fps": FPS, "first_number": number * EACH, **options}
        make_video(path, **given)
        scores = {"AESTHETIC_SCORE": number, "punsafe": number / 10}
        samples[f"{number:05}"] = {
            "mp4": path.read_bytes(),
            "txt": TEXTS[number % 3].encode(),
            "json": json.dumps(scores).encode(),
        }
    return samples


def wav(seconds, rate, channels=1):
    """Sound whose samples rise from -0.5 to 0.5."""
    rise = np.linspace(-0.5, 0.5, int(seconds * rate))
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes((np.repeat(rise, channels) * 32_767).astype("<i2").tobytes())
    return file.getvalue()


def npy(array):
    """An array as the bytes of a file."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def numbers(frames):
    """What the frames of one sample carry, the sample's first number taken away."""
    found = [read_frame_number(frame.numpy().astype(np.uint8)) for frame in frames]
    return [number % EACH for number in found]


def keys(batches):
    """Keys of all samples, in order."""
    return [key for batch in batches for key in batch["__key__"]]
