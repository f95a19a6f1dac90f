"""Pushing to the Hub: a server here speaks as much of its language as the client asks for."""

import asyncio
import base64
import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest
from aiohttp import web

TOKEN = "hf_token_of_a_test"


class Hub:
    """Takes one user's datasets; every file comes within a commit, as small ones do on the Hub."""

    def __init__(self):
        self.files = {}
        self.made = []
        self.refuse_commits = False

    async def answer(self, request):
        if request.headers.get("Authorization") != f"Bearer {TOKEN}" and "whoami" in request.path:
            return web.json_response({"error": "Invalid credentials"}, status=401)
        asked = await request.read()
        if request.path == "/api/whoami-v2":
            return web.json_response({"name": "me", "type": "user", "orgs": [], "auth": {}})
        if request.path == "/api/validate-yaml":
            return web.json_response({"errors": [], "warnings": []})
        if request.path == "/api/repos/create":
            self.made.append(json.loads(asked))
            return web.json_response({"url": str(request.url.with_path("/datasets/me/clips"))})
        if request.path.startswith("/api/datasets/me/clips/preupload/"):
            paths = [file["path"] for file in json.loads(asked)["files"]]
            modes = [{"path": p, "uploadMode": "regular", "shouldIgnore": False} for p in paths]
            return web.json_response({"files": modes})
        if request.path.startswith("/api/datasets/me/clips/commit/") and not self.refuse_commits:
            for line in map(json.loads, asked.splitlines()):
                if line["key"] == "file":
                    value = line["value"]
                    self.files[value["path"]] = base64.b64decode(value["content"])
            url = str(request.url.with_path("/datasets/me/clips/commit/1"))
            return web.json_response({"commitUrl": url, "commitOid": "1" * 40, "success": True})
        return web.json_response({"error": "Repository storage is full"}, status=403)

    @contextmanager
    def running(self):
        loop = asyncio.new_event_loop()
        application = web.Application(client_max_size=1 << 30)
        application.router.add_route("*", "/{path:.*}", self.answer)
        runner = web.AppRunner(application)
        thread = threading.Thread(target=loop.run_forever)
        thread.start()

        def call(work):
            return asyncio.run_coroutine_threadsafe(work, loop).result(30)

        try:
            call(runner.setup())
            site = web.TCPSite(runner, "127.0.0.1", 0)
            call(site.start())
            yield "http://{}:{}".format(*runner.addresses[0])
        finally:
            call(runner.cleanup())
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


@pytest.fixture
def hub():
    return Hub()


@pytest.fixture
def push(hub, licensed, tmp_path):
    """Export the format huggingface and push it, with or without a token."""
    with hub.running() as url:

        def run(*options, token=TOKEN, program=None):
            kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
            kept |= {"HF_ENDPOINT": url, "HF_HOME": str(tmp_path / "home")}
            if token:
                kept["HF_TOKEN"] = token
            export = [licensed.folder.root, str(tmp_path / "out"), *options]
            command = ["-m", "clipmill", "export"] if program is None else ["-c", program]
            return subprocess.run(
                [sys.executable, *command, *export],
                env=kept,
                capture_output=True,
                text=True,
                check=False,
            )

        yield run


HUGGINGFACE = ("--format", "huggingface", "--push", "me/clips")
PROGRAM = """
import sys, clipmill
data = clipmill.open(sys.argv[1])
made = data.export(sys.argv[2], format=sys.argv[3], push="me/clips", quiet=True)
print(len(made), "rows")
"""


def test_a_finished_dataset_is_pushed_whole_and_without_what_is_of_the_run(push, hub, tmp_path):
    done = push(*HUGGINGFACE)
    assert done.returncode == 0, done.stderr
    assert "Pushed to http" in done.stdout
    (asked,) = hub.made
    assert (asked["name"], asked["type"], asked["visibility"]) == ("clips", "dataset", "private")
    out = tmp_path / "out"
    here = {str(path.relative_to(out)): path for path in out.rglob("*") if path.is_file()}
    assert hub.files == {
        name: path.read_bytes() for name, path in here.items() if not name.startswith("_run/")
    }
    assert "00000/metadata.parquet" in hub.files


def test_what_cannot_be_pushed_is_refused_before_any_work(push, hub, tmp_path):
    for options, token, said in (
        (HUGGINGFACE, None, "Set HF_TOKEN"),
        (HUGGINGFACE, "hf_another", "did not take the token"),
        (("--format", "files", "--push", "me/clips"), TOKEN, "give --format huggingface"),
        (("--format", "huggingface", "--push", "a/b/c"), TOKEN, "no name on the Hub"),
    ):
        done = push(*options, token=token)
        assert done.returncode == 2, done.stderr
        assert said in " ".join(done.stderr.split())
    assert not (tmp_path / "out").exists()
    assert hub.made == []


def test_a_dataset_that_is_damaged_is_not_pushed_and_a_refusal_costs_no_work(push, hub, tmp_path):
    hub.refuse_commits = True
    done = push(*HUGGINGFACE)
    assert done.returncode == 1
    assert "is finished, but the Hub did not take it" in " ".join(done.stderr.split())
    hub.refuse_commits = False
    (tmp_path / "out" / "00000" / "000000.mp4").write_bytes(b"other")
    done = push(*HUGGINGFACE)
    assert done.returncode == 2
    assert "Nothing was pushed" in " ".join(done.stderr.split())
    assert hub.files == {}


def test_python_pushes_likewise(push, hub, tmp_path):
    refused = push("files", program=PROGRAM)
    assert "RecipeError" in refused.stderr
    assert "give format huggingface" in refused.stderr
    assert not (tmp_path / "out").exists()
    done = push("huggingface", program=PROGRAM)
    assert done.stdout == "3 rows\n", done.stderr
    assert {"README.md", "dataset.json", "00000/metadata.parquet"} <= hub.files.keys()
    assert b"| cc-by-4.0 |" in hub.files["README.md"]
