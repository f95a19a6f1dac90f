"""Every key of video2dataset's configuration files, and what becomes of it."""

from __future__ import annotations

import pytest

from clipmill.compat.v2d_arguments import Arguments
from clipmill.compat.v2d_config import BUNDLED, load_config
from clipmill.compat.v2d_recipe import recipe_of
from clipmill.core.errors import RecipeError

EVERY_KEY = """
subsampling: {}
reading:
    yt_args:
        download_size: 720
        download_audio_rate: 16000
        yt_metadata_args:
            writesubtitles: first
            subtitleslangs: [de, en]
            writeautomaticsub: True
            get_info: True
            geo_bypass: True
    timeout: 15
    sampler: null
storage:
    number_sample_per_shard: 250
    oom_shard_count: 7
    captions_are_subtitles: False
distribution:
    processes_count: 3
    thread_count: 9
    subjob_size: 10
    distributor: multiprocessing
"""
SLURM = """
distribution:
    processes_count: 48
    thread_count: 48
    subjob_size: 1000
    distributor: slurm
    distributor_args: {partition: cpu64, n_nodes: 50, account: me, cache_path: .slurm}
"""
CUTS = """
subsampling:
    CutDetectionSubsampler:
        args: {cut_detection_mode: all, framerates: null, threshold: 11.5, min_scene_len: 15}
"""
CUTS_AND_CLIPS = """
subsampling:
    CutDetectionSubsampler:
        cuts_are_clips: True
        args: {cut_detection_mode: all, framerates: null, threshold: 11.5, min_scene_len: 15}
    ClippingSubsampler:
        args:
            min_length: 3.0
            max_length: 20.0
            max_length_strategy: all
            precision: keyframe_adjusted
    FFProbeSubsampler:
        args: {extract_keyframes: False}
"""
READING = """
reading:
    yt_args:
        download_size: 360
        download_audio_rate: 44100
        yt_metadata_args: {%s}
    timeout: 60
    sampler: null
"""
SUBTITLES = "writesubtitles: True, subtitleslangs: [en], writeautomaticsub: True, get_info: True"
PUBLISHED = {
    "WebVid": (
        "subsampling: {}"
        + READING.replace("{%s}", "null")
        + "storage: {number_sample_per_shard: 1000, oom_shard_count: 5}\n"
        + "distribution: {processes_count: 16, thread_count: 16, distributor: multiprocessing}"
    ),
    "VideoCC": CUTS_AND_CLIPS + READING % SUBTITLES + SLURM,
    "ACAV": (
        "subsampling: {}"
        + READING % "get_info: True"
        + "storage: {number_sample_per_shard: 2000, captions_are_subtitles: False}\n"
        + "distribution: {processes_count: 96, thread_count: 48, subjob_size: 10000, "
        + "distributor: pyspark}"
    ),
    "HD-VILA": (
        CUTS
        + READING % SUBTITLES
        + "storage: {number_sample_per_shard: 100, captions_are_subtitles: False}\n"
        + SLURM
    ),
}
"""The configurations printed in the peer's dataset guides, with the keys that they lack."""


@pytest.fixture
def yaml_file(tmp_path):
    def write(text):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return path

    return write


def recipe(config):
    return recipe_of(Arguments(url_list="videos.csv", config=config))[0]


def refusal(config):
    with pytest.raises(RecipeError) as caught:
        recipe(config)
    assert "\n" not in caught.value.message
    return caught.value.message


def site(**yt_args):
    return recipe({"reading": {"yt_args": yt_args}}).download


def metadata(**yt_metadata_args):
    return site(yt_metadata_args=yt_metadata_args)


def test_a_yaml_file_with_every_key(yaml_file):
    made = recipe(yaml_file(EVERY_KEY))
    download = made.download
    assert (download.max_height, download.audio_rate) == (720, 16000)
    assert (download.subtitles, download.subtitle_languages) == ("first", ("de", "en"))
    assert download.automatic_subtitles
    assert download.site_info
    assert download.site_options == {"geo_bypass": True}
    assert (download.connect_timeout_seconds, download.idle_timeout_seconds) == (15, 15)
    assert (made.write.samples_per_shard, made.write.shard_digits) == (250, 7)
    assert (made.run.workers, download.concurrency) == (3, 9)
    assert made.run.executor == "local"


@pytest.mark.parametrize("name", ["default", "downsample_ml", "optical_flow", "caption"])
def test_bundled_names_are_known_and_complete(name):
    config = load_config(name)
    assert config.storage.number_sample_per_shard == 1000
    assert config.reading.timeout == 60
    assert config.distribution.distributor == "multiprocessing"


def test_bundled_default_asks_sites_for_what_the_peer_asks():
    download = recipe("default").download
    assert (download.max_height, download.audio_rate) == (360, 44100)
    assert (download.subtitles, download.subtitle_languages) == ("all", ("en",))
    assert download.automatic_subtitles
    assert download.site_info
    assert download.connect_timeout_seconds == download.idle_timeout_seconds == 60
    assert download.concurrency == 32


def test_bundled_default_leaves_the_number_of_processes_to_the_machine():
    assert recipe("default").run.workers == "auto"


@pytest.mark.parametrize(
    ("name", "subsamplers"),
    [("optical_flow", ["OpticalFlow"]), ("caption", ["Caption"])],
)
def test_bundled_names_that_need_later_versions_are_refused_by_what_they_need(name, subsamplers):
    message = refusal(name)
    for subsampler in subsamplers:
        assert f"subsampling.{subsampler}Subsampler" in message
    assert "with FFProbeSubsampler" in message  # among what works


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_published_configurations_are_read_with_what_they_lack_filled_in(yaml_file, name):
    config = load_config(str(yaml_file(PUBLISHED[name])))
    assert config.storage.oom_shard_count == 5
    assert config.reading.yt_args.download_size == 360
    assert config.distribution.processes_count in (16, 32, 48, 96)


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("VideoCC", ["'slurm'"]),
        ("ACAV", ["'pyspark'"]),
        ("HD-VILA", ["'slurm'"]),
    ],
)
def test_published_configurations_are_refused_only_for_what_is_still_to_come(
    yaml_file, name, needs
):
    message = refusal(str(yaml_file(PUBLISHED[name])))
    for need in needs:
        assert need in message
    assert message.count("config ") == len(needs)


def test_published_webvid_configuration_runs(yaml_file):
    made = recipe(yaml_file(PUBLISHED["WebVid"]))
    assert (made.run.workers, made.download.concurrency) == (16, 16)
    assert (made.download.subtitles, made.download.site_info) == ("none", False)


def test_missing_sections_and_empty_ones_have_the_bundled_defaults(yaml_file):
    empty = "subsampling:\nreading:\nstorage:\ndistribution:\n"
    assert recipe({}) == recipe("default") == recipe(yaml_file(empty))


def test_a_mapping_overrides_only_what_it_names():
    made = recipe({"storage": {"number_sample_per_shard": 10}})
    assert made.write.samples_per_shard == 10
    assert made.write.shard_digits == 5
    assert made.download == recipe("default").download


@pytest.mark.parametrize(("asked", "meant"), [(16000, 16000), (0, 0), (-1, 0)])
def test_download_audio_rate_of_zero_or_less_is_the_best(asked, meant):
    assert site(download_audio_rate=asked).audio_rate == meant


@pytest.mark.parametrize("nothing", [{"yt_metadata_args": None}, {}])
def test_without_yt_metadata_args_sites_are_asked_for_media_alone(nothing):
    download = site(**nothing)
    assert download.subtitles == "none"
    assert not download.site_info


@pytest.mark.parametrize(
    ("asked", "meant"),
    [("all", "all"), (True, "all"), ("first", "first"), (False, "none"), (None, "none")],
)
def test_writesubtitles(asked, meant):
    assert metadata(writesubtitles=asked).subtitles == meant


def test_subtitleslangs_and_writeautomaticsub():
    download = metadata(writesubtitles=True, subtitleslangs=["fr"], writeautomaticsub=True)
    assert download.subtitle_languages == ("fr",)
    assert download.automatic_subtitles
    assert not metadata(writesubtitles=True).automatic_subtitles


def test_get_info():
    assert metadata(get_info=True).site_info
    assert not metadata(get_info=False, writesubtitles=True).site_info


def test_other_yt_dlp_options_reach_yt_dlp_except_those_the_peer_overrides():
    download = metadata(sleep_interval=3, quiet=False, skip_download=False, ignoreerrors=False)
    assert download.site_options == {"sleep_interval": 3}


def test_yt_dlp_options_that_count_for_every_source_have_names_of_their_own():
    download = metadata(
        cookiefile="cookies.txt", proxy="http://proxy:1", ratelimit=1000, nocheckcertificate=True
    )
    assert download.cookies_file == "cookies.txt"
    assert download.proxy_url() == "http://proxy:1"
    assert download.rate_limit_bytes_per_second == 1000
    assert download.ignore_tls_errors
    assert download.site_options == {}


def test_yt_dlp_options_that_run_commands_are_refused_before_anything_is_done():
    message = refusal(
        {"reading": {"yt_args": {"yt_metadata_args": {"exec_cmd": "rm -rf /"}}}},
    )
    assert message.startswith("config reading.yt_args.yt_metadata_args: 'exec_cmd'")


def test_timeout_of_null_is_the_tools_own():
    assert recipe({"reading": {"timeout": None}}).download.idle_timeout_seconds == 30


def test_a_long_timeout_is_not_cut_short_by_the_limit_on_the_whole():
    download = recipe({"reading": {"timeout": 1800}}).download
    assert download.idle_timeout_seconds == download.total_timeout_seconds == 1800


def test_ffprobe_subsampler_stores_keyframes_when_asked():
    for asked in (True, False):
        config = {"subsampling": {"FFProbeSubsampler": {"args": {"extract_keyframes": asked}}}}
        assert recipe(config).probe.keyframes is asked


def test_subsamplers_that_do_nothing_are_accepted():
    nothing = {"NoOpSubsampler": {"args": {}}, "FFProbeSubsampler": None, "ClippingSubsampler": {}}
    assert recipe({"subsampling": nothing}) == recipe("default")


def test_cuts_are_clips_without_a_detector_is_refused():
    config = {"subsampling": {"CutDetectionSubsampler": {"cuts_are_clips": True}}}
    assert "CutDetectionSubsampler" in refusal(config)


def test_a_sampler_of_shards_is_refused():
    assert "reading.sampler" in refusal({"reading": {"sampler": lambda shards: shards}})


@pytest.mark.parametrize("name", ["pyspark", "spark", "slurm"])
def test_distributors_of_clusters_are_refused_by_name(name):
    message = refusal({"distribution": {"distributor": name}})
    assert f"distribution.distributor '{name}'" in message
    assert "'multiprocessing'" in message


def test_subjob_size_and_distributor_args_have_no_meaning_on_one_machine():
    given = {"distribution": {"subjob_size": 7, "distributor_args": {"n_nodes": 3}}}
    assert recipe(given) == recipe("default")


def test_dataloader_args_have_no_meaning_for_downloads():
    assert recipe({"reading": {"dataloader_args": {"resize_size": 16}}}) == recipe("default")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"reeding": {}}, "'reading'"),
        ({"storage": {"number_samples_per_shard": 3}}, "'number_sample_per_shard'"),
        ({"reading": {"yt_args": {"download_sise": 3}}}, "'download_size'"),
        ({"distribution": {"distributor": "multiprocesing"}}, "'multiprocessing'"),
        ({"subsampling": {"FrameSampler": {}}}, "'FrameSubsampler'"),
        ({"subsampling": {"FFProbeSubsampler": {"arg": {}}}}, "'args'"),
        ({"subsampling": {"FFProbeSubsampler": {"args": {"keyframes": 1}}}}, "extract_keyframes"),
        ({"storage": {"number_sample_per_shard": 0}}, "greater than 0"),
        ({"storage": {"number_sample_per_shard": "many"}}, "valid integer"),
        ({"storage": 5}, "storage"),
        ("defult", "Did you mean 'default'"),
        ("no/such/file.yaml", "Check the path"),
    ],
)
def test_wrong_configurations_are_one_helpful_error(config, message):
    assert message in refusal(config)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a list", "subsampling, reading, storage, distribution"),
        ("storage: {number: ${other}}", "interpolation"),
        ("storage: [", "not YAML"),
    ],
)
def test_files_that_are_no_configuration_are_refused(yaml_file, text, message):
    with pytest.raises(RecipeError, match=message.replace("$", r"\$")):
        load_config(str(yaml_file(text)))


def test_bundled_configurations_are_what_the_peer_ships():
    resolution = BUNDLED["downsample_ml"]["subsampling"]["ResolutionSubsampler"]["args"]
    assert resolution == {"video_size": 224, "resize_mode": "scale,crop,pad"}
    assert load_config("caption").distribution.processes_count == 1
    assert load_config("optical_flow").reading.dataloader_args["decoder_kwargs"]["fps"] == 2
