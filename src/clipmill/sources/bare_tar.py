"""A WebDataset tar without a table: its small members are the columns."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import pyarrow as pa

from clipmill.core.errors import DamagedInput, InputError
from clipmill.core.redact import redact_url
from clipmill.io.tar import TarMember, TarReader
from clipmill.io.tar_samples import TarSample, whole_samples
from clipmill.sources.base import InputFile
from clipmill.sources.row_media import RowMedia
from clipmill.sources.shard_media import tar_media
from clipmill.sources.streams import look_at, reading
from clipmill.sources.table_json import merge_types, plain_types, table_of_rows

_TYPED_ROWS = 1000
_MAX_MEMBER_BYTES = 64 << 20

# What is lost stands for one row, however many there were.
Samples = list[TarSample | DamagedInput]


class BareTar:
    """Rows of one tar; planning reads headers and JSON members, never media.

    Args:
        url: path or fsspec URL of the tar.
        members: members to tell the places of beside media, by their whole extension.

    Raises:
        InputError: it is compressed, no tar, or damaged so that nothing in it can be read.
    """

    def __init__(self, url: str, members: Collection[str] = ()) -> None:
        self._url = url
        self._members = members
        self._samples: Samples | None = None
        self.file = InputFile(url, 0, 0, "")
        self.has_text = False
        self.schema = pa.schema([])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_samples": None}

    def plan(self) -> None:
        """Count samples and settle the types that their members need."""
        facts = look_at(self._url)
        samples = self._walked()
        self.file = InputFile(self._url, len(samples), facts.size, facts.version)
        self.has_text = any("txt" in members for _, members in _whole(samples))
        types: dict[str, pa.DataType] = {}
        with reading(self._url), TarReader(self._url) as tar:
            for start in range(0, len(samples), _TYPED_ROWS):
                some = _whole(samples[start : start + _TYPED_ROWS])
                rows = [self._row(tar, *one) for one in some]
                merge_types(types, table_of_rows(rows).schema)
        self.schema = plain_types(types)
        self.forget()

    def forget(self) -> None:
        """Let go of the samples' places; they are walked again when needed."""
        self._samples = None

    def with_media(self) -> list[int]:
        """Numbers of the samples that have media or members asked for, and of what is lost.

        Failures of video2dataset have only texts.
        """
        return [
            number
            for number, one in enumerate(self._walked())
            if isinstance(one, DamagedInput) or self._is_there(one)
        ]

    def _is_there(self, sample: TarSample) -> bool:
        found = self._media(sample)
        return bool(found.refs or found.members)

    def _media(self, sample: TarSample) -> RowMedia:
        return tar_media(self._url, sample[1], self._members)

    def _walked(self) -> Samples:
        if self._samples is None:
            with reading(self._url), TarReader(self._url) as tar:
                samples = list(whole_samples(tar))
            if samples and not _whole(samples):
                raise next(one for one in samples if isinstance(one, DamagedInput))
            self._samples = samples
        return self._samples

    def _some(self, start: int, count: int) -> list[TarSample]:
        samples = self._walked()[start : start + count]
        for one in samples:
            if isinstance(one, DamagedInput):
                raise one
        return _whole(samples)

    def read(self, start: int, count: int, schema: pa.Schema) -> tuple[pa.Table, list[RowMedia]]:
        """Columns of some samples with the types settled over all shards, and where media lie.

        Raises:
            DamagedInput: one of them is lost.
        """
        samples = self._some(start, count)
        with reading(self._url), TarReader(self._url) as tar:
            rows = [self._row(tar, *sample) for sample in samples]
        return table_of_rows(rows, schema), [self._media(sample) for sample in samples]

    def texts(self, start: int, count: int) -> list[str | None]:
        """Captions of some samples."""
        samples = self._some(start, count)
        with reading(self._url), TarReader(self._url) as tar:
            return [self._text(tar, members.get("txt")) for _, members in samples]

    def _row(self, tar: TarReader, key: str, members: dict[str, TarMember]) -> dict[str, Any]:
        row: dict[str, Any] = {"key": key}
        described = self._text(tar, members.get("json"))
        if described is not None:
            try:
                value = json.loads(described)
            except (ValueError, RecursionError) as error:
                raise InputError(
                    f"{redact_url(self._url)}: {key}.json is not JSON: {error}"
                ) from error
            row |= value if isinstance(value, dict) else {"json": value}
        label = self._text(tar, members.get("cls"))
        if label is not None:
            row["cls"] = int(label) if label.strip().lstrip("-").isdecimal() else label
        return row

    def _text(self, tar: TarReader, member: TarMember | None) -> str | None:
        if member is None:
            return None
        if member.size > _MAX_MEMBER_BYTES:
            raise InputError(
                f"{redact_url(self._url)}: {member.name} has {member.size} bytes, "
                "too many for text."
            )
        return tar.read(member).decode("utf-8", errors="replace")


def _whole(samples: Samples) -> list[TarSample]:
    return [one for one in samples if not isinstance(one, DamagedInput)]
