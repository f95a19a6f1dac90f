"""Every argument of video2dataset's subsamplers, and the steps of a recipe that stand for it."""

from __future__ import annotations

import pytest

from clipmill.compat.v2d_arguments import Arguments
from clipmill.compat.v2d_recipe import recipe_of
from clipmill.core.config import parse_config
from clipmill.core.errors import RecipeError

CUTS = {"cuts_are_clips": True, "args": {}}
BOTH = {"video": "mp4", "audio": "m4a"}
PADDED = {"resize_mode": "pad", "video_size": 9}


def recipe(subsamplers, *, storage=None, **arguments):
    """The recipe for subsamplers by their names without the ending."""
    subsampling = {f"{name}Subsampler": entry for name, entry in subsamplers.items()}
    config = {"subsampling": subsampling, "storage": storage or {}}
    given = {"url_list": "videos.csv", "config": config, **arguments}
    return recipe_of(parse_config(Arguments, given, "video2dataset"))[0]


def refusal(subsamplers, **arguments):
    with pytest.raises(RecipeError) as caught:
        recipe(subsamplers, **arguments)
    assert "\n" not in caught.value.message
    return caught.value.message


def split(subsamplers, **arguments):
    return recipe(subsamplers, **arguments).split


def edit(subsamplers, **arguments):
    return recipe(subsamplers, **arguments).render


def clipping(**args):
    return {"CutDetection": CUTS, "Clipping": {"args": args}}


def resolution(**args):
    return edit({"Resolution": {"args": args}})


def frame(**args):
    return recipe({"Frame": {"args": args}})


# CutDetectionSubsampler


def test_cut_detection_has_the_peers_defaults_and_its_rule_for_short_scenes():
    made = split({"CutDetection": CUTS})
    assert made.detector == "content"
    assert made.parsed_detector_options().threshold == 27
    assert made.parsed_detector_options().min_scene_frames == 15
    assert made.parsed_detector_options().filter_mode == "suppress"
    assert made.frame_rates == ()


def test_cut_detection_arguments():
    args = {"threshold": 11.5, "min_scene_len": 30, "framerates": [1, 5]}
    made = split({"CutDetection": {"cuts_are_clips": True, "args": args}})
    assert made.parsed_detector_options().threshold == 11.5
    assert made.parsed_detector_options().min_scene_frames == 30
    assert made.frame_rates == (1, 5)


@pytest.mark.parametrize(("mode", "longest"), [("all", False), ("longest", True)])
def test_cut_detection_mode(mode, longest):
    args = {"cut_detection_mode": mode}
    made = split({"CutDetection": {"cuts_are_clips": True, "args": args}})
    assert made.longest_only is longest


def test_cuts_that_are_no_clips_are_kept_and_the_source_stays_whole():
    made = recipe({"CutDetection": {"args": {"cut_detection_mode": "longest"}}})
    assert made.split.keep_whole
    assert made.render.precision == "copy"
    assert made.write.encode_formats == {"video": "mp4"}


# ClippingSubsampler


def test_clipping_lengths():
    made = split(clipping(min_length=4.0, max_length=10, max_length_strategy="first"))
    assert (made.min_seconds, made.max_seconds, made.max_strategy) == (4, 10, "first")


def test_clipping_of_any_length_is_the_default():
    assert split(clipping(max_length=999999.0)) == split(clipping())
    assert split(clipping()).max_seconds is None
    assert (split(clipping()).min_seconds, split(clipping()).max_strategy) == (0, "all")


@pytest.mark.parametrize(
    ("precision", "meant"),
    [("low", "copy"), ("keyframe_adjusted", "smart"), ("exact", "exact")],
)
def test_clipping_precision(precision, meant):
    assert edit(clipping(precision=precision)).precision == meant


def test_clipping_precision_is_exact_where_pictures_are_coded_anew_anyhow():
    subsamplers = {**clipping(precision="low"), "Frame": {"args": {"frame_rate": 5}}}
    assert edit(subsamplers).precision == "exact"


def test_clipping_with_nothing_to_cut_by_does_nothing_as_in_the_peer():
    made = recipe({"Clipping": {"args": {"min_length": 4}}})
    assert (made.split, made.render) == (None, None)


def test_oom_clip_count_is_five_or_refused():
    assert split(clipping(oom_clip_count=5)) == split(clipping())
    assert "oom_clip_count: clips have five digits" in refusal(clipping(oom_clip_count=3))


def test_clip_col_cuts_as_clipping_says_or_else_by_its_defaults():
    made = recipe({}, clip_col="spans")
    assert (made.source.clip_col, made.split.detector) == ("spans", "column")
    assert made.render.precision == "copy"
    made = recipe({"Clipping": {"args": {"min_length": 2, "precision": "exact"}}}, clip_col="spans")
    assert (made.split.min_seconds, made.render.precision) == (2, "exact")


def test_captions_are_subtitles_cuts_along_the_lines_and_asks_sites_for_all():
    made = recipe({}, storage={"captions_are_subtitles": True})
    assert made.split.detector == "subtitles"
    assert made.captions_from_subtitles
    assert made.download.subtitles == "all"


def test_cuts_kept_by_an_earlier_run_are_clipped_in_stage_subset():
    again = {"CutDetection": {"cuts_are_clips": True}, "Clipping": {"args": {"min_length": 4}}}
    made = split(again, stage="subset", input_format="webdataset")
    assert (made.detector, made.min_seconds) == ("cuts", 4)
    assert "nothing has found the cuts yet" in refusal(again)


@pytest.mark.parametrize(
    ("subsamplers", "arguments", "named"),
    [
        ({"CutDetection": CUTS}, {"clip_col": "c"}, ["clip_col 'c'", "CutDetectionSubsampler"]),
        (
            {"CutDetection": CUTS},
            {"storage": {"captions_are_subtitles": True}},
            ["captions_are_subtitles", "CutDetectionSubsampler"],
        ),
        (
            {},
            {"clip_col": "c", "storage": {"captions_are_subtitles": True}},
            ["clip_col 'c'", "captions_are_subtitles"],
        ),
    ],
)
def test_two_ways_of_saying_where_to_cut_are_refused(subsamplers, arguments, named):
    message = refusal(subsamplers, **arguments)
    assert all(name in message for name in named)


# ResolutionSubsampler


def test_resolution_scales_to_the_height_else_to_the_width():
    made = resolution(resize_mode="scale", height=48, width=200)
    assert (made.width, made.height, made.resize_mode) == (None, 48, ("scale",))
    assert made.upscale
    assert made.precision == "exact"
    assert resolution(resize_mode="scale", width=200).width == 200
    assert resolution(resize_mode="scale", width=-1, height=48).height == 48


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("scale,crop,pad", ("scale", "crop", "pad")),
        (["scale", "crop"], ("scale", "crop")),
        ("pad, scale", ("scale", "pad")),
        (["crop"], ("crop",)),
    ],
)
def test_resize_mode_as_text_or_list(given, meant):
    made = resolution(resize_mode=given, video_size=224)
    assert (made.resize_mode, made.width, made.height) == (meant, 224, 224)


# FrameSubsampler


def test_frame_rate():
    made = frame(frame_rate=5)
    assert (made.render.fps, made.render.precision) == (5, "exact")
    assert made.write.encode_formats == {"video": "mp4"}


@pytest.mark.parametrize(
    ("method", "images"),
    [("first_frame", "first"), ("keyframe", "keyframes"), ("yt_subtitle", "subtitles")],
)
def test_downsample_methods_of_images_give_images_in_place_of_video(method, images):
    made = frame(frame_rate=1, downsample_method=method, encode_format="jpg")
    assert (made.render.images, made.render.image_format, made.render.fps) == (images, "jpg", None)
    assert made.write.encode_formats == {}
    assert made.modalities == ("video",)


# AudioRateSubsampler


def test_audio_rate():
    args = {"sample_rate": 16000, "encode_format": "m4a", "n_audio_channels": 1}
    made = edit({"AudioRate": {"args": args}}, encode_formats=BOTH)
    assert (made.audio_sample_rate, made.audio_channels, made.precision) == (16000, 1, "copy")


# FFProbeSubsampler


def test_keyframes_of_sources_are_kept_where_their_files_are_made_anew():
    subsamplers = {"FFProbe": {"args": {"extract_keyframes": True}}}
    assert recipe(subsamplers).split is None
    made = recipe({**subsamplers, "Frame": {"args": {"frame_rate": 5}}})
    assert made.probe.keyframes
    assert (made.split.detector, made.split.keep_whole) == ("whole", True)


# Stage subset


def test_stage_subset_reads_shards_and_keeps_all_they_tell():
    made = recipe({}, stage="subset", input_format="webdataset", url_list="raw/{00000..00002}.tar")
    assert made.source.given == ("shards", "raw/{00000..00002}.tar")
    assert made.source.save_additional_columns is None
    assert (made.split, made.render.precision) == (None, "copy")


def test_stage_subset_and_input_format_webdataset_go_together():
    assert "--input_format=webdataset" in refusal({}, stage="subset")
    assert "stage 'subset'" in refusal({}, input_format="webdataset")


@pytest.mark.parametrize(
    "stage", [{}, {"stage": "subset", "input_format": "webdataset"}], ids=["download", "subset"]
)
def test_bundled_downsample_ml_is_one_split_and_one_render(stage):
    given = {"url_list": "x", "config": "downsample_ml", **stage}
    made = recipe_of(parse_config(Arguments, given, "video2dataset"))[0]
    assert (made.split.detector, made.split.min_seconds, made.split.max_seconds) == (
        "content", 4, 10,
    )  # fmt: skip
    assert made.split.parsed_detector_options().threshold == 11.5
    assert (made.render.fps, made.render.width, made.render.height) == (5, 224, 224)
    assert made.render.precision == "exact"


@pytest.mark.parametrize(
    ("subsamplers", "told"),
    [
        ({"Resolution": {"args": {"resize_mode": "scle", "video_size": 9}}}, "'scale'"),
        ({"Resolution": {"args": {"resize_mode": "scale"}}}, "give height, width or video_size"),
        (
            {"Resolution": {"args": {"resize_mode": "scale", "video_size": 9, "width": 9}}},
            "not both",
        ),
        ({"Resolution": {"args": {"resize_mode": "pad", "width": 9}}}, "needs height and width"),
        (
            {
                "Resolution": {
                    "args": {"resize_mode": "pad", "video_size": 9, "encode_format": "mkv"}
                }
            },
            "give both the same",
        ),
        ({"Frame": {"args": {}}}, "needs frame_rate"),
        ({"Frame": {"args": {"frame_rate": 1, "downsample_method": "fsp"}}}, "downsample_method"),
        (
            {"Frame": {"args": {"downsample_method": "first_frame", "encode_format": "webp"}}},
            "jpg or png",
        ),
        ({"AudioRate": {"args": {"sample_rate": 16000}}}, "add 'audio'"),
        ({"AudioRate": {"args": {}}}, "sample_rate"),
        ({"CutDetection": {"args": {"treshold": 1}}}, "'threshold'"),
        (clipping(min_length=4, max_length=2), "max_length is below min_length"),
        (clipping(precision="fast"), "precision"),
    ],
)
def test_wrong_arguments_of_subsamplers_are_one_helpful_error(subsamplers, told):
    assert told in refusal(subsamplers)


def test_subsamplers_without_media_to_work_on_are_refused():
    assert "encode_formats {}" in refusal({"CutDetection": CUTS}, encode_formats={})
