"""How the members of a tar make samples, as WebDataset has it."""

from __future__ import annotations

from collections.abc import Iterator

from clipmill.core.errors import InputError
from clipmill.io.tar import TarMember, TarReader


def split_name(name: str) -> tuple[str, str] | None:
    """Key and extension of a member, split at the first dot; None when it is no sample's."""
    directory, slash, base = name.removeprefix("./").rpartition("/")
    stem, dot, extension = base.partition(".")
    return (directory + slash + stem, extension.lower()) if stem and dot else None


def tar_samples(tar: TarReader) -> Iterator[tuple[str, dict[str, TarMember]]]:
    """Samples of a tar: neighbouring members of one key, by extension.

    Raises:
        InputError: a sample has two members of one extension; or the tar is damaged.
    """
    key, members = "", dict[str, TarMember]()
    for member in tar:
        name = split_name(member.name)
        if name is None:
            continue
        if name[0] != key:
            if members:
                yield key, members
            key, members = name[0], {}
        if name[1] in members:
            raise InputError(
                f"{tar.name} has {member.name} twice: which of them belongs to sample {key} cannot "
                "be told. Rename one of them or take it out."
            )
        members[name[1]] = member
    if members:
        yield key, members
