"""What can be loaded: datasets, virtual clips, selections, tars, far storage; and what fails."""

import pickle
import shutil

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import clipmill
from clipmill.core.errors import InputError, SampleError, UserError
from clipmill.demo.media import read_frame_number
from load_media import FIRST, download, make_videos, videos_in
from load_tars import wav, write_tar

COUNT = 7


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return make_videos(tmp_path_factory.mktemp("videos"), COUNT)


@pytest.fixture(scope="module")
def raw(videos, tmp_path_factory):
    """Seven videos in shards of three."""
    return download(videos, tmp_path_factory.mktemp("data") / "raw", samples_per_shard=3)


@pytest.fixture(scope="module")
def clips(raw, tmp_path_factory):
    """Two virtual clips of each video."""
    output = tmp_path_factory.mktemp("data") / "clips"
    clips = raw.split(output, detector="stride", stride_seconds=0.5, quiet=True)
    clips.annotate("picture", quiet=True)
    return clipmill.open(output)


@pytest.fixture
def copy(raw, tmp_path):
    """A copy of the dataset that may be damaged."""
    shutil.copytree(raw.folder.url, tmp_path / "copy")
    return tmp_path / "copy"


def test_each_sample_comes_once_with_its_caption(raw):
    batches = [*raw.loader(frames=2, batch_size=3, shuffle=True)]
    assert [len(batch["key"]) for batch in batches] == [3, 3, 1]
    assert sorted(videos_in(batches)) == list(range(COUNT))
    captions = [caption for batch in batches for caption in batch["caption"]]
    assert captions == [f"video number {video}" for video in videos_in(batches)]


def test_the_order_is_the_datasets_unless_it_is_shuffled(raw):
    assert videos_in(raw.loader(frames=1)) == list(range(COUNT))
    loader = raw.loader(frames=1, shuffle=True)
    epochs = [videos_in(loader) for _ in range(3)]
    assert all(sorted(epoch) == list(range(COUNT)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert [videos_in(raw.loader(frames=1, shuffle=True))] == epochs[:1]


@pytest.mark.parametrize("format", ["files", "parquet", "tfrecord"])
def test_every_layout_can_be_loaded(videos, tmp_path, format):
    data = download(videos, tmp_path / "out", format=format)
    assert videos_in(data.loader(frames=1)) == list(range(COUNT))


def test_virtual_clips_are_decoded_from_the_shards_of_their_sources(clips):
    batches = [*clips.loader(frames=2, batch_size=4, columns=("source_key", "clip_index"))]
    for batch in batches:
        for row, frames in enumerate(batch["frames"]):
            source = batch["source_key"][row]
            video = 3 * int(source[:5]) + int(source[5:])
            first = video * FIRST + 6 * int(batch["clip_index"][row])
            # the middles of two equal parts of a clip of six frames
            assert [read_frame_number(frame) for frame in frames] == [first + 1, first + 4]
    assert sum(len(batch["key"]) for batch in batches) == 2 * COUNT


def test_columns_of_steps_come_along(clips):
    (batch,) = clips.loader(frames=1, batch_size=99, columns=("picture.luminance.mean", "url"))
    expected = clips.table(["picture.luminance.mean"]).column(0).to_numpy()
    assert np.allclose(batch["picture.luminance.mean"], expected)
    assert len(batch["url"]) == 2 * COUNT


def test_what_was_recorded_of_each_row_comes_along(raw):
    columns = ("probe.duration_seconds", "uid")
    batches = [*raw.select("key >= '00001'").loader(frames=1, batch_size=99, columns=columns)]
    (batch,) = batches
    expected = raw.table(["key", *columns]).slice(3)
    assert batch["uid"] == expected["uid"].to_pylist()
    assert batch["probe.duration_seconds"].tolist() == expected[columns[0]].to_pylist()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("captoin", "Did you mean 'caption'"),
        ("picture", "Say which field of 'picture'"),
        ("picture.luminence.mean", "luminance"),
        ("motion.mean", "`clipmill annotate` with the step 'motion' makes it"),
    ],
)
def test_columns_that_are_not_there_are_told_at_once(clips, name, told):
    with pytest.raises(UserError, match=told):
        clips.loader(frames=1, columns=(name,))


def test_selections_give_their_samples_alone(clips, raw):
    selection = clips.select("clip_index = 1", name="seconds", overwrite=True)
    batches = [*selection.loader(frames=1, batch_size=3, shuffle=True)]
    keys = [key for batch in batches for key in batch["key"]]
    assert sorted(keys) == sorted(selection.keys())
    assert sorted(videos_in(batches)) == list(range(COUNT))
    unsaved = raw.select("key < '00002'")
    assert videos_in(unsaved.loader(frames=1)) == list(range(6))
    with pytest.raises(UserError, match="has no samples to load"):
        raw.select("false").loader(frames=1)


def test_bare_tars_and_globs_can_be_loaded(copy):
    for table in copy.glob("*.parquet"):
        table.unlink()
    loader = clipmill.load(f"{copy}/*.tar", frames=1, columns=("url",))
    assert videos_in(loader) == list(range(COUNT))
    loader = clipmill.load([str(copy / "00001.tar"), str(copy / "00002.tar")], frames=1)
    assert videos_in(loader) == [3, 4, 5, 6]


@pytest.fixture
def far(raw, monkeypatch):
    """The dataset on a storage, and every range of its tars that was asked for."""
    memory = fsspec.filesystem("memory")
    memory.put(raw.folder.url, "/load", recursive=True)
    asked = []
    read = type(memory).cat_file

    def spy(self, path, start=None, end=None, **options):
        if path.endswith(".tar"):
            asked.append((path, start, end))
        return read(self, path, start, end, **options)

    monkeypatch.setattr(type(memory), "cat_file", spy)
    yield asked
    memory.rm("/load", recursive=True)


def test_of_far_storage_the_selected_samples_alone_are_read_and_kept(raw, far):
    chosen = clipmill.open("memory://load").select("key in ('000000', '000011', '000020')")
    loader = chosen.loader(frames=1, clips_per_sample=2, shuffle=True)
    assert sorted(videos_in(loader)) == [0, 0, 4, 4, 6, 6]
    rows = raw.table(["key", "media"]).to_pylist()
    places = {row["key"]: row["media"]["mp4"] for row in rows}
    assert sorted(end - start for _, start, end in set(far)) == sorted(
        places[key]["size"] for key in ("000000", "000011", "000020")
    )


def test_of_far_storage_what_lies_together_is_read_at_once(far):
    loader = clipmill.load("memory://load", frames=1, batch_size=7)
    assert videos_in(loader) == list(range(COUNT))
    # one range of each of the first two tars; the last holds a single video
    assert len(far) == 3
    far.clear()
    assert videos_in(loader) == list(range(COUNT))
    assert far == []  # kept
    loader = clipmill.load("memory://load", frames=1, cache_bytes=1000)
    assert videos_in(loader) == list(range(COUNT))
    assert len(far) == COUNT


def test_samples_that_cannot_be_read_are_left_out_and_counted_or_raised(copy):
    place = pq.read_table(copy / "00001.parquet").column("media")[0].as_py()["mp4"]
    with (copy / "00001.tar").open("r+b") as tar:
        tar.seek(place["offset"])
        tar.write(bytes(place["size"]))
    loader = clipmill.load(copy, frames=1, batch_size=3)
    assert videos_in(loader) == [0, 1, 2, 4, 5, 6]
    assert loader.failures.total() == 1
    ((key, error_class, message),) = loader.last_failures
    assert (key, error_class) == ("000010", *loader.failures)
    assert message
    with pytest.raises(SampleError, match=r"Sample 000010: .*on_error='skip'"):
        [*clipmill.load(copy, frames=1, on_error="raise")]


def test_a_truncated_or_vanished_tar_costs_the_samples_that_lay_there(copy):
    with (copy / "00000.tar").open("r+b") as tar:
        tar.truncate(tar.seek(0, 2) // 2)
    loader = clipmill.load(copy, frames=1)
    (copy / "00001.tar").unlink()
    found = videos_in(loader)
    assert found[-1] == 6
    assert set(found).isdisjoint({2, 3, 4, 5})
    assert set(loader.failures) == {"truncated", "media_gone"}


def test_a_shard_that_vanishes_costs_its_samples(copy):
    loader = clipmill.load(copy, frames=1, batch_size=2)
    (copy / "00001.parquet").unlink()
    assert videos_in(loader) == [0, 1, 2, 6]
    assert loader.failures == {"shard_unreadable": 3}


@pytest.mark.parametrize("workers", [None, 2])
def test_a_shard_that_vanishes_in_mid_epoch_costs_what_is_left_of_it(copy, workers):
    loader = clipmill.load(copy, frames=1, batch_size=1)
    given = loader if workers is None else loader.torch(num_workers=workers, prefetch_factor=1)
    found = []
    for batch in given:
        found.append(batch["key"][0])
        (copy / "00002.tar").unlink(missing_ok=True)
        (copy / "00002.parquet").unlink(missing_ok=True)
    assert found == [f"0000{video // 3}{video % 3}" for video in range(6)]
    assert loader.failures.total() == 1


def test_of_a_dataset_being_written_what_is_finished_is_loaded(copy):
    stats = (copy / "00001_stats.json").rename(copy / "later.json")
    loader = clipmill.load(copy, frames=1, batch_size=2)
    steps = iter(loader)
    first = next(steps)
    stats.rename(copy / "00001_stats.json")
    assert videos_in([first, *steps]) == [0, 1, 2, 6]
    assert videos_in(loader) == [0, 1, 2, 6]  # the next epoch has the same samples
    later = clipmill.load(copy, frames=1, batch_size=2)
    assert videos_in(later) == list(range(COUNT))
    with pytest.raises(UserError, match="samples 4 then, 7 now"):
        later.load_state_dict(loader.state_dict())


def test_sound_of_more_and_of_fewer_channels_in_one_batch(tmp_path):
    samples = {str(channels): {"wav": wav(1, 8000, channels)} for channels in (1, 2, 6)}
    tar = write_tar(tmp_path / "0.tar", samples)
    (batch,) = clipmill.load(str(tar), video=False, audio=True)
    assert batch["audio"].shape == (3, 6, 8000)
    is_heard = np.abs(batch["audio"]).max(axis=2) > 0.4
    assert is_heard.sum(axis=1).tolist() == [2, 2, 6]  # one is left and right; the rest is silent
    assert is_heard[:, :2].all()


def test_images_are_no_frames(tmp_path):
    from PIL import Image

    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    image = (tmp_path / "a.png").read_bytes()
    tar = write_tar(tmp_path / "0.tar", {"0": {"png": image, "txt": b"a"}})
    with pytest.raises(SampleError, match="images give no frames"):
        [*clipmill.load(str(tar), frames=1)]
    (batch,) = clipmill.load(str(tar), video=False, columns=("url",))
    assert batch["caption"] == ["a"]


def test_sources_that_moved_are_found_where_they_are_said_to_be(clips, raw, tmp_path):
    shutil.copytree(raw.folder.url, tmp_path / "moved")
    shutil.copytree(clips.folder.url, tmp_path / "clips")
    elsewhere = clipmill.open(tmp_path / "clips")
    loader = elsewhere.loader(frames=1, parent=str(tmp_path / "moved"))
    assert len(videos_in(loader)) == 2 * COUNT
    with pytest.raises(InputError, match="parent"):
        elsewhere.loader(frames=1, parent=str(tmp_path / "nowhere"))


def test_clips_are_not_taken_from_a_file_that_took_the_place_of_theirs(tmp_path):
    videos = make_videos(tmp_path / "v", 2)
    folder = str(tmp_path / "clips")
    clips = clipmill.download(str(videos), folder, detector="stride", stride_seconds=0.5,
                              allow_local_paths=True, quiet=True)  # fmt: skip
    assert sorted(videos_in(clips.loader(frames=1))) == [0, 0, 1, 1]
    shutil.copy(videos / "01.mp4", videos / "00.mp4")
    loader = clips.loader(frames=1)
    assert videos_in(loader) == [1, 1]
    assert loader.failures == {"source_changed": 2}


def test_what_is_no_dataset_is_refused(videos, tmp_path):
    with pytest.raises(UserError, match="samples that could be loaded"):
        clipmill.load(videos, frames=1)
    with pytest.raises(UserError):
        clipmill.load(tmp_path / "nothing", frames=1)


def test_what_is_opened_has_a_loader_of_its_own(raw):
    for opened in (raw, raw.select("true")):
        with pytest.raises(UserError, match="its own method `loader`"):
            clipmill.load(opened, frames=1)


def test_an_epoch_that_would_be_empty_is_refused(raw):
    assert len(raw.loader(batch_size=7, drop_last=True)) == 1
    with pytest.raises(UserError, match="leaves no batch at all"):
        raw.loader(batch_size=8, drop_last=True)
    with pytest.raises(UserError, match="ranks: 4"):
        raw.loader(batch_size=2, drop_last=True, ranks=4)


def test_ranks_share_an_epoch_and_a_state_resumes_it(raw):
    settings = {"frames": 1, "batch_size": 2, "shuffle": True, "ranks": 3, "uneven": "keep"}
    shared = [batch for rank in range(3) for batch in raw.loader(rank=rank, **settings)]
    assert sorted(videos_in(shared)) == list(range(COUNT))
    loader = raw.loader(frames=1, batch_size=2, shuffle=True)
    steps = iter(loader)
    before = [next(steps), next(steps)]
    state = pickle.loads(pickle.dumps(loader.state_dict()))
    resumed = raw.loader(frames=1, batch_size=2, shuffle=True)
    resumed.load_state_dict(state)
    assert sorted(videos_in([*before, *resumed])) == list(range(COUNT))
    assert videos_in(resumed) == videos_in(_at_epoch(raw, 1))
    with pytest.raises(UserError, match="batch_size 2 then, 3 now"):
        raw.loader(frames=1, batch_size=3, shuffle=True).load_state_dict(state)
    with pytest.raises(UserError, match="no saved state of a loader"):
        loader.load_state_dict({"epoch": 3})


def test_states_are_of_one_dataset_and_one_selection(raw, clips, copy, videos, tmp_path):
    settings = {"frames": 1, "batch_size": 2}
    state = raw.loader(**settings).state_dict()
    clipmill.load(copy, **settings).load_state_dict(state)  # the same elsewhere
    other = download(videos, tmp_path / "other", samples_per_shard=3)
    chosen = [raw.select(f"key in ('000000', '{key}')") for key in ("000001", "000002")]
    for mine, theirs in ((raw, other), chosen):
        with pytest.raises(UserError, match=r"data \w+ then, \w+ now.*the same selection"):
            theirs.loader(**settings).load_state_dict(mine.loader(**settings).state_dict())
    again = raw.select("key < '000003' and key != '000002' and key < '00001'")
    again.loader(**settings).load_state_dict(chosen[0].loader(**settings).state_dict())
    state = clips.loader(**settings).state_dict()
    clips.annotate("picture", quiet=True, force=True)
    clipmill.open(clips.folder.url).loader(**settings).load_state_dict(state)


def test_ranks_that_cannot_share_evenly_are_told_so_before_the_first_batch(raw):
    settings = {"frames": 1, "batch_size": 2}
    for rank in range(3):
        loader = raw.loader(rank=rank, ranks=3, **settings)
        with pytest.raises(UserError, match="4 batches cannot be divided evenly among 3 ranks"):
            next(iter(loader))
    assert len([*raw.loader(rank=1, ranks=2, **settings)]) == 2
    for uneven, wanted in (
        ("repeat", [[0, 1, 6], [2, 3, 0, 1], [4, 5, 2, 3]]), ("drop", [[0, 1], [2, 3], [4, 5]]),
        ("keep", [[0, 1, 6], [2, 3], [4, 5]]),
    ):  # fmt: skip
        ranks = [raw.loader(rank=r, ranks=3, uneven=uneven, **settings) for r in range(3)]
        assert [videos_in(rank) for rank in ranks] == wanted
        assert [len(rank) for rank in ranks] == [-(-len(one) // 2) for one in wanted]
    with pytest.raises(UserError, match="drop_last leaves out"):
        raw.loader(drop_last=True, uneven="repeat")


def test_weights_of_a_selection_say_how_often_its_samples_are_drawn(raw):
    heavy = raw.select("true", weight="CASE WHEN key = '000000' THEN 3 ELSE 1 END")
    loader = heavy.loader(frames=2, position="random", batch_size=3, shuffle=True)
    batches = [*loader]
    found = videos_in(batches)
    assert len(found) == COUNT
    assert found.count(0) in (2, 3)  # 7 * 3 / 9
    frames = [one for batch in batches for one in batch["frames"]]
    first = [one.tobytes() for one, video in zip(frames, found, strict=True) if video == 0]
    assert len(set(first)) > 1  # each time with choices of its own
    state = heavy.loader(frames=2).state_dict()
    with pytest.raises(UserError, match="data"):
        raw.select("true").loader(frames=2).load_state_dict(state)
    rare = raw.select("true", weight="CASE WHEN key = '000000' THEN 0 ELSE 1 END")
    assert set(videos_in(rare.loader(frames=1))) == {1, 2, 3, 4, 5, 6}
    with pytest.raises(UserError, match="one greater than 0"):
        raw.select("true", weight="0").loader(frames=1)
    with pytest.raises(UserError, match="do not go together"):
        heavy.loader(buckets={"64x48": 2})


def _at_epoch(data, epoch):
    loader = data.loader(frames=1, batch_size=2, shuffle=True)
    loader.set_epoch(epoch)
    return loader


def test_a_look_at_the_first_batch_takes_nothing_from_the_epoch(raw):
    loader = raw.loader(frames=1, batch_size=2)
    next(iter(loader))
    assert videos_in(loader) == list(range(COUNT))


def test_pictures_of_several_sizes_are_a_list(tmp_path):
    make_videos(tmp_path / "v", 1)
    make_videos(tmp_path / "v" / "w", 1, width=160)
    data = download(tmp_path / "v", tmp_path / "out")
    (batch,) = data.loader(frames=2)
    assert [frames.shape for frames in batch["frames"]] == [(2, 96, 128, 3), (2, 96, 160, 3)]
    (batch,) = data.loader(frames=2, size=64)
    assert batch["frames"].shape == (2, 2, 64, 64, 3)


def test_mixtures_take_batches_of_each_in_proportion(raw, shapes):
    settings = {"frames": 1, "size": 32, "batch_size": 1, "shuffle": True, "columns": ("url",)}

    def loaders():
        return [data.loader(**settings) for data in (raw, shapes)]

    def is_raw(batch):
        return "shapes" not in batch["url"][0]

    once = [batch["url"][0] for batch in clipmill.mix(loaders())]
    assert len(once) == len(set(once)) == 2 * COUNT
    mixture = clipmill.mix(loaders(), [3, 1], batches=28, seed=1)
    of_raw = [is_raw(batch) for batch in mixture]
    assert sum(of_raw) == 21
    assert of_raw != sorted(of_raw)
    # 42 batches in two epochs: each of the seven comes six times, none a seventh.
    keys = [batch["key"][0] for _ in range(2) for batch in mixture if is_raw(batch)]
    assert {keys.count(key) for key in set(keys)} == {6}


def test_mixtures_are_resumed_and_shared_like_other_loaders(raw, shapes):
    def mixture(**ranks):
        parts = [data.loader(frames=1, size=32, batch_size=2, **ranks) for data in (raw, shapes)]
        return clipmill.mix(parts, [1, 2])

    whole = [batch["key"] for batch in mixture()]
    shared = [batch["key"] for rank in (0, 1) for batch in mixture(rank=rank, ranks=2)]
    assert sorted(whole) == sorted(shared)
    loader = mixture()
    steps = iter(loader)
    before = [next(steps)["key"] for _ in range(3)]
    resumed = mixture()
    resumed.load_state_dict(loader.state_dict())
    assert before + [batch["key"] for batch in resumed] == whole
    with pytest.raises(UserError, match="weight greater than 0"):
        clipmill.mix([raw.loader(frames=1)], [1, 2])
    with pytest.raises(UserError, match="cannot be part of another"):
        clipmill.mix([mixture()])


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """Four wide videos of one second and of two, two high ones and one that is square."""
    folder = tmp_path_factory.mktemp("shapes")
    for name, count, options in (
        ("a", 2, {}), ("b", 2, {"seconds": 2}), ("c", 2, {"width": 96, "height": 128}),
        ("d", 1, {"width": 96}),
    ):  # fmt: skip
        make_videos(folder / "v" / name, count, **options)
    return download(folder / "v", folder / "raw", samples_per_shard=3)


def test_buckets_give_batches_of_one_shape(shapes):
    buckets = {"64x48x12": 2, "64x48x20": 2, "48x64x12": 4}
    loader = shapes.loader(fps=12, buckets=buckets, shuffle=True)
    assert sorted(batch["frames"].shape for batch in loader) == [
        (1, 12, 48, 64, 3), (2, 12, 48, 64, 3), (2, 12, 64, 48, 3), (2, 20, 48, 64, 3),
    ]  # fmt: skip
    (number_of_samples,) = {sum(len(batch["key"]) for batch in loader) for _ in range(2)}
    assert number_of_samples == 7
    only_long = shapes.loader(fps=12, buckets={"64x48x20": 2})
    assert sum(len(batch["key"]) for batch in only_long) == 2


def test_wrong_buckets_are_told_at_once(shapes):
    for buckets, told in (
        ({"64": 2}, "WIDTHxHEIGHT"), ({"64x0": 2}, "WIDTHxHEIGHT"), ({}, "names no shape"),
        ({"64x48x999": 2}, "No sample fits"), ({"64x48": 0}, "greater than 0"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=told):
            shapes.loader(buckets=buckets)
    with pytest.raises(UserError, match="give no size"):
        shapes.loader(buckets={"64x48": 2}, size=32)


def test_vectors_and_numbers_become_arrays(tmp_path, videos):
    table = pa.table({
        "url": [str(videos / f"{video:02}.mp4") for video in range(3)],
        "embedding": [[float(video), 1.0] for video in range(3)],
        "likes": [1, None, 3],
        "tags": [["a"], [], ["b", "c"]],
    })  # fmt: skip
    pq.write_table(table, tmp_path / "t.parquet")
    data = download(tmp_path / "t.parquet", tmp_path / "out")
    (batch,) = data.loader(frames=1, columns=("embedding", "likes", "tags"))
    assert batch["embedding"].tolist() == [[0, 1], [1, 1], [2, 1]]
    assert batch["likes"][[0, 2]].tolist() == [1, 3]
    assert np.isnan(batch["likes"][1])
    assert batch["tags"] == [["a"], [], ["b", "c"]]
    (alone,) = data.loader(video=False, columns=("embedding",))
    assert set(alone) == {"key", "embedding"}
    assert np.array_equal(alone["embedding"], batch["embedding"])
