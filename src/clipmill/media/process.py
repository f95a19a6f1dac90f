"""The media process: takes one job at a time over a socket, and may be killed at any moment.

Run as ``python -m clipmill.media.process``; by itself it imports PyAV and nothing else that is
heavy, so that a worker can afford several. A job names the function it wants.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import pickle
import resource
import select
import signal
import threading
import time
import traceback
from multiprocessing.connection import Connection
from typing import Any

from clipmill.core.errors import ClipmillError, ProcessError
from clipmill.core.libraries import hide_library_warnings
from clipmill.media import (
    prepare,  # noqa: F401  # what nearly every job needs, loaded beforehand
    whereabouts,
)
from clipmill.media.pulse import beats, unhurried

_STACK_BYTES = 512 * 1024
"""Of a thread that does next to nothing; the usual 8 MiB count against the memory limit."""

_OURS = os.path.dirname(os.path.dirname(__file__)) + os.sep


class Pulse:
    """Tells the other side now and then that the job under way got on.

    Args:
        connection: to the pool.
        seconds: how often.
    """

    def __init__(self, connection: Connection, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds
        self._busy = threading.Event()
        self._sending = threading.Lock()
        threading.Thread(target=self._tell, daemon=True).start()

    def begin(self) -> None:
        """A job is under way."""
        self._busy.set()

    def end(self, answer: tuple[bool, Any]) -> None:
        """Send the job's answer, after which nothing more is told of it."""
        with self._sending:
            self._busy.clear()
            self._connection.send(answer)

    def _tell(self) -> None:
        seen = beats()
        while True:
            self._busy.wait()
            time.sleep(self._seconds)
            now = beats()
            with self._sending:
                if self._busy.is_set() and now != seen:
                    self._connection.send(None)
            seen = now


def serve(connection: Connection, pulse: Pulse) -> None:
    """Say that we are ready, then answer jobs until the other side hangs up.

    A job is ``("module:function", keyword arguments)``; its answer is ``(True, result)`` or
    ``(False, exception)``. Being ready is an answer too. None is no answer: it says that the job
    under way got on since the last one.

    Args:
        connection: to the pool.
        pulse: tells that jobs get on.
    """
    connection.send((True, None))
    while True:
        try:
            name, arguments = connection.recv()
        except (EOFError, ConnectionResetError):
            return
        pulse.begin()
        pulse.end(_answer(name, arguments))


def _answer(name: str, arguments: dict[str, Any]) -> tuple[bool, Any]:
    try:
        module, _, function = name.partition(":")
        with unhurried():
            call = getattr(importlib.import_module(module), function)
        return True, call(**arguments)
    except MemoryError:
        return False, ProcessError(
            "the media process ran into its memory limit",
            error_class="out_of_memory",
            details={"at": whereabouts.at()},
        )
    except Exception as error:  # noqa: BLE001  # raised again on the other side
        return False, _portable(_blamed(error))
    finally:
        whereabouts.end()


def _blamed(error: Exception) -> Exception:
    """What a library raised over one file fails that file; what we raised ourselves is a bug."""
    if isinstance(error, ClipmillError | OSError):
        return error
    where = error.__traceback__
    while where and where.tb_next:
        where = where.tb_next
    if where is None or where.tb_frame.f_code.co_filename.startswith(_OURS):
        return error
    return ProcessError(f"{type(error).__name__}: {error}", error_class="unreadable")


def _portable(error: Exception) -> Exception:
    """The error itself if it survives pickling; what is not ours says where it came from."""
    if isinstance(error, ClipmillError):
        return error
    error.add_note("in a media process:\n" + traceback.format_exc())
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001  # whatever a foreign exception's pickling does
        return RuntimeError(traceback.format_exc())
    return error


def _end_with_the_parent(descriptor: int) -> None:
    """Die as soon as the other side is gone, even in the middle of a decoder that never returns."""
    watch = select.poll()
    watch.register(descriptor, 0)  # a hang-up is reported whatever is asked for

    def wait() -> None:
        watch.poll()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _limit(memory_bytes: int | None) -> None:
    # A crash is recorded, not dumped: a core file would be the size of the process.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # When the machine itself runs out of memory, this process should go first.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("500")
    if memory_bytes:
        # Private memory rather than address space, of which libraries map much and use little.
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))


def main() -> None:
    """Serve the socket named on the command line."""
    hide_library_warnings()
    parser = argparse.ArgumentParser(prog="clipmill.media.process")
    parser.add_argument("descriptor", type=int)
    parser.add_argument("--pulse-seconds", type=float, default=5.0)
    parser.add_argument("--whereabouts", type=int, required=True)
    parser.add_argument("--memory-limit-bytes", type=int)
    arguments = parser.parse_args()
    whereabouts.tell_to(arguments.whereabouts)
    threading.stack_size(_STACK_BYTES)
    # Ctrl-C goes to the whole group, but it is the parent who decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with_the_parent(arguments.descriptor)
    with Connection(arguments.descriptor) as connection:
        pulse = Pulse(connection, arguments.pulse_seconds)
        threading.stack_size(0)  # those that steps start may do anything
        _limit(arguments.memory_limit_bytes)
        serve(connection, pulse)


if __name__ == "__main__":
    main()
