"""Clips for tests: ordered in a line, and read back frame by frame and sample by sample."""

import av
import numpy as np

from clipmill.core.edit import Edit
from clipmill.core.request import Audio, Want
from clipmill.core.time import Span
from clipmill.demo.media import read_frame_number
from clipmill.media.decode import MediaFile
from clipmill.media.order import ClipOrder
from clipmill.media.render import render_clips


def render(source, spans, folder, wanted=None, *, subtitles=(), **edit):
    orders = [
        ClipOrder(str(number), Span.parse(span), tuple(subtitles))
        for number, span in enumerate(spans)
    ]
    wanted = {"video": "mp4"} if wanted is None else wanted
    return render_clips(source, orders, Edit(**edit), wanted, folder)


def frames(path):
    """(exact time, number painted on it) of every frame."""
    with av.open(str(path)) as container:
        return [
            (frame.pts * frame.time_base, read_frame_number(frame.to_ndarray(format="rgb24")))
            for frame in container.decode(video=0)
        ]


def numbers(path):
    return [number for _, number in frames(path)]


def sound(path, span=None):
    """(start in exact seconds from the first frame, mono samples at 48 kHz)."""
    with MediaFile(path) as media:
        pieces = list(media.decode([Want(Audio(rate=48_000, channels=1), span)]))
    return pieces[0].start_seconds, np.concatenate([piece.samples[0] for piece in pieces])


def sound_offset(clip, extension, source):
    """How much later than in the source the sound of a clip is heard, in milliseconds."""
    made_start, made = sound(clip.members[extension].path)
    true_start, true = sound(source, clip.actual)
    count = min(len(made), len(true))
    spectrum = np.fft.rfft(made[:count], 2 * count) * np.fft.rfft(true[:count], 2 * count).conj()
    shift = int(np.argmax(np.fft.irfft(spectrum)))
    shift -= 2 * count if shift >= count else 0
    return 1000 * float(made_start + shift / 48_000 - (true_start - clip.actual.start))
