"""Flat settings, as Python keywords and command-line options give them, put in their sections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clipmill.core.config import Config
from clipmill.core.edit import Edit
from clipmill.core.errors import RecipeError
from clipmill.core.registry import nearest
from clipmill.fetch.options import FetchOptions
from clipmill.formats.trainers.fit import FitOptions
from clipmill.run.run_spec import ProbeOptions, RunSpec
from clipmill.run.source_spec import SourceSpec
from clipmill.run.write_spec import WriteSpec
from clipmill.steps.split.options import SplitOptions

SECTIONS: dict[str, type[Config]] = {
    "source": SourceSpec,
    "download": FetchOptions,
    "probe": ProbeOptions,
    "split": SplitOptions,
    "fit": FitOptions,
    "render": Edit,
    "write": WriteSpec,
    "run": RunSpec,
}


def gather(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Put each setting into the section of the recipe it belongs to.

    Raises:
        RecipeError: a name no section has, with the nearest one that exists.
    """
    sections: dict[str, dict[str, Any]] = {}
    for name, value in settings.items():
        owner = next(
            (section for section, model in SECTIONS.items() if name in model.model_fields), None
        )
        if owner is None:
            choices = [field for model in SECTIONS.values() for field in model.model_fields]
            raise RecipeError(f"Unknown option {name!r}. {nearest(name, choices)}")
        sections.setdefault(owner, {})[name] = value
    return sections
