"""The main job: a table of URLs becomes a dataset, and every row is accounted for."""

import json
import tarfile

import pyarrow.parquet as pq
import pytest

import clipmill
from clipmill.core.errors import InputError, OutputError, RecipeError

HERE = {"allow_private_addresses": True, "quiet": True, "workers": 1}
FAST = {**HERE, "retries": 1, "idle_timeout_seconds": 2, "total_timeout_seconds": 5}


def test_a_csv_of_links_becomes_a_sharded_dataset(origin, write_csv, tmp_path):
    rows = [
        {"url": origin.url("a.mp4"), "caption": "first", "licence": "CC0"},
        {"url": origin.url("b.mp4"), "caption": "zweites, mit Komma", "licence": "CC BY"},
        {"url": origin.url("c.mp4"), "caption": "", "licence": ""},
    ]
    data = clipmill.download(
        write_csv(rows), tmp_path / "out", caption_col="caption", samples_per_shard=2, **HERE
    )
    table = data.table()
    assert table.column("key").to_pylist() == ["000000", "000001", "000010"]
    assert table.column("status").to_pylist() == ["success"] * 3
    assert table.column("licence").to_pylist()[:2] == ["CC0", "CC BY"]
    assert table.column("caption").to_pylist()[:2] == ["first", "zweites, mit Komma"]
    with tarfile.open(tmp_path / "out" / "00000.tar") as tar:
        assert tar.getnames() == [
            f"{key}.{part}" for key in ("000000", "000001") for part in ("mp4", "txt", "json")
        ]
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [
        "00000.parquet", "00000.tar", "00000_stats.json",
        "00001.parquet", "00001.tar", "00001_stats.json",
        "_run", "dataset.json",
    ]  # fmt: skip


def test_bytes_and_facts_in_the_table_are_those_of_the_file(origin, media, tmp_path):
    data = clipmill.download([origin.url("b.mp4")], tmp_path / "out", **HERE)
    sample = data.sample("00000000")
    assert sample["mp4"] == (media / "b.mp4").read_bytes()
    assert sample["fetch"]["http_status"] == 200
    assert sample["fetch"]["attempts"] == 1
    assert sample["fetch"]["size"] == sample["media"]["mp4"]["size"] == len(sample["mp4"])
    assert sample["probe"]["duration_seconds"] == pytest.approx(1.0, abs=0.05)
    assert (sample["probe"]["video"]["width"], sample["probe"]["video"]["height"]) == (128, 96)


def test_bad_rows_have_one_recorded_outcome_each_and_the_run_goes_on(origin, tmp_path):
    rows = {
        origin.url("a.mp4"): None,
        origin.url("a.mp4", "missing"): "http_status",
        origin.url("a.mp4", "html"): "not_media",
        origin.url("a.mp4", "empty"): "empty_body",
        origin.url("a.mp4", "truncated"): "truncated",
        origin.url("a.mp4", "wrong-length"): None,  # a prefix that was announced as the whole
        origin.url("a.mp4", "loop"): "redirect_loop",
        origin.url("a.mp4", "too-large"): "too_large",
        origin.url("a.mp4", "stalled"): "timeout",
        origin.url("a.mp4", "opt-out"): "opt_out",
        origin.url("b.mp4", "flaky", times=1): None,
        "": "invalid_url",
        "not a url": "invalid_url",
        "https://host/" + "x" * 40_000: None,
        "file:///etc/passwd": "local_path_refused",
        "/etc/passwd": "local_path_refused",
        "gopher://host/a": "unsupported_scheme",
    }
    data = clipmill.download(list(rows), tmp_path / "out", **FAST)
    table = data.table(["url", "status", "error_class", "error_message"]).to_pylist()
    assert len(table) == len(rows)
    for row, expected in zip(table, rows.values(), strict=True):
        if expected is not None:
            assert row["error_class"] == expected, row
            assert row["error_message"], row
    stats = data.stats["00000"]
    parts = ("successes", "failed_to_download", "failed_to_process", "dropped")
    assert sum(stats[part] for part in parts) == stats["count"] == len(rows)


def test_private_addresses_are_refused_unless_allowed(origin, tmp_path):
    url = origin.url("a.mp4")
    data = clipmill.download(
        [url, url.replace("127.0.0.1", "localhost")], tmp_path / "out", quiet=True, workers=1
    )
    assert data.table().column("error_class").to_pylist() == ["forbidden_address"] * 2
    assert origin.requests == []


def test_rows_with_the_same_url_fetch_it_once(origin, tmp_path):
    urls = [origin.url("a.mp4"), origin.url("b.mp4")] * 10
    data = clipmill.download(urls, tmp_path / "out", **HERE)
    assert data.table().column("status").to_pylist() == ["success"] * 20
    assert (origin.count("a.mp4"), origin.count("b.mp4")) == (1, 1)


def test_the_result_does_not_depend_on_the_number_of_workers(origin, tmp_path):
    urls = [origin.url(f"{name}.mp4", n=n) for n in range(10) for name in "abc"]
    tables, members = [], []
    for workers in (1, 3):
        folder = tmp_path / f"out{workers}"
        settings = {**HERE, "workers": workers, "samples_per_shard": 4}
        data = clipmill.download(urls, folder, **settings)
        tables.append(_without_timings(data.table()))
        members.append({p.name: p.read_bytes() for p in folder.glob("*.tar")})
    assert tables[0].equals(tables[1])
    assert [_names(one) for one in members[:1]] == [_names(one) for one in members[1:]]


def test_given_again_nothing_is_fetched_again(origin, tmp_path):
    urls = [origin.url("a.mp4"), origin.url("b.mp4")]
    clipmill.download(urls, tmp_path / "out", **HERE)
    before = len(origin.requests)
    data = clipmill.download(urls, tmp_path / "out", **HERE)
    assert len(origin.requests) == before
    assert len(data) == 2


def test_another_recipe_on_the_same_output_is_refused_and_says_what_differs(origin, tmp_path):
    clipmill.download([origin.url("a.mp4")], tmp_path / "out", **HERE)
    before = _snapshot(tmp_path / "out")
    with pytest.raises(OutputError, match=r"samples_per_shard was 1000 and is now 10"):
        clipmill.download([origin.url("a.mp4")], tmp_path / "out", samples_per_shard=10, **HERE)
    assert _snapshot(tmp_path / "out") == before


def test_another_input_on_the_same_output_is_refused(origin, write_csv, tmp_path):
    clipmill.download(write_csv([{"url": origin.url("a.mp4")}]), tmp_path / "out", **HERE)
    with pytest.raises(OutputError, match=r"videos\.csv changed.*extend"):
        clipmill.download(write_csv([{"url": origin.url("b.mp4")}]), tmp_path / "out", **HERE)


def test_extend_adds_only_rows_that_are_new(origin, write_csv, tmp_path):
    rows = [{"url": origin.url("a.mp4")}, {"url": origin.url("b.mp4")}]
    clipmill.download(write_csv(rows), tmp_path / "out", **HERE)
    rows = [{"url": origin.url("c.mp4")}, *rows]
    for _ in range(2):  # the second time there is nothing left to add
        data = clipmill.download(write_csv(rows), tmp_path / "out", mode="extend", **HERE)
        assert data.table().column("key").to_pylist() == ["00000000", "00000001", "00001000"]
    assert origin.count("a.mp4") == 1


def test_overwrite_starts_over(origin, tmp_path):
    clipmill.download([origin.url("a.mp4")], tmp_path / "out", **HERE)
    data = clipmill.download(
        [origin.url("b.mp4")], tmp_path / "out", mode="overwrite", format="files", **HERE
    )
    assert data.table().column("url").to_pylist() == [origin.url("b.mp4")]
    assert not (tmp_path / "out" / "00000.tar").exists()


def test_overwrite_leaves_a_folder_alone_that_is_no_dataset(origin, tmp_path):
    precious = tmp_path / "home" / "thesis.txt"
    precious.parent.mkdir()
    precious.write_text("ten years")
    for mode in ("auto", "overwrite"):
        with pytest.raises(OutputError, match="did not write"):
            clipmill.download([origin.url("a.mp4")], precious.parent, mode=mode, **HERE)
    assert precious.read_text() == "ten years"


def test_overwrite_replaces_a_dataset_whose_description_is_damaged(origin, tmp_path):
    urls = [origin.url("a.mp4")]
    clipmill.download(urls, tmp_path / "out", **HERE)
    (tmp_path / "out" / "dataset.json").write_text("{}")
    with pytest.raises(InputError, match=r"dataset\.json is damaged.*overwrite"):
        clipmill.download(urls, tmp_path / "out", **HERE)
    data = clipmill.download(urls, tmp_path / "out", mode="overwrite", **HERE)
    assert data.table().column("status").to_pylist() == ["success"]


def test_a_dataset_json_of_somebody_else_makes_no_dataset(origin, tmp_path):
    for name, content in (("dataset.json", '{"title": "census"}'), ("2024.csv", "ten years")):
        (tmp_path / name).write_text(content)
    for mode in ("auto", "overwrite"):
        with pytest.raises(OutputError, match="did not write"):
            clipmill.download([origin.url("a.mp4")], tmp_path, mode=mode, **HERE)
    assert (tmp_path / "2024.csv").read_text() == "ten years"


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        ([{"link": "x", "other": "y"}], {}, "url"),
        ([{"url": "x"}], {"caption_col": "captoin"}, "captoin"),
        ([{"url": "x", "caption": "y"}], {"caption_col": "captoin"}, "'caption'"),
        ([{"url": "x"}], {"format": "webdatset"}, "'webdataset'"),
        ([{"url": "x"}], {"no_such_option": 1}, "no_such_option"),
    ],
)
def test_wrong_settings_are_one_helpful_error_and_write_nothing(
    write_csv, tmp_path, rows, settings, message
):
    with pytest.raises((InputError, RecipeError), match=message):
        clipmill.download(write_csv(rows), tmp_path / "out", **HERE, **settings)
    assert not (tmp_path / "out").exists()


def test_only_metadata(origin, tmp_path):
    data = clipmill.download([origin.url("a.mp4")], tmp_path / "out", encode_formats="none", **HERE)
    row = data.table().to_pylist()[0]
    assert row["status"] == "success"
    assert row["fetch"]["http_status"] == 200  # looked at, but not downloaded
    assert "media" not in row


def test_video_and_sound_apart(origin, tmp_path):
    data = clipmill.download(
        [origin.url("a.mp4")], tmp_path / "out", encode_formats="video=mp4,audio=m4a", **HERE
    )
    sample = data.sample("00000000")
    assert sample["m4a"][4:8] == b"ftyp"
    assert sample["media"]["m4a"]["size"] == len(sample["m4a"]) < len(sample["mp4"])


def test_shards_by_bytes(origin, media, tmp_path):
    size = (media / "a.mp4").stat().st_size
    urls = [origin.url("a.mp4", n=n) for n in range(7)]
    data = clipmill.download(urls, tmp_path / "out", shard_bytes=3 * size + 9000, **HERE)
    assert data.shards == ["00000", "00000-1", "00000-2"]
    assert data.table().column("key").to_pylist() == [f"{n:08d}" for n in range(7)]
    for n in range(7):
        assert data.sample(f"{n:08d}")["mp4"] == (media / "a.mp4").read_bytes()


def test_the_same_rows_from_every_format_of_shards(origin, tmp_path):
    urls = [origin.url("a.mp4"), origin.url("x.mp4", "missing"), origin.url("c.mp4")]
    tables = {}
    for layout in ("webdataset", "files", "parquet", "tfrecord"):
        data = clipmill.download(urls, tmp_path / layout, format=layout, **FAST)
        tables[layout] = _without_timings(data.table()).drop_columns(["media"])
        assert data.sample("00000002")["mp4"][4:8] == b"ftyp"
    for layout, table in tables.items():
        assert table.equals(tables["webdataset"]), layout


def test_downloading_a_dataset_again_needs_no_network(origin, tmp_path):
    first = clipmill.download([origin.url("a.mp4"), origin.url("b.mp4")], tmp_path / "1", **HERE)
    before = len(origin.requests)
    second = clipmill.download(tmp_path / "1", tmp_path / "2", format="files", **HERE)
    assert len(origin.requests) == before
    for key in ("00000000", "00000001"):
        assert second.sample(key)["mp4"] == first.sample(key)["mp4"]
    assert second.table().column("url").equals(first.table().column("url"))


def _names(members):
    return sorted(members)


def _snapshot(folder):
    return {p: p.stat().st_mtime_ns for p in folder.glob("*") if p.is_file()}


def _without_timings(table):
    rows = table.to_pylist()
    for row in rows:
        if row["fetch"]:
            for name in ("seconds", "fetched_at", "attempts"):
                row["fetch"].pop(name)
    return type(table).from_pylist(rows)


def test_stats_and_manifest_say_what_users_of_video2dataset_expect(origin, tmp_path):
    clipmill.download([origin.url("a.mp4"), ""], tmp_path / "out", **FAST)
    stats = json.loads((tmp_path / "out" / "00000_stats.json").read_text())
    expected = {
        "count", "successes", "failed_to_download", "failed_to_subsample", "duration",
        "bytes_downloaded", "start_time", "end_time", "status_dict",
    }  # fmt: skip
    assert expected <= stats.keys()
    manifest = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert manifest["format_version"] == 1
    assert manifest["rows"] == 2
    assert pq.read_table(sorted((tmp_path / "out").glob("*.parquet"))).num_rows == 2


def test_stats_name_the_schema_of_the_shards_table(origin, tmp_path):
    """The same for all shards of one; queries need not look at every table then."""
    urls = [origin.url("a.mp4", n=n) for n in range(4)]
    data = clipmill.download(urls, tmp_path / "out", **{**FAST, "samples_per_shard": 2})
    assert len(data.shards) == 2
    assert len({data.schema_name(shard) for shard in data.shards} - {None}) == 1


def test_numbers_and_unique_texts_are_not_kept_in_dictionaries(origin, tmp_path):
    urls = [origin.url("a.mp4", n=n) for n in range(4)]
    data = clipmill.download(urls, tmp_path / "out", **FAST)
    group = pq.read_metadata(tmp_path / "out" / "00000.parquet").row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    encodings = {column.path_in_schema: column.encodings for column in columns}
    in_dictionaries = {path for path, used in encodings.items() if "RLE_DICTIONARY" in used}
    assert {"status", "probe.container"} <= in_dictionaries
    assert not {"key", "uid", "url", "media.mp4.size", "probe.width"} & in_dictionaries
    assert data.table().column("url").to_pylist() == urls
