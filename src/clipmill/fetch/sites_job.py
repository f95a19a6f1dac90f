"""One URL after the other with one yt-dlp; runs in the child process."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clipmill.core.errors import DownloadError
from clipmill.fetch.border import is_of_library
from clipmill.fetch.failures import failure
from clipmill.fetch.sites_errors import SiteError, explain, http_status_of
from clipmill.fetch.sites_formats import Format
from clipmill.fetch.sites_run import Ask, Job, Run


class _Log:
    """Keeps what yt-dlp would print."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def debug(self, message: str) -> None:
        pass

    def warning(self, message: str) -> None:
        self.warnings.append(message)

    def error(self, message: str) -> None:
        pass


class Downloader:
    """One yt-dlp for many jobs, one at a time.

    Args:
        params: for ``YoutubeDL``.
        cookies: text of a cookies file, or None.
        guarded: whether only public addresses may be reached.
    """

    def __init__(self, params: Mapping[str, Any], cookies: str | None, *, guarded: bool) -> None:
        import yt_dlp
        import yt_dlp.downloader.external
        import yt_dlp.networking.common

        _keep_ffmpeg_to_sections(yt_dlp)
        if guarded:
            # It resolves names by itself, past our guard.
            yt_dlp.networking.common._REQUEST_HANDLERS.pop("CurlCFFI", None)
        self._errors = yt_dlp.utils.YoutubeDLError
        self._guarded = guarded
        self._log = _Log()
        self._running: Run | None = None
        self._ydl = yt_dlp.YoutubeDL(
            {
                "quiet": True,
                "noprogress": True,
                "color": "never",
                "logger": self._log,
                "cachedir": False,
                "cookiefile": io.StringIO(cookies) if cookies else None,
                "noplaylist": True,
                "playlist_items": "1:2",
                "extract_flat": "in_playlist",
                "format": self._select,
                "hls_prefer_native": True,
                "enable_file_urls": False,
                "updatetime": False,
                "retry_sleep_functions": {
                    kind: lambda n: min(30.0, 0.5 * 2**n) for kind in ("http", "fragment")
                },
                **params,
            }
        )
        self._ydl.add_progress_hook(self._on_progress)

    def run(self, job: Job, ask: Ask, refused: Callable[[], str | None]) -> dict[str, Any]:
        """Do one job; what goes wrong with the site is part of the answer.

        Args:
            job: what is wanted.
            ask: asks the parent for bytes, and waits until they are granted.
            refused: why an address was refused during this job, if one was.
        """
        self._log.warnings.clear()
        self._running = run = Run(self._ydl, job, ask, self._guarded)
        try:
            return run.all() | {"kind": "done"}
        except Exception as error:
            reason = refused()
            if reason:
                found = SiteError("forbidden_address", reason)
            elif isinstance(error, DownloadError):
                found = SiteError(
                    error.error_class,
                    error.message,
                    error.retryable,
                    error.details.get("retry_after_seconds", 0.0),
                )
            elif isinstance(error, (self._errors, OSError)):
                found = explain(self._say(error), http_status_of(error))
            elif is_of_library(error):
                # An extractor stumbled over what the site sent; the rest of yt-dlp is fine.
                found = SiteError(
                    "site",
                    f"yt-dlp cannot read what the site sent ({type(error).__name__}: {error}). "
                    "A newer yt-dlp may: pip install -U yt-dlp.",
                )
            else:
                raise
            return {"kind": "failed", "bytes": run.total_bytes, **found._asdict()}
        finally:
            self._running = None

    def _say(self, error: Exception) -> str:
        said = str(error)
        if said.strip() in ("", "ERROR:") and self._log.warnings:
            return self._log.warnings[-1]
        return said

    def _select(self, context: Mapping[str, Any]) -> Sequence[Format]:
        return self._running.select(context["formats"]) if self._running else []

    def _on_progress(self, status: Mapping[str, Any]) -> None:
        if self._running:
            self._running.on_progress(status)


def _keep_ffmpeg_to_sections(yt_dlp: Any) -> None:
    """Let yt-dlp start ffmpeg to cut our sections only: it connects by itself, past our guard."""
    ffmpeg = yt_dlp.downloader.external.FFmpegFD
    start = ffmpeg._call_downloader

    def guarded(self: Any, path: str, info: Mapping[str, Any]) -> Any:
        if info.get("section_end") and info.get("protocol") in ("http", "https"):
            return start(self, path, info)
        raise failure(
            "unsupported_url",
            f"This stream ({info.get('protocol')}) is one that yt-dlp leaves to ffmpeg, which is "
            "not let onto the network. If it is encrypted HLS, this may help: "
            "pip install pycryptodomex.",
        )

    ffmpeg._call_downloader = guarded
