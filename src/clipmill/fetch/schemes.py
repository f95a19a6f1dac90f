"""Schemes of URLs that rows may name beside http and https."""

from __future__ import annotations

STORAGE_SCHEMES = frozenset(
    {"abfs", "abfss", "adl", "az", "gcs", "gs", "hf", "memory", "oss", "s3", "s3a"}
)
"""Stores of objects. fsspec knows more kinds, which wrap other URLs, open local files, or connect
past our guard and manners."""

LOCAL_SCHEMES = frozenset({"file", "local"})
"""Names of files on this machine, where the options let rows name them."""
