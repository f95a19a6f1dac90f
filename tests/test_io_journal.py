"""The journal survives being cut off anywhere."""

import pytest

from clipmill.io.journal import Journal

ENTRIES = [{"row": 0}, {"row": 1, "text": "naïve \u2028 text\n"}, {"row": 2, "x": [1.5, None]}]


def _written(path, identity="a"):
    journal = Journal(path, identity)
    for entry in ENTRIES:
        journal.append(entry)
    journal.close()


def _read(path, identity="a"):
    journal = Journal(path, identity)
    journal.close()
    return journal.entries


def test_entries_come_back_in_order(tmp_path):
    _written(tmp_path / "journal")
    assert _read(tmp_path / "journal") == ENTRIES


def test_a_journal_cut_off_at_any_byte_gives_its_intact_entries(tmp_path):
    _written(tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    for size in range(len(whole) + 1):
        path = tmp_path / "cut"
        path.write_bytes(whole[:size])
        intact = max(sum(end <= size for end in ends) - 1, 0)
        assert _read(path) == ENTRIES[:intact]


def test_writing_goes_on_after_the_last_intact_entry(tmp_path):
    path = tmp_path / "journal"
    _written(path)
    path.write_bytes(path.read_bytes()[:-3])
    journal = Journal(path, "a")
    journal.append({"row": "again"})
    journal.close()
    assert _read(path) == [*ENTRIES[:2], {"row": "again"}]


def test_a_flipped_byte_ends_the_journal_there(tmp_path):
    path = tmp_path / "journal"
    _written(path)
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    assert _read(path) == ENTRIES[:2]


@pytest.mark.parametrize("identity", ["b", ""])
def test_a_journal_of_something_else_is_started_over(tmp_path, identity):
    path = tmp_path / "journal"
    _written(path)
    assert _read(path, identity) == []
    assert _read(path, "a") == []
