"""Names are those of video2dataset; identity survives reordering and renewed signatures."""

import pytest

from clipmill.core.keys import clip_key, row_digits, row_of_key, sample_key, sample_uid, shard_name
from clipmill.core.redact import redact_url


@pytest.mark.parametrize(
    ("samples_per_shard", "digits"), [(1, 1), (10, 1), (11, 2), (100, 2), (1000, 3), (1001, 4)]
)
def test_row_digits_are_the_logarithm_of_the_shard_size(samples_per_shard, digits):
    assert row_digits(samples_per_shard) == digits


def test_keys_are_shard_digits_and_row_digits():
    assert shard_name(42) == "00042"
    assert sample_key(42, 7, 1000) == "00042007"
    assert row_of_key("00042007") == 7
    assert clip_key("00042007", 3) == "00042007_00003"
    assert row_of_key("00042007_00003") == 7


def test_uid_depends_on_source_and_spans_alone():
    url = "https://host/video.mp4"
    assert sample_uid(url) == sample_uid(url)
    assert sample_uid(url) != sample_uid(url, [["0", "1"]])
    assert sample_uid(f"{url}?X-Amz-Signature=abc") == sample_uid(f"{url}?X-Amz-Signature=def")


def test_uid_takes_any_text():
    assert len(sample_uid("\ud800 lone surrogate")) == 32


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pass@host/a.mp4", "https://REDACTED@host/a.mp4"),
        ("https://h/a?token=abc&x=1", "https://h/a?token=REDACTED&x=1"),
        ("https://h/a?X-Amz-Signature=1f&id=2", "https://h/a?X-Amz-Signature=REDACTED&id=2"),
        ("https://h/watch?v=abc&list=xyz", "https://h/watch?v=abc&list=xyz"),
        ("GET https://u:p@h/ failed", "GET https://REDACTED@h/ failed"),
        ("https://u:p@ss@h/a", "https://REDACTED@h/a"),
        ("https://u:pw pw@h/a", "https://REDACTED@h/a"),
        ("https://u:p/w?@h/a", "https://REDACTED@h/a"),
        ("//u:pw@h/a", "//REDACTED@h/a"),
        ("http://u:pw@/a", "http://REDACTED@/a"),
        ("u:pw@h/a is a path", "REDACTED@h/a is a path"),
        ("http:/u:pw@h/a", "http:/REDACTED@h/a"),
        ("https://h:8080/@user/a@b.mp4", "https://h:8080/@user/a@b.mp4"),
        ("zip://a@b.mp4::https://u:p@h/x", "zip://a@b.mp4::https://REDACTED@h/x"),
        ("https://h/a#access_token=1", "https://h/a#access_token=REDACTED"),
        ("https://h/a?%74oken=1&password[]=2", "https://h/a?%74oken=REDACTED&password[]=REDACTED"),
        ("https://h/a?key=AbCdEfGh-01234567", "https://h/a?key=REDACTED"),
        ("https://h/a?key=intro&v=1&list=2&id=3&t=4", "https://h/a?key=intro&v=1&list=2&id=3&t=4"),
        ("https://h/a?key=clips/of/2024/first.mp4", "https://h/a?key=clips/of/2024/first.mp4"),
    ],
)
def test_secrets_are_redacted(url, shown):
    assert redact_url(url) == shown


@pytest.mark.parametrize(
    "name",
    [
        *("client_secret", "refresh_token", "id_token", "private_token", "access-token"),
        *("accesstoken", "auth", "jwt", "session", "hmac", "sas", "X-Goog-Security-Token"),
        *("x-api-key", "X-Plex-Token", "hdnts", "sig", "Key-Pair-Id", "AWSAccessKeyId", "TOKEN"),
    ],
)
def test_secret_parameters_are_redacted_and_do_not_count_in_identity(name):
    assert redact_url(f"https://h/a?x=1&{name}=abc") == f"https://h/a?x=1&{name}=REDACTED"
    assert sample_uid(f"https://h/a?{name}=abc") == sample_uid(f"https://h/a?{name}=def")
