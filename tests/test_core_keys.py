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
    ],
)
def test_secrets_are_redacted(url, shown):
    assert redact_url(url) == shown
