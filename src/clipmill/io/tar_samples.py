"""How the members of a tar make samples, as WebDataset has it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from clipmill.core.errors import DamagedInput, InputError
from clipmill.io.tar import TarMember, TarReader

TarSample = tuple[str, dict[str, TarMember]]
"""Key of a sample, and its members by extension."""


def split_name(name: str) -> tuple[str, str] | None:
    """Key and extension of a member, split at the first dot; None when it is no sample's."""
    directory, slash, base = name.removeprefix("./").rpartition("/")
    stem, dot, extension = base.partition(".")
    return (directory + slash + stem, extension.lower()) if stem and dot else None


def tar_samples(tar: TarReader) -> Iterator[TarSample]:
    """Samples of a tar: neighbouring members of one key, by extension.

    Raises:
        InputError: a sample has two members of one extension.
        DamagedInput: the tar is damaged.
    """
    return _grouped(tar.name, tar)


def whole_samples(tar: TarReader) -> Iterator[TarSample | DamagedInput]:
    """Samples of a tar, and in place of those that damage has cost, what is wrong there.

    Before and after a damaged place, a sample counts as whole that has all members that the first
    of the tar has.

    Raises:
        InputError: a sample has two members of one extension.
    """
    walk: Iterable[TarMember] = tar
    kinds: set[str] = set()
    is_after_damage = False
    while True:
        damage: list[DamagedInput] = []
        samples = list(_grouped(tar.name, _until_damage(walk, damage)))
        for number, (key, members) in enumerate(samples):
            is_last = number == len(samples) - 1
            is_beside_damage = (is_after_damage and number == 0) or (damage and is_last)
            if is_beside_damage and not (kinds and kinds <= members.keys()):
                continue
            kinds = kinds or set(members)
            yield key, members
        if not damage:
            return
        yield damage[0]
        walk, is_after_damage = tar.after_damage(), True


def _until_damage(members: Iterable[TarMember], damage: list[DamagedInput]) -> Iterator[TarMember]:
    try:
        yield from members
    except DamagedInput as error:
        damage.append(error)


def _grouped(tar_name: str, walk: Iterable[TarMember]) -> Iterator[TarSample]:
    key, members = "", dict[str, TarMember]()
    for member in walk:
        name = split_name(member.name)
        if name is None:
            continue
        if name[0] != key:
            if members:
                yield key, members
            key, members = name[0], {}
        if name[1] in members:
            raise InputError(
                f"{tar_name} has {member.name} twice: which of them belongs to sample {key} cannot "
                "be told. Rename one of them or take it out."
            )
        members[name[1]] = member
    if members:
        yield key, members
