"""Tensors from PyTorch's DataLoader: the same batches, whatever the number of processes."""

import contextlib
import os
import pickle
import signal
import subprocess
import sys

import pytest

from clipmill.core.errors import MissingExtra, SampleError, UserError
from load_media import download, make_videos, videos_in

torch = pytest.importorskip("torch")
COUNT = 11
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("load")
    return download(make_videos(folder / "videos", COUNT), folder / "raw", samples_per_shard=4)


def keys(batches):
    return [batch["key"] for batch in batches]


@pytest.fixture(scope="module")
def plain(raw):
    """Keys of the batches of two epochs, as the plain loader gives them."""
    loader = raw.loader(frames=2, batch_size=2, shuffle=True)
    return [keys(loader), keys(loader)]


@pytest.mark.parametrize("settings", [
    {"num_workers": 0}, {"num_workers": 2}, {"num_workers": 3, "persistent_workers": True},
    {"num_workers": 8, "prefetch_factor": 1},
    {"num_workers": 1, "multiprocessing_context": "spawn", "persistent_workers": True},
    {"num_workers": 1, "multiprocessing_context": "forkserver", "persistent_workers": True},
])  # fmt: skip
def test_the_batches_are_the_same_with_any_number_of_workers(raw, plain, settings):
    loader = raw.loader(frames=2, batch_size=2, shuffle=True).torch(**settings)
    assert isinstance(loader, torch.utils.data.DataLoader)
    assert isinstance(loader.dataset, torch.utils.data.IterableDataset)
    assert len(loader) == 6
    batches = [*loader]
    assert batches[0]["frames"].dtype == torch.uint8
    assert batches[0]["frames"].shape == (2, 2, 96, 128, 3)
    assert sorted(videos_in([{"frames": b["frames"].numpy()} for b in batches])) == list(
        range(COUNT)
    )
    assert [keys(batches), keys(loader)] == plain


def test_an_epoch_is_resumed_with_another_number_of_workers(raw, plain):
    first = raw.loader(frames=2, batch_size=2, shuffle=True).torch(num_workers=3)
    first.set_epoch(1)
    steps = iter(first)
    before = [next(steps)["key"] for _ in range(4)]
    state = first.state_dict()
    second = raw.loader(frames=2, batch_size=2, shuffle=True).torch(num_workers=2)
    second.load_state_dict(state)
    assert before + keys(second) == plain[1]


def test_a_loop_that_ends_early_takes_nothing_from_the_next(raw, plain):
    loader = raw.loader(frames=2, batch_size=2, shuffle=True)
    loader = loader.torch(num_workers=2, persistent_workers=True)
    for _ in range(2):
        for _ in loader:
            break
    assert [keys(loader), keys(loader)] == plain


def test_a_pickled_loader_gives_the_same_batches(raw, plain):
    loader = raw.loader(frames=2, batch_size=2, shuffle=True).torch(num_workers=2)
    loader.set_epoch(1)
    assert keys(pickle.loads(pickle.dumps(loader))) == plain[1]


ENDLESS = """
import signal, sys, clipmill
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell began with &
for batch in iter(lambda: None, 0):
    loader = clipmill.load(sys.argv[1], frames=2, batch_size=1).torch(num_workers=2)
    for batch in loader:
        print("given", flush=True)
"""


def test_an_interrupt_ends_the_program_and_its_workers(raw):
    command = [sys.executable, "-c", ENDLESS, raw.folder.url]
    program = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, text=True
    )
    assert program.stdout.readline() == "given\n"
    told = None
    for _ in range(9):  # torch does not heed one that comes while it takes its workers down
        os.killpg(program.pid, signal.SIGINT)  # as a terminal does: workers get it too
        with contextlib.suppress(subprocess.TimeoutExpired):
            _, told = program.communicate(timeout=10)
            break
    assert program.returncode in (1, -signal.SIGINT, 130)
    assert "KeyboardInterrupt" in told
    with pytest.raises(ProcessLookupError):
        os.killpg(program.pid, 0)  # nobody is left of its group


@pytest.mark.parametrize("name", ["batch_size", "shuffle", "drop_last", "collate_fn"])
def test_what_makes_up_a_batch_is_told_to_the_loader(raw, name):
    with pytest.raises(UserError, match=f"{name} is not for torch"):
        raw.loader(frames=2).torch(**{name: True})


def test_samples_left_out_by_workers_are_counted(raw):
    loader = raw.loader(frames=99, fps=12, short="fail", batch_size=2).torch(num_workers=2)
    with pytest.raises(SampleError, match=r"No sample could be loaded.*of the 99 frames wanted"):
        list(loader)
    assert loader.loader.failures == {"too_short": COUNT}


def test_without_pytorch_it_is_said_how_to_install_it(raw, monkeypatch):
    loader = raw.loader(frames=2)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'pip install "clipmill\[torch\]"'):
        loader.torch()


def test_accelerate_does_not_divide_again_what_ranks_share_already(raw, plain):
    from accelerate import Accelerator

    loader = raw.loader(frames=2, batch_size=2, shuffle=True).torch()
    assert Accelerator(cpu=True).prepare(loader) is loader
    assert keys(loader) == plain[0]
