"""One list of what media files are called."""

import pytest

from clipmill.core.media_names import AUDIO_EXTENSIONS, MEDIA_EXTENSIONS, VIDEO_EXTENSIONS
from clipmill.media.containers import AUDIO_ONLY, CONTAINERS


def test_a_name_is_video_or_audio_never_both():
    assert not VIDEO_EXTENSIONS & AUDIO_EXTENSIONS


def test_whatever_we_write_is_known_when_it_is_read():
    assert CONTAINERS.keys() <= MEDIA_EXTENSIONS
    assert AUDIO_ONLY <= AUDIO_EXTENSIONS


@pytest.mark.parametrize("name", ["wma", "oga", "ac3", "aif", "aiff", "mka", "opus"])
def test_less_common_sounds_are_sounds(name):
    assert name in AUDIO_EXTENSIONS
