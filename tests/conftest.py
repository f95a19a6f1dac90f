"""Media and servers shared by tests; made once, small, and deterministic."""

import csv
import os

import pytest
from hypothesis import settings

import clipmill
from clipmill.core.errors import MissingExtra
from clipmill.demo.media import make_video
from clipmill.demo.server import Origin
from clipmill.media.torchcodec_reader import load_torchcodec

# A busy machine is no reason to fail: hypothesis would time each example.
settings.register_profile("clipmill", deadline=None)
settings.load_profile("clipmill")


@pytest.fixture(scope="session")
def media(tmp_path_factory):
    """A folder with a.mp4, b.mp4 and c.mp4: short H.264 and AAC, all different."""
    folder = tmp_path_factory.mktemp("media")
    for number, name in enumerate("abc"):
        make_video(folder / f"{name}.mp4", seconds=0.5 + 0.5 * number, first_number=number)
    return folder


@pytest.fixture(scope="session")
def torchcodec():
    """Torchcodec, which `make test` lets find the FFmpeg of PyAV; without it tests are skipped."""
    try:
        load_torchcodec()
    except MissingExtra as error:
        pytest.skip(error.message)


@pytest.fixture
def origin(media):
    """A loopback server over ``media`` that misbehaves on demand."""
    with Origin(media) as running:
        yield running


@pytest.fixture(scope="module")
def bucket():
    """A bucket on a real S3 server on this machine."""
    moto = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        environment.setenv("AWS_ACCESS_KEY_ID", "testing")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3fs.S3FileSystem.clear_instance_cache()  # they know the server of another module
        s3fs.S3FileSystem().makedirs("clips", exist_ok=True)  # its server forgets nothing
        yield "s3://clips"
    server.stop()
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture(scope="session")
def licensed(tmp_path_factory):
    """A dataset of four videos in two shards, all but one with a licence; the third is none."""
    folder = tmp_path_factory.mktemp("licensed")
    (folder / "videos").mkdir()
    rows = []
    for number in range(4):
        path = folder / "videos" / f"{number}.mp4"
        make_video(path, seconds=0.4, fps=10, first_number=10 * number)
        licence = "cc-by-4.0" if number else None
        rows.append({"url": str(path), "caption": f"clip {number}", "license": licence})
    (folder / "videos" / "2.mp4").write_bytes(b"none")
    settings = {"caption_col": "caption", "allow_local_paths": True, "samples_per_shard": 2}
    return clipmill.download(rows, folder / "raw", quiet=True, **settings)


@pytest.fixture
def write_csv(tmp_path):
    """Write rows of mappings as a CSV table; returns its path."""

    def write(rows, name="videos.csv"):
        path = tmp_path / name
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return path

    return write


@pytest.fixture(autouse=True)
def _no_stray_settings(monkeypatch):
    """Tests do not depend on who runs them."""
    for name in list(os.environ):
        if name.lower() in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
            monkeypatch.delenv(name)
