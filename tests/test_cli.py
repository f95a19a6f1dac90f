"""The command line: exit codes, one paragraph per mistake, and the same words as Python."""

import json
import os
import subprocess
import sys

import pytest

import clipmill
from clipmill.cli.main import COMMANDS
from clipmill.core.errors import OutputError, RecipeError


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
        (["download", "{table}", ""], "No output folder is named."),
        (["download", "{table}", "https://example.invalid/out"], "web servers take no files"),
        (["download", "{table}", "{table}/a/b"], "videos.csv is a file, not a folder."),
        (["download", "{table}", "{dangling}/a"], "is a link that leads nowhere"),
        (
            ["download", "{table}", "out", "--user-agent", "a\nb"],
            "--user-agent: holds a line",
        ),
        (["download", "{table}", "out", "--headers", "X: a\nb"], "--headers: holds a line"),
        (["download", "{table}", "out", "--proxy", "http://a\nb"], "--proxy: holds a line"),
        (["download", "{table}", "out", "--max-bytes", "0"], "--max-bytes: must be at least one"),
        (["download", "{table}", "out", "--shard-bytes", "0"], "or leave it out"),
        (["download", "{table}", "out", "--ahead-bytes", "0"], "--ahead-bytes: must be at least"),
        (["download", "{table}", "out", "--media-memory-bytes", "1MB"], "equal to 100000000"),
        (["download", "{table}", "out", "--temp-dir", "{table}"], "another --temp-dir"),
        (["download", "{table}", "out", "--resume"], "no clipmill dataset"),
        (["download", "{table}", "out", "--resume", "--overwrite"], "exclude each other"),
        (["download", "{empty}", "out"], "empty"),
        (["download", "{table}", "out", "--encode-formats", "vidoe=mp4"], "video"),
        (["download", "{table}", "out", "--max-bytes", "lots"], "--max-bytes: must be a"),
        (["download", "{table}", "out", "--url-col", "u"], "no column 'u' (--url-col)"),
        (["download", "{table}", "out", "--workers", "x"], "a valid integer or 'auto' (got 'x')."),
        (["download", "{table}", "out", "--workers", "0"], "--workers: must be"),
        (["download", "{table}", "out", "--format", "webdatset"], "'webdataset'?\n"),
        (["download", "{table}", "out", "--encode-formats", "video=mpp4"], "--encode-formats: "),
        (["download", "{table}", "out", "--site-options", "a"], "NAME=VALUE"),
        (["export", "{table}", "out", "--audio-channels", "3"], "must be 1 or 2 (got 3)."),
        (["retry", "out", "--media-processes", "0"], "--media-processes: must be"),
        (["status", "nowhere"], "no dataset at"),
        (["downlaod"], "download"),
    ],
)
def test_a_mistake_is_exit_2_and_one_paragraph_and_writes_nothing(
    write_csv, tmp_path, arguments, said
):
    table = write_csv([{"url": "https://example.invalid/a.mp4"}])
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "dangling").symlink_to("nowhere")
    words = {"table": table, "empty": tmp_path / "empty.csv", "dangling": tmp_path / "dangling"}
    done = _clipmill(*(argument.format(**words) for argument in arguments), cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_python_is_told_its_own_words(write_csv, tmp_path):
    table = write_csv([{"url": "https://example.invalid/a.mp4"}])
    with pytest.raises(OutputError, match='Leave out mode="resume"'):
        clipmill.download(table, tmp_path / "out", mode="resume")
    with pytest.raises(RecipeError, match=r"^encode_formats: video cannot"):
        clipmill.download(table, tmp_path / "out", encode_formats="video=mpp4")
    with pytest.raises(RecipeError, match=r"^samples_per_shard: must be .* \(got 0\)\.$"):
        clipmill.download(table, tmp_path / "out", samples_per_shard=0)


def test_help_is_whole_and_defaults_stand_in_one_pair_of_brackets():
    told = " ".join(_clipmill("--help").stdout.split())
    assert all(line in told for line in COMMANDS.values())
    told = " ".join(_clipmill("download", "--help").stdout.split())
    assert "[default: 1000]" in told
    assert "(1000)" not in told


def test_site_options_are_read_as_names_with_values(write_csv, tmp_path):
    table = write_csv([{"url": "https://example.invalid/a.mp4"}])
    done = _clipmill("download", table, tmp_path / "out", "--site-options", "geo_bypas=true")
    assert done.returncode == 2
    assert "Did you mean 'geo_bypass'?" in done.stderr


def test_a_run_with_failures_says_how_to_go_on_and_a_second_one_that_nothing_is_left(
    origin, write_csv, tmp_path
):
    out = tmp_path / "out"
    table = write_csv([{"url": origin.url("a.mp4")}])
    way = f"clipmill retry {out} --class forbidden_address --allow-private-addresses"
    first = _clipmill("download", table, out)
    assert "1 sample in" in first.stdout
    assert "1 of 1 shard done" in first.stdout
    assert "is not a public address" in first.stdout
    assert way in first.stdout
    again = _clipmill("download", table, out)
    assert "all is done, 1 row (0 succeeded, " in again.stdout
    assert "failed: 1 (1 x forbidden_address)" in again.stdout
    plain = _clipmill("retry", out)
    assert "Nothing to try again" in plain.stdout
    assert way in plain.stdout
    mended = _clipmill(*way.split()[1:])
    assert mended.returncode == 0
    assert "Failed rows in the dataset now: 0." in mended.stdout
    assert "To try failed rows again" not in mended.stdout
    assert "no row of" in _clipmill("retry", out).stdout


def test_trying_again_is_proposed_only_for_what_may_pass(origin, write_csv, tmp_path):
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "a.mp4").write_bytes(bytes(2000))
    broken = _clipmill("download", tmp_path / "media", tmp_path / "broken").stdout
    retry = f"clipmill retry {tmp_path / 'broken'}"
    assert f"Once what is wrong is mended: {retry} --all" in broken
    assert f"  {retry}    #" not in broken
    table = write_csv([{"url": origin.url("a.mp4", "flaky", times=9)}])
    words = ["--allow-private-addresses", "--retries", "0"]
    busy = _clipmill("download", table, tmp_path / "busy", *words).stdout
    retry = f"clipmill retry {tmp_path / 'busy'}"
    assert f"  {retry}    # 1 that may succeed by waiting alone" in busy


def test_retry_of_a_dataset_that_is_not_finished_says_what_to_do_first(origin, write_csv, tmp_path):
    out = tmp_path / "out"
    table = write_csv([{"url": origin.url(name)} for name in ("a.mp4", "b.mp4")])
    words = ["--samples-per-shard", "1", "--allow-private-addresses"]
    assert _clipmill("download", table, out, *words).returncode == 0
    (out / "00001_stats.json").unlink()
    told = _clipmill("retry", out).stdout
    assert "1 of 2 shards done" in told
    assert "Give its command again" in told


def test_a_dataset_is_repaired_as_verify_proposes(origin, write_csv, tmp_path):
    out = tmp_path / "out"
    table = write_csv([{"url": origin.url("a.mp4")}])
    command = ["download", table, out, "--allow-private-addresses"]
    assert _clipmill(*command).returncode == 0
    tar = bytearray((out / "00000.tar").read_bytes())
    tar[2000] ^= 255
    (out / "00000.tar").write_bytes(tar)
    found = _clipmill("verify", out)
    assert found.returncode == 1
    assert "1 problem\n" in found.stdout
    stats = out / "00000_stats.json"
    assert found.stdout.splitlines()[-1].split() == [str(stats)]
    stats.unlink()
    assert _clipmill(*command).returncode == 0
    assert "all as recorded" in _clipmill("verify", out).stdout


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


def test_what_libraries_warn_of_is_shown_only_to_those_who_ask(tmp_path):
    (tmp_path / "chardet.py").write_text('__version__ = "99.0.0"')  # requests warns of it
    (tmp_path / "urls.txt").write_text("https://www.youtube.com/watch?v=1\n")  # no id of a video
    there = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = ("download", tmp_path / "urls.txt", tmp_path / "out", "--failure-budget", "1", "-q")
    done = _clipmill(*command, env=there)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 x invalid_url" in done.stdout
    asked = {**there, "PYTHONWARNINGS": "default"}
    assert "RequestsDependencyWarning" in _clipmill(*command, "--overwrite", env=asked).stderr
