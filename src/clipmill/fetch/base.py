"""The contract of a fetcher: one URL becomes one local file, or one recorded error."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from clipmill.core.sample import MediaRef, Subtitle
from clipmill.io.stretch import Place

MAX_URL_CHARACTERS = 16_384


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """What is wanted of one source.

    Args:
        url: the URL as given.
        target: local file to write, or to write over; its folder exists, and other files there
            that begin with its name are this fetch's too.
        modalities: ``video``, ``audio``, in the order wanted; empty when only metadata are.
        spans: ``(start_seconds, end_seconds)`` wanted, when only parts are; else empty.
        media: where the bytes lie already, when they need no network.
        in_place: bytes of a local file will only be read, so that none need be copied.
    """

    url: str
    target: Path
    modalities: tuple[str, ...] = ("video",)
    spans: tuple[tuple[float, float], ...] = ()
    media: MediaRef | None = None
    in_place: bool = False


@dataclass(slots=True)
class Fetched:
    """What came of a fetch.

    Args:
        path: the file with the bytes, or the stretch of one that was asked for in place; None when
            only metadata were wanted.
        audio_path: a separate file with the audio track, when the site keeps it apart.
        size: bytes of ``path``.
        sha256: hex digest of ``path``.
        extension: container found by sniffing, such as ``mp4``, ``webm``, ``mkv``, ``mp3``.
        fetcher: registry name of the fetcher.
        final_url: where the bytes came from after redirects, secrets redacted.
        http_status: last HTTP status, when HTTP was spoken.
        content_type: as the server said.
        attempts: tries made, at least 1.
        seconds: time from first try to last byte, waiting for a slot not counted.
        downloaded_bytes: bytes that came over the wire, retries and other files included.
        sections: spans of the source that ``path`` holds when not the whole, in seconds.
        subtitles: lines in every language fetched.
        info: the site's metadata, JSON-like.
        notes: what went otherwise than asked although the fetch succeeded, in words.
    """

    path: Place | None
    size: int = 0
    sha256: str = ""
    extension: str = ""
    fetcher: str = ""
    final_url: str = ""
    http_status: int | None = None
    content_type: str | None = None
    attempts: int = 1
    seconds: float = 0.0
    downloaded_bytes: int = 0
    audio_path: Place | None = None
    sections: Sequence[tuple[float, float]] = ()
    subtitles: list[Subtitle] = field(default_factory=list)
    info: Mapping[str, Any] | None = None
    notes: list[str] = field(default_factory=list)


class Budget(Protocol):
    """Bytes that may wait on disk between fetching and writing, for a worker's fetches together."""

    async def reserve(self, size: int) -> None:
        """Wait until ``size`` more bytes fit; the oldest request in line is never kept waiting."""

    def is_next(self) -> bool:
        """Whether the writer waits for this fetch, so that nothing else may keep it waiting."""


class Fetcher(ABC):
    """Fetches URLs of one kind. Created once per worker, inside its event loop."""

    name: ClassVar[str]

    @abstractmethod
    async def fetch(self, request: FetchRequest, budget: Budget) -> Fetched:
        """Fetch one source into ``request.target``.

        Raises:
            DownloadError: with ``details`` holding ``fetcher``, ``final_url``, ``http_status``,
                ``attempts``, ``seconds`` and ``downloaded_bytes`` as far as known. Nothing is left
                at ``request.target`` then.
        """

    async def close(self) -> None:  # noqa: B027  most have nothing to release
        """Release connections and child processes."""
