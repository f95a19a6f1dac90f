"""The course of one job: one extraction, then its formats and subtitles, within its limits."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from clipmill.core.errors import DownloadError
from clipmill.core.redact import redact_url
from clipmill.fetch.addresses import check_host
from clipmill.fetch.failures import A_LATER_RUN_SECONDS, failure
from clipmill.fetch.sites_errors import explain, http_status_of
from clipmill.fetch.sites_formats import Choice, Format, announced_bytes, choose_formats
from clipmill.fetch.sites_info import clean_info, pick_subtitles
from clipmill.media.subtitles import parse_subtitles

MAX_SUBTITLE_BYTES = 50_000_000
_FIRST_STEP_BYTES, _LAST_STEP_BYTES = 1 << 20, 16 << 20
_MAX_HOPS = 3
# A stretch that is nearly all of a video is fetched faster as the whole.
_WORTHWHILE_SHARE = 0.8
# Their edit lists tell a player to skip what precedes the start back to its key frame.
_CUTTABLE = ("m4a", "m4v", "mov", "mp4")

Ask = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Job:
    """What is wanted of one URL; the child's half of a ``FetchRequest``.

    Args:
        url: page or file.
        folder: empty folder of this job.
        modalities: ``video``, ``audio``; empty when only metadata are wanted.
        section: seconds ``[start, end)`` when no more than that is wanted.
        max_bytes: size limit of everything fetched.
        max_height: height wanted, in pixels.
        audio_rate: sample rate wanted, in Hz.
        subtitles: ``none``, ``first`` or ``all``.
        subtitle_languages: in order of preference.
        automatic_subtitles: whether machine-made ones will do.
        site_info: whether to return the site's metadata.
    """

    url: str
    folder: str
    modalities: Sequence[str]
    section: Sequence[float] | None
    max_bytes: int
    max_height: int
    audio_rate: int
    subtitles: str
    subtitle_languages: Sequence[str]
    automatic_subtitles: bool
    site_info: bool


class Run:
    """The state of one job.

    Args:
        ydl: a ``YoutubeDL`` that asks ``select`` for formats and tells ``on_progress``.
        job: what is wanted.
        ask: asks the parent for bytes, and waits until they are granted.
        guarded: whether only public addresses may be reached.
    """

    def __init__(self, ydl: Any, job: Job, ask: Ask, guarded: bool) -> None:
        self._ydl = ydl
        self._job = job
        self._ask = ask
        self._guarded = guarded
        self._choice: Choice | None = None
        self._granted = 0
        self._limit = job.max_bytes
        self._before = 0
        self._now = 0
        self._notes: list[str] = []

    @property
    def total_bytes(self) -> int:
        """Bytes that came so far."""
        return self._before + self._now

    def all(self) -> dict[str, Any]:
        """Extract once, then fetch what was chosen."""
        self._ydl.params["ignore_no_formats_error"] = not self._job.modalities
        info = self._extract()
        sections: list[Sequence[float]] = []
        files: dict[str, str] = {}
        if self._job.modalities:
            if self._choice is None:
                raise failure("unavailable", f"{self._job.url} offers no format that can be used.")
            self._check_announced()
            section = self._usable_section(info)
            files["main"] = self._fetch(info, self._choice.main, "main", section)
            if self._choice.audio:
                files["audio"] = self._fetch(info, self._choice.audio, "audio", section)
            sections = [section] if section else []
        return {
            "files": files,
            "sections": sections,
            "subtitles": self._subtitles(info),
            "info": clean_info(self._ydl.sanitize_info(info)) if self._job.site_info else None,
            "webpage_url": redact_url(info.get("webpage_url") or self._job.url),
            "notes": self._notes,
            "bytes": self.total_bytes,
        }

    def select(self, formats: Sequence[Format]) -> list[Format]:
        """Choose formats, when yt-dlp asks for the choice."""
        job = self._job
        if not job.modalities:
            return list(formats[-1:])
        self._choice = choose_formats(formats, job.modalities, job.max_height, job.audio_rate)
        return [self._choice.main] if self._choice else []

    def on_progress(self, status: Mapping[str, Any]) -> None:
        """Count bytes, ask for room before they are too many, and stop at the limit."""
        self._now = int(status.get("downloaded_bytes") or 0)
        coming = max(self._now, int(status.get("total_bytes") or 0))
        self._check_limit(self._before + coming)
        wanted = self._before + coming
        if wanted > self._granted:
            step = min(max(self._now, _FIRST_STEP_BYTES), _LAST_STEP_BYTES)
            step = 0 if status.get("total_bytes") else step
            self._granted = min(wanted + step, max(self._limit, wanted))
            self._ask({"kind": "need", "size": self._granted, "bytes": self.total_bytes})

    def _extract(self) -> dict[str, Any]:
        url, kind = self._job.url, None
        for _ in range(_MAX_HOPS):
            info = self._ydl.extract_info(url, download=False, ie_key=kind)
            if not info:
                raise failure("unavailable", f"{url}: the site gives no video.")
            if info.get("_type") not in ("playlist", "multi_video"):
                _refuse_live(info)
                return dict(info)
            entries = [entry for entry in info.get("entries") or () if entry]
            if len(entries) != 1:
                many = info.get("playlist_count") or len(entries)
                raise DownloadError(
                    f"{redact_url(url)} leads to {many} videos where one was expected. "
                    "Give each video a row of its own.",
                    error_class="playlist",
                )
            if entries[0].get("_type", "video") == "video":
                _refuse_live(entries[0])
                return dict(entries[0])
            url, kind = entries[0]["url"], entries[0].get("ie_key")
        raise failure("unavailable", f"{self._job.url}: playlists within playlists.")

    def _check_announced(self) -> None:
        choice = self._choice
        parts = [part for part in (choice.main, choice.audio) if part] if choice else []
        self._check_limit(
            sum(announced_bytes(part) for part in parts) if not self._job.section else 0
        )
        for part in parts:
            scheme = urlsplit(part["url"]).scheme
            if scheme not in ("http", "https"):
                raise failure(
                    "unsupported_scheme", f"The site offers a {scheme or 'nameless'} URL."
                )
            if self._guarded:
                check_host(urlsplit(part["url"]).hostname or "")

    def _check_limit(self, size: int) -> None:
        if size > self._limit:
            raise failure(
                "too_large",
                f"{self._job.url} is larger than {self._limit} bytes. Allow more with --max-bytes, "
                "or ask for less with --max-height.",
            )

    def _fetch(
        self, info: Mapping[str, Any], part: Format, name: str, section: Sequence[float] | None
    ) -> str:
        path = os.path.join(self._job.folder, name)
        wanted = {**info, **part}
        if section:
            wanted |= {"section_start": section[0], "section_end": section[1]}
        self._download(path, wanted)
        return name

    def _download(self, path: str, wanted: Mapping[str, Any], *, subtitle: bool = False) -> None:
        success, _ = self._ydl.dl(path, wanted, subtitle=subtitle)
        self._before += os.path.getsize(path) if os.path.exists(path) else self._now
        self._now = 0
        if not success or not os.path.exists(path):
            raise failure("truncated", f"{self._job.url}: yt-dlp brought no complete file.")
        self._check_limit(self._before)

    def _usable_section(self, info: Mapping[str, Any]) -> Sequence[float] | None:
        """The section asked for, when fetching it alone is possible and worth it."""
        section, choice = self._job.section, self._choice
        if not section or not choice:
            return None
        duration = info.get("duration")
        if duration and section[1] - section[0] > _WORTHWHILE_SHARE * duration:
            return None
        obstacle = self._section_obstacle(choice)
        if obstacle:
            self._notes.append(
                f"The whole was fetched instead of the sections asked for: {obstacle}."
            )
            return None
        end = min(section[1], duration) if duration else section[1]
        return [section[0], end]

    def _section_obstacle(self, choice: Choice) -> str:
        if not shutil.which("ffmpeg"):
            return "there is no ffmpeg program on the PATH"
        for part in (choice.main, choice.audio):
            if part is None:
                continue
            if part.get("protocol") not in ("http", "https"):
                return f"the site streams it by {part.get('protocol')}"
            if part.get("ext") not in _CUTTABLE:
                return f"{part.get('ext')} cannot be cut exactly without decoding"
            if not self._has_ranges(part):
                return "the site has no Range requests"
        return ""

    def _has_ranges(self, part: Format) -> bool:
        """Ask for one byte; ffmpeg is given the URL that this leads to, through our guard."""
        from yt_dlp.networking import Request

        headers = {**(part.get("http_headers") or {}), "Range": "bytes=0-0"}
        with self._ydl.urlopen(Request(part["url"], headers=headers)) as response:
            if isinstance(part, dict):
                part["url"] = response.url
            return bool(response.status == 206)

    def _subtitles(self, info: Mapping[str, Any]) -> list[list[Any]]:
        """Lines of the subtitles wanted; one that cannot be had is a note, not a failure."""
        lines: list[list[Any]] = []
        for number, (language, automatic, track) in enumerate(pick_subtitles(info, self._job)):
            try:
                data = self._subtitle_bytes(info, track, f"subtitle-{number}")
                found = parse_subtitles(data, track["ext"], language=language, automatic=automatic)
            except (self._ydl_errors(), OSError, ValueError, DownloadError) as error:
                message = explain(str(error), http_status_of(error)).message
                self._notes.append(f"Subtitles in {language} cannot be had: {message}")
                continue
            lines += [
                [each.language, each.start_seconds, each.end_seconds, each.text, each.automatic]
                for each in found
            ]
            if self._job.subtitles == "first":
                break
        return lines

    def _ydl_errors(self) -> type[Exception]:
        import yt_dlp

        return yt_dlp.utils.YoutubeDLError  # type: ignore[no-any-return]  # yt-dlp is not typed

    def _subtitle_bytes(
        self, info: Mapping[str, Any], track: Mapping[str, Any], name: str
    ) -> bytes:
        if track.get("data") is not None:
            return str(track["data"]).encode()
        path = os.path.join(self._job.folder, name)
        headers = track.get("http_headers") or info.get("http_headers")
        kept, self._limit = self._limit, self._before + MAX_SUBTITLE_BYTES
        try:
            self._download(path, {**track, "http_headers": headers}, subtitle=True)
        finally:
            self._limit = kept
        with open(path, "rb") as file:
            return file.read()


def _refuse_live(info: Mapping[str, Any]) -> None:
    if info.get("is_live") or info.get("live_status") in ("is_live", "is_upcoming"):
        state = str(info.get("live_status") or "is_live").replace("is_", "").replace("_", " ")
        raise DownloadError(
            f"{redact_url(info.get('webpage_url') or '')} is a live stream ({state}), which has no "
            "end yet. Retry when it is over.",
            error_class="live_stream",
            retryable=True,
            details={"retry_after_seconds": A_LATER_RUN_SECONDS},
        )
