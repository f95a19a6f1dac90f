"""Media and servers shared by tests; made once, small, and deterministic."""

import csv
import os

import pytest
from hypothesis import settings

from clipmill.demo.media import make_video
from clipmill.demo.server import Origin

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


@pytest.fixture
def origin(media):
    """A loopback server over ``media`` that misbehaves on demand."""
    with Origin(media) as running:
        yield running


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
