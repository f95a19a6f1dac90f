"""Whole pictures of frames that hold two fields of different moments."""

from __future__ import annotations

from typing import Any

import av.filter

_UNKNOWN = object()


class Deinterlacer:
    """Bwdif over a frame and its neighbours, whatever was asked for before."""

    def __init__(self) -> None:
        self._graph: Any = None
        self._kind: tuple[Any, ...] = ()
        self._latest: list[Any] = []

    def whole(self, before: Any | None, frame: Any, after: Any | None) -> Any:
        """The picture of a frame, at the moment of its first field.

        Args:
            before: the frame shown before it, if any.
            frame: returned as it is unless it says that it is interlaced.
            after: the frame shown after it, if any.
        """
        if not frame.interlaced_frame:
            return frame
        kind = (frame.width, frame.height, frame.format.name)
        neighbours = [
            other for other in (before, frame) if other is not None and _kind(other) == kind
        ]
        if self._kind != kind or self._latest != [other.pts for other in neighbours]:
            self._begin(kind, frame)
            for other in neighbours:
                self._graph.vpush(other)
            for _ in neighbours[1:]:
                self._graph.vpull()
        if after is not None and _kind(after) == kind:
            self._graph.vpush(after)
            self._latest = [frame.pts, after.pts]
        else:
            self._graph.vpush(None)
            self._latest = []
        whole = self._graph.vpull()
        whole.pts, whole.time_base = frame.pts, frame.time_base
        return whole

    def _begin(self, kind: tuple[Any, ...], frame: Any) -> None:
        self._kind = kind
        self._graph = av.filter.Graph()
        self._graph.threads = 1
        source = self._graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
        )
        bwdif = self._graph.add("bwdif", "mode=send_frame:deint=interlaced")
        self._graph.link_nodes(source, bwdif, self._graph.add("buffersink")).configure()


def _kind(frame: Any) -> tuple[Any, ...]:
    return (frame.width, frame.height, frame.format.name)
