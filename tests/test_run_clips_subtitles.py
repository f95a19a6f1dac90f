"""Subtitles in a file: they make clips, and follow them from dataset to dataset."""

import shutil
from fractions import Fraction

import av
import pytest
from av.stream import Disposition

import clipmill
from clipmill.core.sample import Subtitle
from clipmill.demo.media import paint_frame_number
from clipmill.media.embedded_subtitles import embedded_subtitles
from clipmill.run.recipe_file import load_recipe
from clipmill.run.runner import run_recipe

LINES = [(1.0, 1.0, "<i>hello</i> there"), (3.0, 0.6, "second")]


@pytest.fixture
def videos(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    with av.open(str(folder / "a.mkv"), "w") as writer:
        texts = writer.add_mux_stream("subrip")
        video = writer.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 128, 96, "yuv420p"
        for start, duration, text in LINES:
            packet = av.Packet(text.encode())
            packet.stream, packet.time_base = texts, Fraction(1, 1000)
            packet.pts = packet.dts = round(start * 1000)
            packet.duration = round(duration * 1000)
            writer.mux(packet)
        for number in range(40):
            picture = paint_frame_number(number, 128, 96)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            writer.mux(video.encode(frame))
        writer.mux(video.encode(None))
    return folder


def told(dataset):
    rows = dataset.table(["caption", "span", "subtitles"]).to_pylist()
    return [
        (
            row["caption"],
            row["span"]["start_seconds"],
            [
                (line["start_seconds"], line["end_seconds"], line["text"])
                for line in row["subtitles"]
            ],
        )
        for row in rows
    ]


def test_each_line_is_a_clip_with_its_caption_and_its_subtitle(videos, tmp_path):
    raw = clipmill.download(
        videos, tmp_path / "raw", encode_formats={"video": "original"}, quiet=True
    )
    clips = raw.split(tmp_path / "clips", detector="subtitles", quiet=True)
    expected = [
        ("hello there", 1.0, [(0.0, pytest.approx(1.0), "hello there")]),
        ("second", 3.0, [(0.0, pytest.approx(0.6), "second")]),
    ]
    assert told(clips) == expected
    exported = clips.export(tmp_path / "exported", quiet=True)
    assert told(exported) == expected  # not shifted a second time


def test_lines_follow_clips_that_are_made_by_other_rules(videos, tmp_path):
    raw = clipmill.download(
        videos, tmp_path / "raw", encode_formats={"video": "original"}, quiet=True
    )
    clips = raw.split(tmp_path / "clips", detector="stride", stride_seconds=1.5, quiet=True)
    texts = [[line["text"] for line in row] for row in clips.table()["subtitles"].to_pylist()]
    assert texts == [["hello there"], ["hello there"], ["second"]]
    starts = [
        [line["start_seconds"] for line in row] for row in clips.table()["subtitles"].to_pylist()
    ]
    assert starts == [[1.0], [-0.5], [0.0]]  # whole while virtual, cut when made


@pytest.mark.parametrize("edit", [{}, {"precision": "copy"}])
def test_lines_end_with_what_a_clip_holds_in_one_pass_and_in_two(videos, tmp_path, edit):
    split = {"detector": "stride", "stride_seconds": 1.25}
    output = {"video": "mp4"}
    recipe = {
        "source": {"path": str(videos)},
        "steps": [{"split": split}, {"render": edit}],
        "write": {"to": str(tmp_path / "once"), "encode_formats": output},
    }
    run_recipe(load_recipe(recipe), quiet=True)
    raw = clipmill.download(
        videos, tmp_path / "raw", encode_formats={"video": "original"}, quiet=True
    )
    clips = raw.split(tmp_path / "clips", quiet=True, **split)
    twice = clips.export(tmp_path / "twice", encode_formats=output, quiet=True, **edit)
    rows = twice.table(["rendered", "subtitles"]).to_pylist()
    assert rows == clipmill.open(tmp_path / "once").table(["rendered", "subtitles"]).to_pylist()
    held = [row["rendered"]["span"] for row in rows]
    assert held[0]["end_seconds"] > 1.25  # the last frame is shown until the next one
    first = held[0]["end_seconds"] - held[0]["start_seconds"]
    assert rows[0]["subtitles"][-1]["end_seconds"] == pytest.approx(first)


def test_of_several_streams_in_a_language_the_one_that_has_the_text_counts(tmp_path):
    path = tmp_path / "a.mkv"
    kinds = [
        ("hdmv_pgs_subtitle", Disposition(0), b"a picture"),
        ("subrip", Disposition.forced, b"(foreign)"),
        ("subrip", Disposition(0), b"hello"),
    ]
    with av.open(str(path), "w") as writer:
        writer.add_stream("libx264", rate=10)
        for codec, flags, _ in kinds:
            stream = writer.add_mux_stream(codec)
            stream.metadata["language"], stream.disposition = "eng", flags
        for stream, (*_, text) in zip(writer.streams.subtitles, kinds, strict=True):
            packet = av.Packet(text)
            packet.stream, packet.time_base = stream, Fraction(1, 1000)
            packet.pts, packet.dts, packet.duration = 1000, 1000, 500
            writer.mux(packet)
    assert embedded_subtitles(path, Fraction(0)) == [Subtitle("eng", 1.0, 1.5, "hello")]


def test_lines_beside_a_file_make_clips_at_once_and_from_a_dataset(media, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(media / "c.mp4", folder)
    (folder / "c.en.srt").write_text("1\n00:00:00,200 --> 00:00:00,700\nhello\n")
    raw = clipmill.download(folder, tmp_path / "raw", quiet=True)
    clips = raw.split(tmp_path / "clips", detector="subtitles", quiet=True)
    recipe = {
        "source": {"path": str(folder)},
        "steps": [{"split": {"detector": "subtitles"}}],
        "write": {"to": str(tmp_path / "once")},
    }
    run_recipe(load_recipe(recipe), quiet=True)
    expected = [("hello", 0.2, [(0.0, 0.5, "hello")])]
    assert told(clips) == told(clipmill.open(tmp_path / "once")) == expected
