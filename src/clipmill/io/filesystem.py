"""Storages by URL: the one place that asks fsspec for them, and says what is missing."""

from __future__ import annotations

from typing import Any, cast

import fsspec

from clipmill.core.errors import InputError, MissingExtra
from clipmill.core.redact import plain_text, redact_url

_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "hf": "hf"}


def open_filesystem(url: str, **options: Any) -> tuple[Any, str]:
    """The fsspec file system of a local path or URL, and the path inside it.

    Args:
        url: where.
        options: what the file system takes beside the URL.

    Raises:
        InputError: there is no such kind of storage, or the name is no text.
        MissingExtra: the library for it is not installed.
    """
    check_name(url)
    try:
        return cast(tuple[Any, str], fsspec.core.url_to_fs(url, **options))
    except ImportError as error:
        extra = _EXTRAS.get(url.partition("://")[0].lower())
        line = f'Install it with: pip install "clipmill[{extra}]"' if extra else f"{error}".strip()
        raise MissingExtra(
            f"{redact_url(url)} needs a library that is not installed. {line}"
        ) from error
    except ValueError as error:
        raise InputError(f"{redact_url(url)} cannot be opened: {error}") from error


def check_name(path: str) -> None:
    """Refuse a name that is not text: neither tables nor reports can hold it.

    Raises:
        InputError: its bytes are not UTF-8.
    """
    if (shown := plain_text(path)) != path:
        raise InputError(f"The name {redact_url(shown)} is not UTF-8 text. Rename it.")
