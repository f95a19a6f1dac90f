"""Sound of many channels: each stays where it is, however an encoder likes them arranged."""

import numpy as np
import pytest

import clipmill
from clipmill.core.request import Audio, Want
from clipmill.media.decode import MediaFile
from media_clips import render
from sound_media import sine, write_sound

ARRANGED = [
    ("wav", "2.1", "2.1"),
    ("flac", "quad", "quad"),
    ("flac", "5.1(side)", "5.1"),
    ("flac", "7.1", "7.1"),
    ("m4a", "3.0", "3.0"),
    ("opus", "quad", "quad"),
    ("opus", "5.1(side)", "5.1"),
    ("opus", "2.1", "stereo"),
    ("opus", "5.0", "stereo"),
    ("mp3", "5.1", "stereo"),
]


def tones(path):
    """The arrangement, and the pitch of each channel in units of 100 Hz."""
    with MediaFile(path) as media:
        layout = media.sound.layout
        heard = np.concatenate([one.samples for one in media.decode([Want(Audio())])], axis=1)
    strongest = np.abs(np.fft.rfft(heard[:, :24_000], axis=1)).argmax(axis=1)
    return layout, [round(hertz * 2 / 100) for hertz in strongest]


def source_of(folder, layout):
    """Half a second of 48 kHz with 200 Hz on the first channel, 300 Hz on the second and so on."""
    count = {"2.1": 3, "3.0": 3, "quad": 4, "5.0": 5, "5.1": 6, "5.1(side)": 6, "7.1": 8}[layout]
    waves = np.stack([sine(-12, 0.6, hertz=200 + 100 * number) for number in range(count)])
    return write_sound(folder / "a.mkv", waves, codec="flac", layout=layout)


@pytest.mark.parametrize(("extension", "layout", "made"), ARRANGED)
def test_channels_of_clips_stay_in_their_places(tmp_path, extension, layout, made):
    source = source_of(tmp_path, layout)
    (clip,) = render(source, [(0, 0.6)], tmp_path, {"audio": extension})
    assert tones(clip.members[extension].path) == (made, tones(source)[1][: 2 if clip.notes else 8])
    codec = {"mp3": "mp3", "opus": "opus"}.get(extension)
    told = (f"{codec} takes no sound in {layout}; it was mixed down to stereo",)
    assert clip.notes == (told if made == "stereo" else ())


def test_downloaded_sound_of_many_channels_fits_its_container(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for layout in ("quad", "5.1(side)", "2.1"):
        source_of(tmp_path, layout).rename(folder / f"{layout}.mkv")
    wanted = {"audio": "opus"}
    clipmill.download(folder, tmp_path / "out", format="files", encode_formats=wanted, quiet=True)
    made = [tones(path) for path in sorted((tmp_path / "out").glob("*/*.opus"))]
    assert [layout for layout, _ in made] == ["stereo", "5.1", "quad"]
    assert [pitches[:2] for _, pitches in made] == [[2, 3]] * 3
