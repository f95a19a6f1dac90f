"""Copies of finished samples' media, for a shard that is written anew."""

from __future__ import annotations

from pathlib import Path

from clipmill.core.errors import SampleError, ShardError
from clipmill.fetch.base import FetchRequest
from clipmill.fetch.router import Router
from clipmill.run.budget import Holding
from clipmill.run.carry import Carried, CarriedRow
from clipmill.run.clips import MemberFile
from clipmill.run.worked import Worked


class CarriedCopies:
    """Copies media from the shard they lie in to local files.

    Args:
        router: fetches them.
        holding: counts their bytes.
        files: gets every file that is made.
    """

    def __init__(self, router: Router, holding: Holding, files: set[Path]) -> None:
        self._router = router
        self._holding = holding
        self._files = files

    async def take(self, carried: Carried, kept: Carried | None, target: Path) -> Worked:
        """Copy what is finished of a source.

        Args:
            carried: of the dataset.
            kept: of the one that keeps sources, if there is one.
            target: what the names of the copies begin with.

        Raises:
            ShardError: something of it cannot be read.
        """
        worked = await self._copied(carried, target, "")
        if kept is not None:
            worked.kept = await self._copied(kept, target, ".kept")
        return worked

    async def _copied(self, carried: Carried, target: Path, name: str) -> Worked:
        worked = Worked(carried=carried)
        for number, one in enumerate(carried.rows):
            stem = target.with_name(f"{target.name}{name}.{number}")
            worked.copied.append(await self._copy_members(one, stem))
        return worked

    async def _copy_members(self, carried: CarriedRow, stem: Path) -> dict[str, MemberFile]:
        row = carried.row
        found: dict[str, MemberFile] = {}
        for ref in carried.media:
            member = stem.with_name(f"{stem.name}.{ref.extension}")
            self._files.add(member)
            request = FetchRequest(url=row["url"] or "", target=member, media=ref)
            try:
                fetched = await self._router.fetch(request, self._holding)
            except SampleError as error:
                raise ShardError(
                    f"Sample {row['key']} cannot be carried over: {error}. Run clipmill verify."
                ) from error
            found[ref.extension] = MemberFile(member, fetched.size, fetched.sha256)
        return found
