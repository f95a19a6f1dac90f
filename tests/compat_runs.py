"""What the tests of the video2dataset front end have in common."""

from __future__ import annotations

import json

import pandas as pd

from clipmill.compat import video2dataset

ONE_PROCESS = {"distribution": {"processes_count": 1}}
HERE = {"config": ONE_PROCESS, "allow_private_addresses": True}


def names(folder):
    """What is in a folder, without what clipmill keeps for itself."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "_run" not in path.parts and path.name != "dataset.json"
    )


def sharded(number_sample_per_shard, oom_shard_count=5):
    """Settings with shards of this size and names of so many digits."""
    storage = {
        "number_sample_per_shard": number_sample_per_shard,
        "oom_shard_count": oom_shard_count,
    }
    return {**HERE, "config": {**ONE_PROCESS, "storage": storage}}


def three_links(origin):
    """Two links that work and one that does not, with a caption and more columns."""
    return [
        {"url": origin.url("a.mp4"), "title": "first", "licence": "CC0", "year": 1999},
        {"url": origin.url("x.mp4", "missing"), "title": "gone", "licence": "", "year": 2000},
        {"url": origin.url("b.mp4"), "title": "third", "licence": "CC BY", "year": 2001},
    ]


def configured(subsamplers, storage=None, **sections):
    """A configuration with subsamplers by their names without the ending."""
    subsampling = {f"{name}Subsampler": entry for name, entry in subsamplers.items()}
    return {"subsampling": subsampling, "storage": storage or {}, **sections, **ONE_PROCESS}


def run(served, output, rows, subsamplers, **arguments):
    """Stage ``download`` over rows of a file each; the table of what came of them."""
    table = output.with_suffix(".json")
    table.write_text(json.dumps([{**row, "url": served.url(row["url"])} for row in rows]))
    given = {"input_format": "json", "config": configured(subsamplers)}
    video2dataset(table, output, **{**given, **arguments}, allow_private_addresses=True)
    return pd.read_parquet(output / "00000.parquet")


def again(shards, output, subsamplers, storage=None, **arguments):
    """Stage ``subset`` over what is there; the table of what came of it."""
    given = {"stage": "subset", "input_format": "webdataset"}
    config = configured(subsamplers, storage)
    video2dataset(shards, output, **{**given, "config": config, **arguments})
    return pd.read_parquet(output / "00000.parquet")
