"""What the tests of the video2dataset front end have in common."""

from __future__ import annotations

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
