"""The command line: exit codes, one paragraph per mistake, and the same words as Python."""

import json
import subprocess
import sys

import pytest

from clipmill.cli.main import COMMANDS


def _clipmill(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "clipmill", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        **options,
    )


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "video2dataset"])
def test_every_command_explains_itself(command):
    done = _clipmill(command, "--help")
    assert done.returncode == 0
    assert "Usage:" in done.stdout
    assert done.stderr == ""


def test_download_status_verify(origin, write_csv, tmp_path):
    table = write_csv([{"url": origin.url("a.mp4"), "text": "hello"}])
    out = tmp_path / "out"
    done = _clipmill("download", table, out, "--caption-col", "text", "--allow-private-addresses")
    assert done.returncode == 0, done.stderr
    assert "1 succeeded, 0 failed" in done.stdout
    status = _clipmill("status", out, "--json")
    assert json.loads(status.stdout)["successes"] == 1
    assert "all as recorded" in _clipmill("verify", out).stdout


def test_a_recipe_does_what_options_do(origin, write_csv, tmp_path):
    table = write_csv([{"url": origin.url("a.mp4")}])
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"source: {{table: {table}}}\n"
        "steps:\n"
        "  - download: {allow_private_addresses: true}\n"
        f"write: {{to: {tmp_path / 'out'}, format: files}}\n"
    )
    done = _clipmill("run", recipe)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "00000" / "00000000.mp4").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["download", "nothing.csv", "out"], "nothing.csv"),
        (["download", "{table}", "out", "--url-col", "ulr"], "Did you mean 'url'?"),
        (["download", "{table}", "out", "--format", "webdatset"], "Did you mean 'webdataset'?"),
        (["download", "{table}", "out", "--no-such-option"], "--no-such-option"),
        (["download", "{table}", "{table}"], "is a file"),
        (["download", "{table}", "/proc/nowhere/out"], "cannot be written"),
        (["download", "{table}", "out", "--resume"], "no clipmill dataset"),
        (["download", "{table}", "out", "--resume", "--overwrite"], "exclude each other"),
        (["download", "{empty}", "out"], "empty"),
        (["download", "{table}", "out", "--encode-formats", "vidoe=mp4"], "video"),
        (["download", "{table}", "out", "--max-bytes", "lots"], "max_bytes"),
        (["status", "nowhere"], "no dataset at"),
        (["downlaod"], "download"),
    ],
)
def test_a_mistake_is_exit_2_and_one_paragraph_and_writes_nothing(
    write_csv, tmp_path, arguments, said
):
    table = write_csv([{"url": "https://example.invalid/a.mp4"}])
    (tmp_path / "empty.csv").write_text("")
    words = {"table": str(table), "empty": str(tmp_path / "empty.csv")}
    done = _clipmill(*(argument.format(**words) for argument in arguments), cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_debug_shows_the_traceback(tmp_path):
    done = _clipmill("status", tmp_path / "nowhere", "--debug")
    assert "Traceback" in done.stderr


def test_too_many_failures_exit_with_3(origin, write_csv, tmp_path):
    table = write_csv([{"url": origin.url("x", "missing")}])
    done = _clipmill("download", table, tmp_path / "out", "--allow-private-addresses")
    assert done.returncode == 3
    assert "failure-budget" in done.stdout


def test_json_reports_are_json_and_nothing_else(origin, write_csv, tmp_path):
    table = write_csv([{"url": origin.url("a.mp4")}])
    done = _clipmill("download", table, tmp_path / "out", "--allow-private-addresses", "--json")
    assert json.loads(done.stdout)["exit_code"] == 0
    assert done.stderr == ""
