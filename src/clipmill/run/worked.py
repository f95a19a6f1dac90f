"""What came of one source, from its fetch to the rows that want it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clipmill.core.outcome import Outcome
from clipmill.core.sample import Subtitle
from clipmill.run.carry import Carried
from clipmill.run.clips import Judged, MemberFile, SourceClips


@dataclass(slots=True)
class Worked:
    """What came of one source.

    Args:
        outcome: success, or why not.
        fetch: the ``fetch`` struct.
        probe: the ``probe`` struct.
        members: media files by extension.
        subtitles: lines in every language.
        info: the site's metadata.
        clips: what became of each row, by key, when the source is split or rendered.
        judged: what steps and conditions say of each sample or clip, by its key.
        kept: what came of it as the dataset that keeps sources sees it, when there is one.
        carried: what an earlier run finished, when a retry leaves it as it is.
        copied: media files of each carried row, by extension.
    """

    outcome: Outcome = field(default_factory=Outcome)
    fetch: dict[str, Any] | None = None
    probe: dict[str, Any] | None = None
    members: dict[str, MemberFile] = field(default_factory=dict)
    subtitles: list[Subtitle] = field(default_factory=list)
    info: Mapping[str, Any] | None = None
    clips: dict[str, SourceClips] = field(default_factory=dict)
    judged: dict[str, Judged] = field(default_factory=dict)
    kept: Worked | None = None
    carried: Carried | None = None
    copied: list[dict[str, MemberFile]] = field(default_factory=list)
