"""Errors cross process boundaries whole, and become outcomes."""

import inspect
import pickle

import pytest

from clipmill.core import errors
from clipmill.core.outcome import MAX_MESSAGE_CHARACTERS, Counts, Outcome

CLASSES = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.ClipmillError)
]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_survives_pickling(kind):
    fields = {}
    if issubclass(kind, errors.SampleError):
        fields = {"error_class": "timeout", "retryable": True, "details": {"attempts": 3}}
    again = pickle.loads(pickle.dumps(kind("what happened", **fields)))
    assert type(again) is kind
    assert str(again) == "what happened"
    assert again.fields == kind("what happened", **fields).fields


@pytest.mark.parametrize("kind", CLASSES)
def test_the_tree_in_the_docstring_names_every_error(kind):
    assert kind.__name__ in errors.__doc__


def test_user_errors_exit_with_2_and_others_with_1():
    for kind in CLASSES:
        assert kind.exit_code == (2 if issubclass(kind, errors.UserError) else 1)


def test_an_error_becomes_its_samples_outcome():
    error = errors.DownloadError("x" * 5000, error_class="timeout", retryable=True)
    outcome = Outcome.of_error(error, "download")
    assert outcome.status == "failed_to_download"
    assert outcome.error_step == "download"
    assert outcome.error_class == "timeout"
    assert outcome.retryable
    assert len(outcome.error_message) == MAX_MESSAGE_CHARACTERS


def test_counts_always_add_up():
    counts, other = Counts(), Counts()
    counts.add("success", None, 10)
    counts.add("failed_to_download", "timeout", 5)
    other.add("failed_to_process", "unreadable", 1)
    other.add("dropped", None, 0)
    counts.merge(other)
    parts = counts.successes + counts.failed_to_download + counts.failed_to_process + counts.dropped
    assert parts == counts.count == 4
    assert counts.bytes_downloaded == 16
    assert counts.error_classes == {"timeout": 1, "unreadable": 1}
    assert counts.drop_reasons == {"dropped": 1}
