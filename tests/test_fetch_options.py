"""Choices of the download step: what is shown, what is hidden, what makes a recipe another one."""

from __future__ import annotations

import json
import pickle

import pytest

from clipmill.core.config import fingerprint, parse_config
from clipmill.core.errors import RecipeError
from clipmill.fetch.options import FetchOptions

SECRET = "s3cret"
WITH_SECRETS = FetchOptions(
    headers={"Authorization": f"Bearer {SECRET}"},
    proxy=f"http://me:{SECRET}@proxy:3128",
    site_options={
        "username": SECRET,
        "videopassword": SECRET,
        "extractor_args": {"site": {"api_key": [SECRET]}},
        "http_headers": {"Cookie": SECRET},
        "sleep_interval": 2,
    },
)


def test_secrets_are_used_and_never_shown():
    assert WITH_SECRETS.header_values() == {"Authorization": f"Bearer {SECRET}"}
    assert WITH_SECRETS.proxy_url() == f"http://me:{SECRET}@proxy:3128"
    shown = WITH_SECRETS.public_dump()
    for text in (
        repr(WITH_SECRETS),
        str(WITH_SECRETS),
        json.dumps(shown),
        json.dumps(WITH_SECRETS.identity()),
    ):
        assert SECRET not in text
    assert shown["headers"] == {"Authorization": "REDACTED"}
    assert shown["proxy"] == "http://REDACTED@proxy:3128"
    assert shown["site_options"]["sleep_interval"] == 2


def test_secrets_reach_worker_processes():
    assert pickle.loads(pickle.dumps(WITH_SECRETS)).header_values()


def test_how_it_is_fetched_makes_no_other_recipe_and_what_is_fetched_does():
    plain = fingerprint(FetchOptions().identity())

    for same in (
        {"retries": 9},
        {"idle_timeout_seconds": 1},
        {"headers": {"X-Key": "k"}},
        {"cookies_file": "c.txt"},
        {"allow_private_addresses": True},
        {"concurrency": 2},
    ):
        assert fingerprint(FetchOptions.model_validate(same).identity()) == plain, same
    for other in (
        {"max_bytes": "1MB"},
        {"max_height": 720},
        {"subtitles": "all"},
        {"respect_opt_out": False},
        {"sections_only": True},
        {"site_options": {"format_sort": ["fps"]}},
    ):
        assert fingerprint(FetchOptions.model_validate(other).identity()) != plain, other


def test_sizes_and_headers_are_read_as_people_write_them():
    options = FetchOptions.model_validate(
        {"max_bytes": "2GB", "headers": ["X-Key: a:b", "Referer: https://example.org/"]}
    )

    assert options.max_bytes == 2_000_000_000
    assert options.header_values() == {"X-Key": "a:b", "Referer": "https://example.org/"}


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"retrys": 1}, "'retries'"),
        ({"retries": -1}, "retries"),
        ({"headers": ["no colon"]}, "Name: value"),
        ({"headers": {"X": "a\r\nHost: b"}}, "line break"),
        ({"headers": ["X y: a"]}, "'X y' is not the name"),
        ({"user_agent": "me\nHost: b"}, "line break"),
        ({"proxy": "http://proxy\n:3128"}, "line break"),
        ({"subtitles": "some"}, "subtitles"),
    ],
)
def test_wrong_choices_are_explained(wrong, word):
    with pytest.raises(RecipeError, match=word):
        parse_config(FetchOptions, wrong, "recipe.yaml")
