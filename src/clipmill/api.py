"""The face: what ``import clipmill`` offers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from clipmill.core.config import parse_config
from clipmill.core.errors import RunError, UserError
from clipmill.core.words import as_keywords, counted
from clipmill.dataset import dataset, selection
from clipmill.run.existing import Mode
from clipmill.run.recipe import Recipe
from clipmill.run.runner import run_recipe
from clipmill.run.settings import SECTIONS, gather
from clipmill.run.work import RunReport

if TYPE_CHECKING:
    from clipmill.dataset.load.loader import Loader
    from clipmill.run.push import Push


class Dataset(dataset.Dataset):
    """A folder of finished shards, and what can be made of it.

    Args:
        folder: local path or fsspec URL of the dataset, ours, video2dataset's or img2dataset's.

    Raises:
        InputError: there is no dataset there, or it may not be read.
    """

    def split(
        self,
        output: str | os.PathLike[str],
        *,
        mode: Mode = "auto",
        quiet: bool = False,
        **settings: Any,
    ) -> Dataset:
        """Find the clips of every sample: a dataset of spans, with nothing encoded.

        Args:
            output: folder for the clips; local path or fsspec URL.
            mode: ``auto`` starts or goes on, ``resume``, ``overwrite`` or ``extend``.
            quiet: show no progress.
            **settings: any setting of a recipe's ``split``, ``source``, ``write`` and ``run``, such
                as ``detector="adaptive", min_seconds=2``.

        Raises:
            UserError: nothing was written.
            RunError: the run stopped, or shards could not be finished.
        """
        settings.setdefault("detector", "content")
        return _made(self.folder.url, output, settings, mode=mode, quiet=quiet)

    def export(
        self,
        output: str | os.PathLike[str],
        *,
        push: str | None = None,
        mode: Mode = "auto",
        quiet: bool = False,
        **settings: Any,
    ) -> Dataset:
        """Make files of samples or virtual clips, each encoded once and checked.

        Args:
            output: folder of the dataset; local path or fsspec URL.
            push: repository of the Hugging Face Hub, such as ``me/clips``, that the finished
                dataset is verified for and pushed to; for ``format="huggingface"``, with the token
                of ``HF_TOKEN`` or ``hf auth login``. Default: none.
            mode: ``auto`` starts or goes on, ``resume``, ``overwrite`` or ``extend``.
            quiet: show no progress.
            **settings: any setting of a recipe's ``render``, ``fit``, ``source``, ``write`` and
                ``run``, such as ``short_side=360, fps=24, selection="keepers", format="files"``
                or ``trainer="wan"``.

        Raises:
            UserError: nothing was written.
            RunError: the run stopped, or shards could not be finished.
        """
        settings.setdefault("precision", "exact")
        return _made(self.folder.url, output, settings, mode=mode, quiet=quiet, push=push)

    def select(
        self, query: str, *, name: str | None = None, overwrite: bool = False, **options: Any
    ) -> Selection:
        """Select samples by a condition, without copying them.

        Args:
            query: a condition on successful rows, such as ``motion.mean > 0.3``; or a whole query
                that gives ``key``: ``select key from data where ...``.
            name: to save it under. Default: it is not saved.
            overwrite: replace a selection of that name that says something else.
            **options: ``order``, ``limit``, ``per_source``, ``sample``, ``seed`` and ``weight``;
                see ``clipmill.dataset.choose.Options``.

        Raises:
            UserError: the query or an option is wrong, or there is another one of that name.
        """
        found = super().select(query, name=name, overwrite=overwrite, **options)
        rows = found.rows if name is None else None  # those of a saved one are read when needed
        return Selection(self, found.facts, rows, name)

    def selection(self, name: str) -> Selection:
        """A saved selection.

        Raises:
            InputError: there is none of that name, or it is damaged.
        """
        return Selection(self, super().selection(name).facts, name=name)

    def annotate(
        self,
        *steps: Any,
        retry: str | Sequence[str] = (),
        force: bool = False,
        parent: str | None = None,
        modules: str | Sequence[str] = (),
        quiet: bool = False,
        **settings: Any,
    ) -> Dataset:
        """Let steps say something of every sample, in columns beside the dataset.

        Args:
            *steps: names of steps, mappings of a name to its settings, or functions decorated with
                ``clipmill.step`` and classes of ``clipmill.Annotate``, which must lie in a file.
            retry: error classes, or one, whose cells are made again; ``failed`` means all that
                failed.
            force: make all cells again.
            parent: where the sources of virtual clips lie now. Default: where they lay.
            modules: files that define steps, or one.
            quiet: show no progress.
            **settings: any setting of a recipe's ``run``, such as ``workers=4``.

        Returns:
            This dataset, opened anew.

        Raises:
            UserError: nothing was written.
            RunError: the run stopped, or shards could not be finished.
        """
        from clipmill.run.annotate import annotate_dataset
        from clipmill.run.columns_job import Redo
        from clipmill.steps.load import file_of_step, step_orders

        chosen: list[str | Mapping[str, Any]] = []
        files = [modules] if isinstance(modules, str) else list(modules)
        again = [retry] if isinstance(retry, str) else retry
        for step in steps:
            name, path = (step, None) if isinstance(step, str | Mapping) else file_of_step(step)
            chosen.append(name)
            files += [path] if path else []
        sections = {"source": {"parent": parent}, "run": settings}
        report = annotate_dataset(
            self.folder.url,
            step_orders(chosen, files),
            redo=Redo(force, frozenset(again)),
            recipe=parse_config(Recipe, sections, "", style="keyword"),
            quiet=quiet,
        )
        if report.interrupted:
            raise KeyboardInterrupt
        for shard, reason in report.shards_failed.items():
            raise RunError(f"Shard {shard} could not be finished: {reason}. Run the same again.")
        return Dataset(self.folder.url)

    def loader(self, *, parent: str | None = None, **settings: Any) -> Loader:
        """Batches for training, of all samples that are there; see ``clipmill.load``.

        Args:
            parent: where the sources of virtual clips lie now. Default: where they lay.
            **settings: any of ``clipmill.dataset.load.options.LoadOptions``, and ``rank`` and
                ``ranks``.

        Raises:
            UserError: a setting or a column is wrong, or there are no samples.
        """
        return load(self.folder.url, parent=parent, **settings)


class Selection(selection.Selection):
    """Chosen samples of a dataset, to look at, load or export."""

    def loader(self, *, parent: str | None = None, **settings: Any) -> Loader:
        """Batches for training, of the selected samples alone; see ``clipmill.load``.

        Args:
            parent: where the sources of virtual clips lie now. Default: where they lay.
            **settings: any of ``clipmill.dataset.load.options.LoadOptions``, and ``rank`` and
                ``ranks``.

        Raises:
            UserError: a setting or a column is wrong, or nothing is selected.
        """
        return _loader(self.dataset.folder.url, self, parent, settings)

    def export(self, output: str | os.PathLike[str], **settings: Any) -> Dataset:
        """Make files of the selected samples, as ``Dataset.export`` does.

        Args:
            output: folder of the dataset; local path or fsspec URL.
            **settings: those of ``Dataset.export``.

        Raises:
            UserError: nothing was written; or the selection was not saved under a name.
            RunError: the run stopped, or shards could not be finished.
        """
        if self.name is None:
            raise UserError("Only a saved selection can be exported: select it with name=...")
        return Dataset(self.dataset.folder.url).export(output, selection=self.name, **settings)


def download(
    source: Any,
    output: str | os.PathLike[str],
    *,
    mode: Mode = "auto",
    quiet: bool = False,
    **settings: Any,
) -> Dataset:
    """Turn a list of URLs, a folder of media or existing shards into a dataset.

    Args:
        source: path or URL of a table, folder or shards; or rows: a list or generator of URLs or
            of mappings, a DataFrame, a ``datasets.Dataset``, an Arrow table.
        output: folder of the dataset; local path or fsspec URL.
        mode: ``auto`` starts or goes on, ``resume``, ``overwrite`` or ``extend``.
        quiet: show no progress.
        **settings: any setting of a recipe's ``source``, ``download``, ``probe``, ``write`` and
            ``run`` by its own name, such as ``caption_col="caption"`` or ``max_bytes="500MB"``.

    Returns:
        The finished dataset, opened.

    Raises:
        UserError: nothing was written.
        RunError: the run stopped, or shards could not be finished.
    """
    return _made(source, output, settings, mode=mode, quiet=quiet)


def _made(
    source: Any,
    output: str | os.PathLike[str],
    settings: dict[str, Any],
    *,
    mode: Mode,
    quiet: bool,
    push: str | None = None,
) -> Dataset:
    """Carry out the recipe that settings make up, open what came of it, and push it if asked to."""
    is_location = isinstance(source, str | os.PathLike)
    sections = gather(settings)
    sections.setdefault("write", {})["to"] = os.fspath(output)
    if is_location:
        sections.setdefault("source", {})["path"] = os.fspath(source)
    recipe = parse_config(Recipe, sections, "", style="keyword")
    with _in_keywords():
        going = None if push is None else _push(push, recipe)
        report = run_recipe(recipe, rows=None if is_location else source, mode=mode, quiet=quiet)
        made = opened(report)
        if going is not None:
            going.carry_out(made.folder.url)
    return made


def _push(repo_id: str, recipe: Recipe) -> Push:
    from clipmill.run.push import Push  # what verifies a dataset is much to load

    return Push(repo_id, recipe)


def open(folder: str | os.PathLike[str]) -> Dataset:
    """Open a dataset of ours, video2dataset's or img2dataset's."""
    return Dataset(folder)


def load(
    source: str | os.PathLike[str] | Sequence[str], *, parent: str | None = None, **settings: Any
) -> Loader:
    """Batches for training: frames, sound, captions and columns of samples, as arrays.

    Args:
        source: folder of a dataset, ours or a peer's, or tars by path, glob, braces or URL.
        parent: where the sources of virtual clips lie now. Default: where they lay.
        **settings: any of ``clipmill.dataset.load.options.LoadOptions``, such as
            ``frames=16, size=224, batch_size=8, shuffle=True``; and ``rank`` and ``ranks``, this
            process's number among those that share an epoch, and how many they are.

    Raises:
        UserError: a setting or a column is wrong, or there are no samples.
    """
    given = os.fspath(source) if isinstance(source, os.PathLike) else source
    if isinstance(given, dataset.Dataset | selection.Selection):
        raise UserError("This is opened already: load it with its own method `loader`.")
    return _loader(given, None, parent, settings)


def _loader(
    source: str | Sequence[str],
    chosen: selection.Selection | None,
    parent: str | None,
    settings: dict[str, Any],
) -> Loader:
    from clipmill.dataset.load.loader import Loader
    from clipmill.dataset.load.options import LoadOptions
    from clipmill.dataset.load.rows import Rows
    from clipmill.dataset.load.samples import Samples

    rank, ranks = settings.pop("rank", None), settings.pop("ranks", None)
    options = parse_config(LoadOptions, settings, "", style="keyword")
    rows = Rows(source, options.columns, chosen, parent, options.arrays)
    return Loader(Samples(rows, options), rank, ranks)


def mix(
    loaders: Sequence[Loader],
    weights: Sequence[float] | None = None,
    *,
    batches: int | None = None,
    seed: int = 0,
) -> Loader:
    """Several loaders as one, each batch of one of them.

    Args:
        loaders: as ``load`` and ``Dataset.loader`` give them; those of mixtures cannot be mixed.
        weights: how often batches of each come, relative to the others. Default: each batch once
            per epoch.
        batches: of an epoch. Default: as many as all have together.
        seed: of the order in which they take turns.

    Raises:
        UserError: there are no loaders, or not a positive weight for each.
    """
    from clipmill.dataset.load.loader import Loader
    from clipmill.dataset.load.mixture import Mixture
    from clipmill.dataset.load.samples import Samples

    parts = [part for loader in loaders if isinstance(part := loader.samples, Samples)]
    if len(parts) < len(loaders):
        raise UserError("A mixture cannot be part of another one: mix all loaders at once.")
    mixture = Mixture(parts, weights, batches, seed)
    here = (loaders[0].rank, loaders[0].ranks) if loaders else (None, None)
    return Loader(mixture, *here)


@contextmanager
def _in_keywords() -> Iterator[None]:
    """Let errors name keywords where they name options of the command line."""
    try:
        yield
    except UserError as error:
        places = [
            (section, name) for section, part in SECTIONS.items() for name in part.model_fields
        ]
        error.message = as_keywords(error.message, places)
        error.args = (error.message,)
        raise


def opened(report: RunReport) -> Dataset:
    """The dataset a run was to make, or the error that kept it from being whole.

    Raises:
        RunError: shards could not be finished.
        KeyboardInterrupt: the run was asked to stop.
    """
    if report.interrupted:
        raise KeyboardInterrupt
    if report.shards_failed:
        shard, reason = next(iter(report.shards_failed.items()))
        raise RunError(
            f"{counted(len(report.shards_failed), 'shard')} could not be finished; shard {shard}: "
            f"{reason}. Run the same again to go on."
        )
    if report.shards_done < report.shards:
        raise RunError(
            f"{report.shards_done:,} of {counted(report.shards, 'shard')} done in {report.output}: "
            "the others are of earlier inputs or retries. `clipmill retry` finishes them."
        )
    return Dataset(report.output)
