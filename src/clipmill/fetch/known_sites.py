"""Whether yt-dlp knows the site of a URL, found out without trying all of its patterns."""

from __future__ import annotations

import asyncio
import importlib.util
import re
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from clipmill.core.extras import require

# Files by their name. A page may be called so too: then its content tells, after one request.
_FILE_NAMES = re.compile(
    r"(?i)\.(mp4|m4v|mov|webm|mkv|avi|flv|ts|mpe?g|wmv|ogv|3gp|gif"
    r"|mp3|m4a|wav|flac|ogg|opus|aac)$"
)
# Left out of patterns, so that "(?:twitter|x)\\.com" holds the words "twitter" and "x.com".
_SYNTAX = re.compile(r"[\\()]")
_COMMON_LABELS = frozenset({"www", "com", "org", "net"})


class KnownSites:
    """Asks yt-dlp's extractors, other than the generic one, whether a URL is theirs."""

    def __init__(self) -> None:
        self.available = importlib.util.find_spec("yt_dlp") is not None
        self._lock = asyncio.Lock()
        self._patterns: list[tuple[str, Any]] | None = None
        self._candidates = lru_cache(maxsize=4096)(self._candidates_of)

    async def know(self, url: str) -> bool:
        """Whether a URL is a page of a site that yt-dlp knows; never when it is not installed."""
        if not self.available:
            return False
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
        except ValueError:
            return False
        if _FILE_NAMES.search(parts.path):
            return False
        if self._patterns is None:
            async with self._lock:
                self._patterns = self._patterns or await asyncio.to_thread(_load_patterns)
        return any(extractor.suitable(url) for extractor in self._candidates(host))

    def _candidates_of(self, host: str) -> tuple[Any, ...]:
        """Extractors whose pattern has a word of the host's name in it."""
        labels = host.split(".")
        words = {label for label in labels[:-1] if len(label) > 2} - _COMMON_LABELS
        words.add(".".join(labels[-2:]))
        return tuple(
            extractor
            for pattern, extractor in self._patterns or ()
            if any(word in pattern for word in words)
        )


def _load_patterns() -> list[tuple[str, Any]]:
    module = require("yt_dlp.extractor", extra="ytdlp", used_by="fetching from sites")
    found = []
    for extractor in module.gen_extractor_classes():
        pattern = extractor._VALID_URL
        if not pattern or extractor.ie_key() == "Generic":
            continue
        texts = (pattern,) if isinstance(pattern, str) else tuple(pattern)
        found.append((_SYNTAX.sub("", "\n".join(texts)).lower(), extractor))
    return found
