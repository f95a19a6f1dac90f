"""A commit that is cut off anywhere is carried to its end, and never by the wrong run."""

import pytest

from clipmill.io.folder import Folder
from clipmill.run.staging import Result, Staging, carry_on_commit, roll_forward

NAMES = ["00000.tar", "00000.parquet", "00000_stats.json"]


class CutError(Exception):
    """Stands for the death of the process."""


class CutFolder(Folder):
    """Dies instead of moving the file after ``left`` others."""

    left = 0

    def put(self, local, name):
        if self.left == 0:
            raise CutError
        self.left -= 1
        super().put(local, name)


def _staged(scratch, content):
    staging = Staging(scratch, "00000", "identity")
    for name in NAMES:
        (staging.files / name).write_text(content)
    return staging


def _content(output):
    return {name: (output / name).read_text() for name in NAMES if (output / name).exists()}


@pytest.mark.parametrize("left", [0, 1, 2])
@pytest.mark.parametrize("old", [None, "old"])
def test_a_commit_cut_off_after_any_file_is_carried_to_its_end(tmp_path, left, old):
    output, scratch = tmp_path / "out", tmp_path / "scratch"
    output.mkdir()
    if old:  # a retry writes a finished shard anew
        for name in NAMES:
            (output / name).write_text(old)
    folder = CutFolder(output)
    folder.left = left
    with pytest.raises(CutError):
        _staged(scratch, "new").commit(folder, "run", NAMES)
    assert NAMES[-1] not in _content(output), "the shard must not count as done half-way"
    assert carry_on_commit(scratch / "00000", Folder(output), "run")
    assert _content(output) == dict.fromkeys(NAMES, "new")
    assert not carry_on_commit(scratch / "00000", Folder(output), "run")


def test_a_commit_of_another_run_is_thrown_away(tmp_path):
    output, scratch = tmp_path / "out", tmp_path / "scratch"
    folder = CutFolder(output)
    with pytest.raises(CutError):
        _staged(scratch, "new").commit(folder, "run", NAMES)
    roll_forward(scratch, Folder(output), "another run")
    assert _content(output) == {}
    assert not (scratch / "00000").exists()


def test_rows_in_hand_of_another_run_are_not_taken_up(tmp_path):
    staging = Staging(tmp_path, "00000", "run 1")
    staging.journal(Result([{"key": "0"}]), {"00000": 10})
    (staging.files / "00000.tar").write_bytes(b"x" * 10)
    staging.close()
    again = Staging(tmp_path, "00000", "run 1")
    assert (again.finished, again.position) == ([Result([{"key": "0"}])], {"00000": 10})
    again.close()
    other = Staging(tmp_path, "00000", "run 2")
    assert (other.finished, other.position) == ([], {})
    assert list(other.files.iterdir()) == []
    other.close()
    other.close()  # closing twice must not close somebody else's file
