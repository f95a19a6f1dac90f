"""A finished dataset goes to the Hugging Face Hub, once it is known to be whole."""

from __future__ import annotations

from typing import Any

from clipmill.core.errors import OutputError, RecipeError, RunError, UserError
from clipmill.core.extras import require
from clipmill.core.words import counted
from clipmill.dataset.dataset import Dataset
from clipmill.dataset.verify import verify_dataset
from clipmill.io.folder import Folder
from clipmill.io.layout import RUN_FOLDER
from clipmill.run.recipe import Recipe

_LAYOUT = "huggingface"


class Push:
    """Where a dataset is to go; everything that may be wrong with it is found before any work.

    Args:
        repo_id: of the dataset on the Hub, such as ``me/clips``.
        recipe: what makes the dataset.

    Raises:
        UserError: the format is another one, the folder is not local, the name is none, or the Hub
            knows no token or does not take it.
        MissingExtra: the extra ``hf`` is not installed.
    """

    def __init__(self, repo_id: str, recipe: Recipe) -> None:
        self.repo_id = repo_id
        if recipe.write.format != _LAYOUT:
            raise RecipeError(
                f"Only the format {_LAYOUT} can be pushed to the Hub: give --format {_LAYOUT}."
            )
        if not Folder(recipe.write.to).is_local:
            raise RecipeError("Only a folder of this machine can be pushed: export to one first.")
        hub: Any = require("huggingface_hub", extra="hf", used_by="pushing to the Hub")
        utils: Any = require("huggingface_hub.utils", extra="hf", used_by="pushing to the Hub")
        try:
            utils.validate_repo_id(repo_id)
        except ValueError as error:
            raise RecipeError(f"{repo_id!r} is no name on the Hub, such as me/clips.") from error
        if hub.get_token() is None:
            raise UserError(
                "There is no token to push with. Set HF_TOKEN to one that may write (made at "
                "https://huggingface.co/settings/tokens), or give `hf auth login` once."
            )
        self._api = hub.HfApi(library_name="clipmill")
        # Its own error derives from whatever HTTP library it is built on, whose come bare too.
        self._failures: tuple[type[Exception], ...] = utils.HfHubHTTPError.__bases__
        try:
            self._api.whoami()
        except self._failures as error:
            raise UserError(f"The Hub did not take the token: {_first_line(error)}") from error

    def carry_out(self, folder: str) -> str:
        """Verify a dataset and push it; the address it then has.

        A repository that is not there yet is made, and nobody else sees it: publishing it is for
        its owner, on the Hub.

        Args:
            folder: of the finished dataset.

        Raises:
            OutputError: the dataset is not what its tables say.
            RunError: the Hub did not take it; giving the same again goes on.
        """
        found = verify_dataset(Dataset(folder))
        if found.problems:
            raise OutputError(
                f"Nothing was pushed: {folder} has {counted(len(found.problems), 'problem')}, "
                f"such as {found.problems[0]}. `clipmill verify` tells all of them."
            )
        try:
            made = self._api.create_repo(
                self.repo_id, repo_type="dataset", private=True, exist_ok=True
            )
            self._api.upload_folder(
                repo_id=self.repo_id,
                repo_type="dataset",
                folder_path=folder,
                ignore_patterns=[f"{RUN_FOLDER}/*"],
                commit_message="Upload with clipmill",
            )
        except self._failures as error:
            raise RunError(
                f"{folder} is finished, but the Hub did not take it: {_first_line(error)} Give "
                "the same again to push what is missing."
            ) from error
        return str(made)


def _first_line(error: Exception) -> str:
    return f"{str(error).partition(chr(10))[0].rstrip('. ')}."
