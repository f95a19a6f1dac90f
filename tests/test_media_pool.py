"""Media processes may die or hang at any moment; the pool goes on."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from clipmill.core.errors import ProcessError
from clipmill.demo.media import make_video
from clipmill.media import process
from clipmill.media.containers import container_of
from clipmill.media.facts import Prepared
from clipmill.media.pool import MediaPool
from clipmill.media.probe import probe

PROBE = "clipmill.media.probe:probe"
PREPARE = "clipmill.media.prepare:prepare"


@pytest.fixture
def video(tmp_path):
    return make_video(tmp_path / "a.mp4", seconds=1)


@pytest.fixture
def endless(tmp_path):
    """Opening it never returns, for nobody ever writes to it."""
    path = tmp_path / "endless.mp4"
    os.mkfifo(path)
    return path


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@contextlib.asynccontextmanager
async def every_process_gets(pool, number):
    """Send a signal to each process of the pool as soon as there is one."""

    async def send():
        sent = set()
        while True:
            for pid in set(pool.process_ids()) - sent:
                os.kill(pid, number)
                sent.add(pid)
            await asyncio.sleep(0.005)

    task = asyncio.create_task(send())
    try:
        yield
    finally:
        task.cancel()


def test_a_job_gives_what_the_function_gives(video, tmp_path):
    async def main():
        async with MediaPool(1, 30) as pool:
            assert await pool.call(PROBE, path=video) == probe(video)
            prepared = await pool.call(
                PREPARE, path=video, wanted={"video": "mp4", "audio": "m4a"}, folder=tmp_path
            )
            assert isinstance(prepared, Prepared)
            assert set(prepared.members) == {"mp4", "m4a"}

    asyncio.run(main())


def test_who_asks_a_media_process_needs_no_pyav(video, tmp_path):
    script = """if True:
        import asyncio, sys
        from pathlib import Path
        from clipmill.media.pool import MediaPool

        async def main():
            video, folder = map(Path, sys.argv[1:3])
            async with MediaPool(1, 30) as pool:
                wanted = {"video": "mp4"}
                await pool.call(sys.argv[3], path=video, wanted=wanted, folder=folder)

        asyncio.run(main())
        assert "av" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", script, video, tmp_path, PREPARE], check=True)


def test_jobs_share_as_many_processes_as_allowed_and_no_more(video):
    async def main():
        async with MediaPool(2, 30) as pool:
            assert pool.process_ids() == []
            await pool.call(PROBE, path=video)
            assert len(pool.process_ids()) == 1
            answers = await asyncio.gather(*(pool.call(PROBE, path=video) for _ in range(20)))
            assert answers == [probe(video)] * 20
            assert len(pool.process_ids()) == 2
            pids = pool.process_ids()
        assert not any(alive(pid) for pid in pids)

    asyncio.run(main())


def test_the_errors_of_a_sample_and_of_the_code_come_through(tmp_path):
    async def main():
        async with MediaPool(1, 30) as pool:
            (tmp_path / "a.mp4").write_text("no video")
            with pytest.raises(ProcessError, match="not a media file") as caught:
                await pool.call(PROBE, path=tmp_path / "a.mp4")
            assert caught.value.error_class == "unreadable"
            (pid,) = pool.process_ids()
            with pytest.raises(TypeError, match="unexpected keyword"):
                await pool.call(PROBE, wrong=1)
            with pytest.raises(AttributeError):
                await pool.call("builtins:evaluate", path="1")
            assert pool.process_ids() == [pid]

    asyncio.run(main())


def test_a_process_that_died_at_rest_is_replaced_and_the_job_done(video):
    async def main():
        async with MediaPool(1, 30) as pool:
            await pool.call(PROBE, path=video)
            (pid,) = pool.process_ids()
            os.kill(pid, signal.SIGKILL)
            assert await pool.call(PROBE, path=video) == probe(video)
            assert pool.process_ids() != [pid]

    asyncio.run(main())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_job_that_two_processes_do_not_survive_fails_alone(endless, video, number):
    async def main():
        async with MediaPool(1, 30) as pool:
            async with every_process_gets(pool, number):
                with pytest.raises(ProcessError, match=f"died of {number.name}") as caught:
                    await pool.call(PROBE, path=endless)
            assert caught.value.error_class == "decoder_crashed"
            assert (await pool.call(PROBE, path=video)).integrity == "ok"

    asyncio.run(main())


def test_a_job_that_never_ends_fails_alone(endless, video):
    async def main():
        async with MediaPool(1, 0.3) as pool:
            with pytest.raises(ProcessError, match=r"did not get on for 0\.3 s") as caught:
                await pool.call(PROBE, path=endless)
            assert caught.value.error_class == "decoder_hung"
            assert pool.process_ids() == []
        async with MediaPool(1, 30) as pool:
            assert (await pool.call(PROBE, path=video)).integrity == "ok"

    asyncio.run(main())


def test_a_job_that_gets_on_may_take_longer_than_its_deadline(tmp_path, monkeypatch):
    (tmp_path / "slow_jobs.py").write_text(
        "import time\n"
        "from clipmill.media.pulse import beat\n"
        "def work(beating):\n"
        "    for _ in range(30):\n"
        "        time.sleep(0.05)\n"
        "        if beating:\n"
        "            beat()\n"
        "    return 'done'\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    async def main():
        async with MediaPool(1, 0.6) as pool:
            assert await pool.call("slow_jobs:work", beating=True) == "done"
            with pytest.raises(ProcessError, match=r"did not get on for 0\.6 s") as caught:
                await pool.call("slow_jobs:work", beating=False)
            assert caught.value.error_class == "decoder_hung"

    asyncio.run(main())


def test_a_job_given_up_by_its_caller_takes_its_process_along(endless, video):
    async def main():
        async with MediaPool(1, 30) as pool:
            await pool.call(PROBE, path=video)
            (pid,) = pool.process_ids()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await pool.call(PROBE, path=endless)
            assert not alive(pid)
            assert (await pool.call(PROBE, path=video)).integrity == "ok"

    asyncio.run(main())


def test_a_process_over_its_memory_limit_fails_the_sample_and_goes_on():
    # A limit so low that libraries cannot begin makes some of them crash, which is told as such.
    async def main():
        async with MediaPool(1, 30, memory_limit_bytes=300_000_000) as pool:
            with pytest.raises(ProcessError, match="memory limit") as caught:
                await pool.call("numpy:ones", shape=400_000_000, dtype="u1")
            assert caught.value.error_class == "out_of_memory"
            pids = pool.process_ids()
            assert len(await pool.call("numpy:ones", shape=1000, dtype="u1")) == 1000
            assert pool.process_ids() == pids

    asyncio.run(main())


def test_a_picture_that_memory_does_not_suffice_for_is_told_from_a_broken_one(video):
    async def main():
        async with MediaPool(1, 30, memory_limit_bytes=100_000_000) as pool:
            facts = (await pool.call(PROBE, path=video)).video
            huge = replace(facts, coded_width=16384, coded_height=16384)
            with pytest.raises(
                ProcessError, match="not enough memory to decode 16384x16384"
            ) as caught:
                await pool.call("clipmill.media.probe:refuse_without_memory", video=huge)
            assert caught.value.error_class == "out_of_memory"
            await pool.call("clipmill.media.probe:refuse_without_memory", video=facts)

    asyncio.run(main())


def test_closing_the_pool_ends_what_is_under_way(endless):
    async def main():
        pool = MediaPool(1, 30)
        call = asyncio.create_task(pool.call(PROBE, path=endless))
        while not pool.process_ids():
            await asyncio.sleep(0)
        pool.close()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert pool.process_ids() == []

    asyncio.run(main())


def test_no_process_outlives_a_killed_worker_whatever_it_is_doing(video, endless):
    script = f"""
import asyncio, os, signal
from pathlib import Path
from clipmill.media import process
from clipmill.media.containers import container_of
from clipmill.media.pool import MediaPool

async def main():
    pool = MediaPool(2, 30)
    await asyncio.gather(*(pool.call({PROBE!r}, path=Path({str(video)!r})) for _ in range(8)))
    busy = asyncio.create_task(pool.call({PROBE!r}, path=Path({str(endless)!r})))
    await asyncio.sleep(0.1)
    print(*pool.process_ids(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""
    worker = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    pids = [int(pid) for pid in worker.stdout.split()]
    assert worker.returncode == -signal.SIGKILL
    assert pids
    deadline = time.monotonic() + 5
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(alive(pid) for pid in pids)


def test_what_a_library_raises_over_a_file_is_the_files_fault():
    with pytest.raises(ValueError, match="Expecting") as foreign:
        json.loads("{")  # its innermost frame lies in a library
    blamed = process._blamed(foreign.value)
    assert isinstance(blamed, ProcessError)
    assert blamed.error_class == "unreadable"
    assert blamed.message.startswith("JSONDecodeError: Expecting")
    with pytest.raises(TypeError) as ours:
        container_of(["no text"])
    assert process._blamed(ours.value) is ours.value
