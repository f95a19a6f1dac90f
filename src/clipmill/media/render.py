"""All clips of one source: decoded once, every clip encoded as its frames come by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

from clipmill.core.edit import Edit
from clipmill.core.errors import ProcessError
from clipmill.core.request import Audio, Frames
from clipmill.io.stretch import Place
from clipmill.media.clip_plan import FilePlan, Traits, plan_files, plan_picture_framing
from clipmill.media.clip_work import ClipWork
from clipmill.media.copy_clips import copy_clips, mix_clips
from clipmill.media.decode import MediaFile
from clipmill.media.facts import Probe
from clipmill.media.file_work import FileWork, ImageWork, shown
from clipmill.media.framing import Framing
from clipmill.media.images import ImageWriter, image_request
from clipmill.media.letterbox import find_letterbox
from clipmill.media.order import ClipOrder, Rendered
from clipmill.media.packets import PacketSource
from clipmill.media.reshape import Padding


def render_clips(
    path: Place,
    orders: Sequence[ClipOrder],
    edit: Edit,
    wanted: Mapping[str, str],
    folder: Path,
) -> list[Rendered | ProcessError]:
    """Make all clips of one source.

    Args:
        path: the source, a local file or a stretch of one.
        orders: the clips; they may overlap.
        edit: how they are made.
        wanted: ``video`` and ``audio``, each with the extension wanted, such as
            ``{"video": "mp4", "audio": "m4a"}``.
        folder: where files are written, named after the orders.

    Returns:
        For each order, in the same order, the clip or why there is none; one that fails does no
        harm to others.

    Raises:
        ProcessError: the source cannot be read, lacks what is wanted, or a container does not
            hold a codec.
    """
    copies = edit.precision == "copy"
    with MediaFile(path, keeps_packets=copies, probes=True) as media, ExitStack() as stack:
        facts = media.facts
        assert facts is not None
        clips = [ClipWork(order, folder, wanted) for order in orders]
        if copies:
            copy_clips(clips, media, facts, edit, wanted)
        elif edit.precision == "smart" and "video" in wanted:
            mix_clips(clips, media, facts, edit, wanted["video"])
        roles = {role for clip in clips if not clip.has_failed for role in clip.roles}
        left = {role: extension for role, extension in wanted.items() if role in roles}
        renderer = Renderer(media, edit, left, stack)
        for clip in clips:
            renderer.begin(clip)
        _decode(media, clips)
        return [clip.finish() for clip in clips]


class Renderer:
    """Tells of each clip of an open source what it wants to see and hear.

    Args:
        media: the open source, probed.
        edit: how clips are made.
        wanted: modalities, each with the extension wanted.
        stack: closes what is opened here.

    Raises:
        ProcessError: the source lacks what is wanted, or a container does not hold a codec.
    """

    def __init__(
        self,
        media: MediaFile,
        edit: Edit,
        wanted: Mapping[str, str],
        stack: ExitStack,
    ) -> None:
        assert media.facts is not None
        self._media = media
        self._edit = edit
        traits = traits_of(media, media.facts)
        looks = edit.crop == "letterbox" and media.frames is not None
        box = find_letterbox(media) if looks else None
        self.plans = plan_files(traits, edit, wanted, box)
        with_images = edit.images != "none"
        self._framing = plan_picture_framing(traits, edit, box) if with_images else None
        copies = any(plan.copies_sound for plan in self.plans)
        self._packets = stack.enter_context(PacketSource(media)) if copies else None

    @property
    def looks(self) -> list[Frames]:
        """What clips want to see, whatever their spans."""
        return [plan.pictures.request for plan in self.plans if plan.pictures]

    @property
    def sounds(self) -> list[Audio]:
        """What clips want to hear."""
        return [plan.sound_request for plan in self.plans if plan.sound_request]

    def begin(self, clip: ClipWork) -> None:
        """Begin the files of a clip that are made from decoded pictures and sound."""
        try:
            clip.begin(_files(clip, self._media, self.plans, self._packets))
            clip.begin(_images(clip, self._media, self._framing, self._edit))
        except ProcessError as error:
            clip.fail(error)


def _files(
    clip: ClipWork, media: MediaFile, plans: Sequence[FilePlan], packets: PacketSource | None
) -> Iterator[FileWork]:
    """The files still to be made of a clip from decoded pictures and sound."""
    for plan in plans:
        if clip.has_failed or plan.role not in clip.roles:
            continue
        file = FileWork(clip.order.name, clip.span, media, plan, clip.folder, packets)
        yield file
        if plan.pictures:
            clip.span = file.span  # what else there is of the clip follows its pictures


def _images(
    clip: ClipWork, media: MediaFile, framing: Framing | None, edit: Edit
) -> Iterator[ImageWork]:
    if framing is None or clip.has_failed:
        return
    assert media.frames is not None
    shown(media.frames, clip.span, None)  # or there is nothing to take images of
    request = image_request(edit, framing, clip.span, clip.lines)
    if request is None:
        clip.note("it has no image, since no subtitle lies within it")
    else:
        images = ImageWriter(clip.folder, clip.order.name, edit)
        yield ImageWork(request, clip.span, Padding(framing), images)


def _decode(media: MediaFile, clips: Sequence[ClipWork]) -> None:
    """Decode once for all clips; what the source cannot give fails those that wait for it."""
    routes = [(clip, number) for clip in clips for number in range(len(clip.wants))]
    if not routes:
        return
    try:
        for piece in media.decode([clip.wants[number] for clip, number in routes]):
            clip, want = routes[piece.want]
            clip.take(want, piece)
    except ProcessError as error:
        for clip in clips:
            clip.fail(error)


def traits_of(media: MediaFile, facts: Probe) -> Traits:
    """What must be known of an open source before its clips are made."""
    video, index, sound = facts.video, media.frames, media.sound
    frame_rate, time_base = Fraction(25), Fraction(1, 1000)
    if index is not None:
        time_base, frame_rate = index.time_base, len(index) / index.end_seconds
    return Traits(
        width=video.width if video and index is not None else None,
        height=video.height if video and index is not None else None,
        time_base=time_base,
        frame_rate=_nominal(frame_rate),
        rotation_degrees=video.rotation_degrees if video else 0,
        sound_rate=sound.rate if sound else None,
        channels=sound.channels if sound else 0,
        layout=sound.layout if sound else "",
        sound_codec=facts.audio[0].codec if facts.audio else "",
        language=facts.audio[0].language if facts.audio else None,
    )


def _nominal(rate: Fraction) -> Fraction:
    """An average as a rate that encoders can write: within a thousandth, of small numbers."""
    return min(
        (Fraction(round(rate * base), base) for base in (1, 1001)),
        key=lambda near: abs(near - rate),
    )
