"""Classifiers on the Hugging Face Hub: written there with a model card, and read from there."""

import logging
import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Self

from melanoma_tl._atomic import scratch
from melanoma_tl._checksums import hash_of
from melanoma_tl._parameters import FLAG, NONE, TEXT, VERBOSE, called_on_class, checked
from melanoma_tl.errors import ModelFileError
from melanoma_tl.saving.hub import ORIGIN, REPOSITORY, check_token, download, upload

if TYPE_CHECKING:
    from melanoma_tl.report import MetricsReport, MulticlassReport

logger = logging.getLogger(__name__)


class Shareable(ABC):
    """What can be saved and loaded, and so be shared."""

    _file_name: ClassVar[str]
    """What its file is called in a repository."""

    if TYPE_CHECKING:
        verbose: int

        @property
        def provenance_(self) -> dict[str, Any]:
            """What produced the classifier."""

        @abstractmethod
        def _check_fitted(self) -> None: ...

        @abstractmethod
        def save(self, path: str | os.PathLike[str]) -> None:
            """Write one file."""

        @classmethod
        @abstractmethod
        def load(cls, path: str | os.PathLike[str]) -> Self:
            """Read it."""

    @checked(
        repository=REPOSITORY,
        private=FLAG,
        license=TEXT | NONE,
        revision=TEXT | NONE,
        message=TEXT,
    )
    def push_to_hub(
        self,
        repository: str,
        *,
        report: "MetricsReport | MulticlassReport | None" = None,
        private: bool = True,
        license: str | None = None,
        token: str | None = None,
        revision: str | None = None,
        message: str = "Upload a model of melanoma_tl",
    ) -> str:
        """Upload the model and a model card to the Hugging Face Hub, in one commit.

        The file is the one that `save` writes, with the parameters as they were given, a path of weights too. The
        card, ``README.md``, says what the model is, how it is loaded and what the SHA-256 of the file is; with a report
        it holds the whole report, and in its metadata AUC, average precision, sensitivity and specificity, which the
        Hub shows.

        Parameters
        ----------
        repository : str
            "user/name", or "organisation/name". It is made if there is none.
        report : MetricsReport or MulticlassReport, optional
            Of this model on test images. Ids of images that could not be used stand in it.
        private : bool, default=True
            Whether a new repository can be read only by those to whom you give access. One that is there stays as it
            is; a public one is refused unless `private` is False.
        license : str, optional
            Licence of the model as the Hub writes it, such as "cc-by-nc-4.0". Those of the pre-trained weights and of
            the training images may limit the choice.
        token : str, optional
            Access token with the right to write; by default that of ``hf auth login``, or of the environment
            variable ``HF_TOKEN``. It is neither stored nor shown.
        revision : str, optional
            Branch, which is made if there is none; by default "main".
        message : str, default="Upload a model of melanoma_tl"
            Message of the commit.

        Returns
        -------
        str
            The pinned address, "hf://user/name@commit", from which `from_pretrained` reads this very model.

        Raises
        ------
        NotFittedError
            Before `fit` or `load`.
        ParameterError
            If the report is of another model, or of this one with other settings; or if the name of the repository
            or the token cannot be one.
        ModelFileError
            If the model cannot be saved.
        UploadError
            If the Hub cannot be reached or refuses, or the repository is public and `private` is True.
        MissingPackageError
            If huggingface_hub is not installed: ``pip install 'melanoma_tl[hub]'``.
        """
        from melanoma_tl.classifier.model_card import check_report, write_model_card  # with all of reports: a second

        self._check_fitted()
        check_token(token)
        check_report(self, report)
        with scratch() as folder:
            path = folder / self._file_name
            self.save(path)
            card = write_model_card(self, repository, path.name, hash_of(path), report, license)
            return upload(
                repository,
                {path.name: path, "README.md": card.encode()},
                private=private,
                token=token,
                revision=revision,
                message=message,
                verbose=self.verbose,
            )

    @called_on_class
    @classmethod
    @checked(verbose=VERBOSE)
    def from_pretrained(
        cls, address: str, *, token: str | None = None, sha256: str | None = None, verbose: int = 1
    ) -> Self:
        """Read a model that `push_to_hub` wrote, also from somebody you do not know: no code from the file is run.

        The file is kept in the cache of huggingface_hub, and verified before anything in it is read. What was loaded
        stands in `provenance_`, and so in every report. Without a connection, what was fetched before is taken.

        Parameters
        ----------
        address : str
            "hf://user/name@revision", where the revision is a commit, a tag or a branch. Only a commit always gives
            the same model. Without a revision it is the newest commit of "main"; the log says which.
        token : str, optional
            Access token, for private repositories; by default that of ``hf auth login``, or of the environment
            variable ``HF_TOKEN``. It is neither stored nor shown.
        sha256 : str, optional
            SHA-256 that the file must have, as the model card states it. That of the server is always verified.
        verbose : int, default=1
            0 shows no progress.

        Returns
        -------
        TransferClassifier or Ensemble
            As `load` returns it.

        Raises
        ------
        ParameterError
            If the address, the token or the hash cannot be one.
        DownloadError
            If there is no such repository, revision or file, it is not yours to read, the transfer breaks off, or the
            file is not the one that the server or `sha256` promises.
        ModelFileError
            If the file is not a model file of this library, from a newer version, or could be harmful.
        MissingPackageError
            If huggingface_hub is not installed: ``pip install 'melanoma_tl[hub]'``.
        """
        path, origin = download(address, cls._file_name, token=token, sha256=sha256, verbose=verbose)
        if origin.address != address:
            logger.info("%s is now %s, which always gives the same model", address, origin.address)
        try:
            loaded = cls.load(path)
        except ModelFileError as error:
            raise ModelFileError(f"{origin.address}: {error}") from error.__cause__
        for part in getattr(loaded, "members_", [loaded]):
            part.provenance_ = {**part.provenance_, ORIGIN: origin._asdict()}
        return loaded
