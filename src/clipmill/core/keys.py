"""Names of shards, keys of samples, and the identity that survives resharding."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from clipmill.core.redact import redact_url

SHARD_DIGITS = 5


def row_digits(samples_per_shard: int) -> int:
    """Digits of a row number within a shard: ``ceil(log10(samples_per_shard))``, at least one."""
    return max(1, len(str(max(samples_per_shard - 1, 0))))


def shard_name(shard_id: int, digits: int = SHARD_DIGITS) -> str:
    """Zero-padded shard name, such as ``00042``."""
    return f"{shard_id:0{digits}d}"


def sample_key(shard_id: int, row: int, samples_per_shard: int, digits: int = SHARD_DIGITS) -> str:
    """Key of a sample: shard digits and row digits, such as ``00042007``."""
    return f"{shard_id:0{digits}d}{row:0{row_digits(samples_per_shard)}d}"


def clip_key(source_key: str, index: int) -> str:
    """Key of a clip of a sample: the sample's key and five digits."""
    return f"{source_key}_{index:05d}"


def sample_uid(url: str, spans: Sequence[Sequence[object]] | None = None) -> str:
    """Identity of a sample from what it is made of: 32 hex digits.

    Args:
        url: the source as given; credentials in it do not count.
        spans: ``[start, end]`` pairs when the row stands for parts of its source.
    """
    identity = redact_url(url)
    if spans:
        identity += "\n" + ";".join("-".join(map(str, span)) for span in spans)
    return hashlib.blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def row_of_key(key: str, digits: int = SHARD_DIGITS) -> int:
    """Row number within its shard that the key of a sample, or of one of its clips, tells."""
    return int(key[digits:].partition("_")[0])
