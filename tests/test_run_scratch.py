"""Files are used again only when nobody else knows them by another name."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

import clipmill
from clipmill.core.sample import Sample
from clipmill.run.recipe_file import load_recipe
from clipmill.run.scratch import ScratchFiles
from clipmill.run.source_work import SourceWork
from clipmill.run.workbench import Workbench


def test_a_file_is_used_again_and_emptied_when_it_is_large(tmp_path):
    files = ScratchFiles(tmp_path)
    path = files.take()
    for content, left in ((b"a video", b"a video"), (bytes(2_000_000), b"")):
        path.write_bytes(content)
        inode = path.stat().st_ino
        files.give_back(path)
        again = files.take()
        assert (again, again.stat().st_ino, again.read_bytes()) == (path, inode, left)


def test_a_file_with_another_name_is_left_alone(tmp_path):
    files = ScratchFiles(tmp_path)
    precious = tmp_path / "precious.mp4"
    precious.write_bytes(b"the only copy")
    path = files.take()
    os.link(precious, path)
    files.give_back(path)
    assert precious.read_bytes() == b"the only copy"
    assert not files.take().exists()


def test_leavings_of_a_dead_worker_are_removed(tmp_path):
    script = "import sys; from clipmill.run.scratch import ScratchFiles; from pathlib import Path\n"
    script += "ScratchFiles(Path(sys.argv[1])).take().write_bytes(b'x')"
    subprocess.run([sys.executable, "-c", script, tmp_path], check=True)
    assert len(list(tmp_path.glob(".work-*"))) == 1
    files = ScratchFiles(tmp_path)
    assert list(tmp_path.glob(".work-*")) == [files.folder]


class Busy:
    """Media processes that never come to the next file."""

    async def call(self, *_job, **_arguments):
        await asyncio.Event().wait()

    def close(self):
        pass


def test_sources_do_not_pile_up_before_busy_media_processes(media, tmp_path):
    async def scene():
        options = {"concurrency": 3, "allow_local_paths": True}
        bench = Workbench(load_recipe({"download": options}), tmp_path)
        bench.pool = Busy()
        url = str(media / "a.mp4")
        works = [SourceWork(bench, {row: Sample(f"{row}", f"{row}", url)}, 1) for row in range(20)]
        while bench.stages.probe < 6:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert (bench.stages.fetch, bench.stages.probe) == (0, 6)
        for work in works:
            work.task.cancel()
        await asyncio.gather(*(work.task for work in works), return_exceptions=True)
        for work in works:
            work.abandon()
        await bench.close()

    asyncio.run(asyncio.wait_for(scene(), 10))


@pytest.mark.parametrize("layout", ["webdataset", "files", "parquet", "tfrecord"])
def test_local_sources_stay_as_they_are(media, tmp_path, layout):
    before = {path.name: path.read_bytes() for path in media.iterdir()}
    urls = [str(media / f"{name}.mp4") for name in "abc" for _ in range(2)]
    rows = [{"url": url, "n": n} for n, url in enumerate(urls * 20)]
    settings = {"allow_local_paths": True, "quiet": True, "samples_per_shard": 30}
    data = clipmill.download(rows, tmp_path / "out", format=layout, **settings)
    assert {path.name: path.read_bytes() for path in media.iterdir()} == before
    for n in (0, 31, 62, 119):
        name = Path(rows[n]["url"]).name
        assert data.sample(f"{n // 30:05d}{n % 30:02d}")["mp4"] == before[name]
