"""Exports for trainers: what the dry run says is what is made, to the frame."""

import json
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import av
import pytest

import clipmill
from clipmill.core.config import parse_config
from clipmill.core.edit import Edit
from clipmill.core.errors import RecipeError
from clipmill.demo.media import make_audio, make_video
from clipmill.formats.trainers.fit import Fit, FitOptions, Misfit, fit_clip, retiming
from clipmill.run.export_plan import plan_export
from clipmill.run.recipe import Recipe

BUCKETS = "64x32x9,64x32x17,32x64"


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Clips of several rates, sizes and lengths, one too small and one too short."""
    folder = tmp_path_factory.mktemp("trainers")
    (folder / "videos").mkdir()
    for number, (size, fps, seconds) in enumerate(
        [
            ((160, 90), 25, 1.3),
            ((160, 90), 30, 0.8),
            ((90, 160), 10, 1.0),
            ((128, 64), 24, 0.2),
            ((32, 32), 25, 1.0),
        ]
    ):
        make_video(
            folder / "videos" / f"{number}.mp4",
            seconds=seconds,
            fps=fps,
            width=size[0],
            height=size[1],
        )
    rows = [
        {"url": str(folder / "videos" / f"{number}.mp4"), "caption": f"clip\n{number}"}
        for number in range(5)
    ]
    return clipmill.download(
        rows, folder / "raw", caption_col="caption", allow_local_paths=True, quiet=True
    )


@pytest.fixture(scope="module")
def clips(raw, tmp_path_factory):
    folder = tmp_path_factory.mktemp("virtual") / "clips"
    return raw.split(folder, detector="stride", stride_seconds=0.75, quiet=True)


def plan(dataset, output, **settings):
    edit = {name: settings.pop(name) for name in ("fps", "upscale") if name in settings}
    sections = {
        "source": {"path": dataset.folder.url},
        "fit": settings,
        "render": {"precision": "exact", **edit},
        "write": {"to": str(output)},
    }
    return plan_export(parse_config(Recipe, sections, ""))


def frame_counts(folder):
    """Of each size and number of frames, how many videos have it, as a decoder counts."""
    found: Counter[str] = Counter()
    for path in sorted(folder.glob("*/*.mp4")):
        with av.open(str(path)) as container:
            frames = list(container.decode(video=0))
        found[f"{frames[0].width}x{frames[0].height}x{len(frames)}"] += 1
    return found


@pytest.mark.parametrize("kind", ["raw", "clips"])
@pytest.mark.parametrize("trainer", ["ltx", "wan", "hunyuan", "cogvideox"])
def test_what_is_made_equals_the_dry_run(kind, trainer, request, tmp_path):
    dataset = request.getfixturevalue(kind)
    told = plan(dataset, tmp_path / "out", trainer=trainer, buckets=BUCKETS)
    made = dataset.export(tmp_path / "out", trainer=trainer, buckets=BUCKETS, quiet=True)
    counts = frame_counts(tmp_path / "out")
    assert counts == {bucket.bucket: bucket.clips for bucket in told.buckets.values()}
    assert sum(counts.values()) == told.clips > 0
    rows = made.table(["status", "error_step", "error_class", "rendered"]).to_pylist()
    dropped = Counter(row["error_class"] for row in rows if row["status"] != "success")
    assert dropped == told.dropped
    assert {row["status"] for row in rows} <= {"success", "dropped"}
    frames = sum(row["rendered"]["frame_count"] for row in rows if row["status"] == "success")
    assert frames == sum(bucket.frames for bucket in told.buckets.values())
    assert len(rows) == told.rows


def test_the_dry_run_tells_what_will_fail_for_want_of_sound_or_picture(tmp_path):
    paths = [
        make_audio(tmp_path / "sound.m4a", seconds=1),
        make_video(tmp_path / "silent.mp4", seconds=1, audio=None),
        make_video(tmp_path / "both.mp4", seconds=1),
    ]

    def dataset(name, paths, **formats):
        rows = [{"url": str(path)} for path in paths]
        keep = {"allow_local_paths": True, "quiet": True, "encode_formats": formats}
        return clipmill.download(rows, tmp_path / name, **keep)

    sound = dataset("sound", paths[:1], audio="m4a")
    pictures = dataset("pictures", paths[1:], video="mp4")
    kept = dataset("kept", paths[2:], audio="m4a")  # its probe tells of pictures that it left
    for number, (source, wanted, failing) in enumerate(
        [
            (sound, {"audio": "m4a"}, {}),
            (sound, {"video": "mp4"}, {"no_video_stream": 1}),
            (pictures, {"video": "mp4", "audio": "m4a"}, {"no_audio_stream": 1}),
            (kept, {"audio": "m4a"}, {}),
            (kept, {"video": "mp4"}, {"no_video_stream": 1}),
        ]
    ):
        out = tmp_path / f"out{number}"
        sections = {
            "source": {"path": source.folder.url},
            "render": {"precision": "exact"},
            "write": {"to": str(out), "encode_formats": wanted},
        }
        told = plan_export(parse_config(Recipe, sections, ""))
        assert told.failing == failing
        assert sum(one.seconds for one in told.buckets.values()) == pytest.approx(told.clips)
        made = source.export(out, encode_formats=wanted, quiet=True).table(["error_class"])
        classes = Counter(made["error_class"].to_pylist())
        assert (classes.pop(None, 0), classes) == (told.clips, Counter(failing))
        assert set(told.buckets) <= {"as they are"}
    sections["source"]["path"] = pictures.folder.url
    sections["render"]["short_side"] = 32
    assert set(plan_export(parse_config(Recipe, sections, "")).buckets) == {"short_side 32"}


def test_a_trimmed_clip_begins_where_the_clip_does_at_the_models_rate(clips, tmp_path):
    made = clips.export(tmp_path / "out", trainer="wan", buckets="64x32", quiet=True)
    for row in made.table(["status", "span", "rendered", "probe"]).to_pylist():
        if row["status"] == "success":
            assert row["probe"]["video"]["average_frame_rate"] == 16
            assert (row["rendered"]["frame_count"] - 1) % 4 == 0
            assert row["rendered"]["span"]["start_seconds"] == row["span"]["start_seconds"]


def probe(width, height, fps=25.0):
    return {
        "video": {
            "width": width,
            "height": height,
            "average_frame_rate": fps,
            "duration_pts": 100,
            "time_base_numerator": 1,
            "time_base_denominator": 25,
        }
    }


def fitted(width, height, trainer="wan", buckets=None, **edit):
    options = FitOptions(trainer=trainer, buckets=buckets)
    return fit_clip(None, probe(width, height), options, Edit(**edit))


def test_the_bucket_that_cuts_off_least_is_taken_then_the_longest_then_the_largest():
    assert str(fitted(1920, 1080).bucket) == "832x480x61"  # four seconds at 16/s
    assert str(fitted(1080, 1920).bucket) == "480x832x61"
    assert str(fitted(1000, 1000).bucket) == "624x624x61"
    assert str(fitted(1920, 1080, buckets="832x480x33,832x480x49").bucket) == "832x480x49"
    assert str(fitted(1280, 640, buckets="64x32x9,128x64x9").bucket) == "128x64x9"
    wide = fitted(1920, 1080)
    assert isinstance(wide, Fit)
    assert wide.crop_loss == pytest.approx(1 - (832 / 480) / (16 / 9), abs=0.002)


def test_what_fits_nowhere_says_why():
    small = fitted(640, 360)
    assert isinstance(small, Misfit)
    assert small.reason == "too_small"
    assert "640x360 would have to be enlarged" in small.message
    assert isinstance(fitted(640, 360, upscale=True), Fit)
    short = fitted(1920, 1080, buckets="832x480x81")
    assert isinstance(short, Misfit)
    assert short.message == "it has 64 frames at 16/s, and 81 are needed"
    assert fit_clip(None, {"video": None}, FitOptions(trainer="ltx"), Edit()).reason == "no_picture"


def test_re_timing_tells_its_error_and_repeated_frames():
    faster = fitted(1920, 1080, fps=50)
    assert retiming(faster, 25.0).repeated == faster.bucket.frames // 2
    same = fitted(1920, 1080, fps=25)
    assert retiming(same, 25.0).error_seconds == pytest.approx(0, abs=1e-9)
    assert retiming(fitted(1920, 1080), 25.0).error_seconds == pytest.approx(0.0175, abs=0.003)
    assert retiming(same, None) is None


@pytest.mark.parametrize(
    ("trainer", "buckets", "message"),
    [
        ("ltx", "768x500", "sides in multiples of 32, so 500 cannot be one; the nearest is 512"),
        ("ltx", "768x512x50", "8n\\+1 frames, so 50 cannot be their number; the nearest is 49"),
        ("wan", "832x480x80", "4n\\+1 frames.*the nearest is 81"),
        ("wan", "832", "is no bucket"),
        ("vam", None, "no trainer 'vam'"),
    ],
)
def test_buckets_that_a_model_does_not_take_are_refused(raw, tmp_path, trainer, buckets, message):
    with pytest.raises(RecipeError, match=message):
        raw.export(tmp_path / "out", trainer=trainer, buckets=buckets, quiet=True)


def test_sizes_of_buckets_and_of_ones_own_exclude_each_other(raw, tmp_path):
    for wrong in ({"short_side": 64}, {"crop": "letterbox"}, {"precision": "copy"}):
        with pytest.raises(RecipeError, match="goes not with it"):
            raw.export(tmp_path / "out", trainer="wan", **wrong, quiet=True)


def lines(path):
    return path.read_text().splitlines()


def test_finetrainers_and_diffusers_read_two_lists(clips, tmp_path):
    out = tmp_path / "out"
    clips.export(out, trainer="cogvideox", buckets=BUCKETS, quiet=True)
    videos, prompts = lines(out / "videos.txt"), lines(out / "prompts.txt")
    assert len(videos) == len(prompts) > 0
    for video, prompt in zip(videos, prompts, strict=True):
        assert (out / video).exists()
        assert " ".join((out / video).with_suffix(".txt").read_text().split()) == prompt
    assert not list(out.glob("*/*.json"))


def test_the_ltx_trainer_reads_lines_of_json(clips, tmp_path):
    out = tmp_path / "out"
    clips.export(out, trainer="ltx", buckets=BUCKETS, quiet=True)
    rows = [json.loads(line) for line in lines(out / "dataset.jsonl")]
    assert rows
    for row in rows:
        assert row["media_path"] == row["video"]
        assert (out / row["video"]).exists()
        assert row["caption"].startswith("clip ")


def test_musubi_tuner_reads_a_dataset_for_each_bucket(clips, tmp_path):
    out = tmp_path / "out"
    clips.export(out, trainer="wan", buckets=BUCKETS, quiet=True)
    told = tomllib.loads((out / "dataset.toml").read_text())
    assert told["general"]["enable_bucket"]
    found: Counter[str] = Counter()
    for dataset in told["datasets"]:
        size = "x".join(map(str, [*dataset["resolution"], *dataset["target_frames"]]))
        with open(dataset["video_jsonl_file"]) as file:
            for line in file:
                row = json.loads(line)
                assert Path(row["video_path"]).read_bytes()[4:8] == b"ftyp"
                assert row["caption"].startswith("clip ")
                found[size] += 1
    assert found == frame_counts(out)
    assert len({dataset["cache_directory"] for dataset in told["datasets"]}) == len(found)


def test_diffusion_pipe_reads_folders_and_sizes(clips, tmp_path):
    out = tmp_path / "out"
    clips.export(out, trainer="wan", buckets=BUCKETS, format="diffusion-pipe", quiet=True)
    told = tomllib.loads((out / "dataset.toml").read_text())
    sizes = {"x".join(map(str, size)) for size in told["size_buckets"]}
    assert sizes == set(frame_counts(out))
    for directory in told["directory"]:
        folder = out / directory["path"].rpartition("/")[2]
        assert {path.suffix for path in folder.iterdir()} == {".mp4", ".txt"}


def test_an_index_goes_with_its_dataset_when_that_is_made_anew(clips, tmp_path):
    out = tmp_path / "out"
    clips.export(out, trainer="wan", buckets=BUCKETS, quiet=True)
    clips.export(out, format="files", width=32, height=32, mode="overwrite", quiet=True)
    assert not (out / "dataset.toml").exists()
    assert not (out / "buckets").exists()


def test_the_command_line_tells_what_would_be_made(raw, tmp_path):
    command = [sys.executable, "-m", "clipmill", "export", raw.folder.url, str(tmp_path / "out")]
    command += ["--trainer", "wan", "--buckets", BUCKETS, "--dry-run"]
    told = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert "of 5 samples will be made." in told
    assert "dropped, too_short: 1, such as 00000003: it has 4 frames at 16/s" in told
    as_json = subprocess.run([*command, "--json"], capture_output=True, check=True, text=True)
    found = json.loads(as_json.stdout)
    assert found == plan(raw, tmp_path / "out", trainer="wan", buckets=BUCKETS).dump()
    assert not (tmp_path / "out").exists()
