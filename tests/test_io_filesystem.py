"""Whoever opens a storage is told the same way what is missing."""

from __future__ import annotations

import fsspec
import pytest

from clipmill.core.errors import InputError, MissingExtra
from clipmill.io.byte_reader import ByteReader
from clipmill.io.folder import Folder
from clipmill.sources.paths import expand
from clipmill.sources.streams import file_system

OPENERS = [Folder, ByteReader, file_system]


@pytest.mark.parametrize("opened", OPENERS)
def test_a_library_that_is_not_installed_is_named_with_its_extra(opened, monkeypatch):
    def missing(url: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(MissingExtra) as caught:
        opened("s3://bucket/a")
    assert caught.value.message == (
        "s3://bucket/a needs a library that is not installed. "
        'Install it with: pip install "clipmill[s3]"'
    )


@pytest.mark.parametrize("opened", OPENERS)
def test_an_unknown_kind_of_storage_is_the_users_mistake(opened):
    with pytest.raises(InputError, match="nonsense"):
        opened("nonsense://bucket/a")


@pytest.mark.parametrize("opened", [Folder, file_system, expand])
def test_a_name_that_is_no_text_is_the_users_mistake(opened):
    with pytest.raises(InputError, match=r"a\? is not UTF-8 text"):
        opened("a\udcff")
