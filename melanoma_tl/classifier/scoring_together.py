"""`ScorerOfMembers`: the scores of several classifiers, whose common frozen part computes each image once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from melanoma_tl._keras.isolation import own_settings
from melanoma_tl.classifier.transfer import TransferClassifier
from melanoma_tl.network.inference import NetworkScorer
from melanoma_tl.network.joining import frozen_digest, join_networks
from melanoma_tl.network.precision import name_precision, resolve_precision


class ScorerOfMembers:
    """Scores images by several classifiers; those with the same frozen part as one network.

    Parameters
    ----------
    members : sequence
        Fitted classifiers. Each `TransferClassifier` may share its frozen part; others score by themselves.
    """

    def __init__(self, members: Sequence[Any]) -> None:
        self._members = tuple(members)
        self._models = tuple(map(_model_of, members))
        self._frozen: tuple[bytes, ...] | None = None
        self._scorers: dict[tuple[int, ...], NetworkScorer] = {}

    def is_of(self, members: Sequence[Any]) -> bool:
        """Return whether it still scores what these classifiers score.

        Parameters
        ----------
        members : sequence
            Fitted classifiers.

        Returns
        -------
        bool
            Whether they are those that it was made of, with the networks that they had then.
        """
        made_of, now = [*self._members, *self._models], [*members, *map(_model_of, members)]
        return len(made_of) == len(now) and all(one is other for one, other in zip(made_of, now, strict=True))

    def predict_proba(self, X: Any, tta: int | None, batch_size: int | None) -> list[NDArray[np.float64]]:
        """Score images by each classifier.

        Parameters
        ----------
        X : object
            Images, as `TransferClassifier.predict_proba` takes them, that can be read several times.
        tta, batch_size : int or None
            As there.

        Returns
        -------
        list of ndarray of shape (n_images, n_classes)
            What `predict_proba` of each gives, up to rounding in float32.
        """
        given: dict[int, NDArray[np.float64]] = {}
        for team in self._teams(tta):
            if len(team) == 1:
                given[team[0]] = self._members[team[0]].predict_proba(X, tta=tta, batch_size=batch_size)
            else:
                given |= self._score_team(team, X, tta, batch_size)
        return [given[number] for number in range(len(self._members))]

    @own_settings()
    def _teams(self, tta: int | None) -> list[tuple[int, ...]]:
        """Return the numbers of the members that are scored at once."""
        if self._frozen is None:
            self._frozen = tuple(b"" if model is None else frozen_digest(model) for model in self._models)
        teams: dict[Any, list[int]] = {}
        for number, (member, frozen) in enumerate(zip(self._members, self._frozen, strict=True)):
            team = (frozen, *_settings_of(member, tta)) if frozen else number  # what cannot share is alone
            teams.setdefault(team, []).append(number)
        return [tuple(team) for team in teams.values()]

    @own_settings()
    def _score_team(
        self, team: tuple[int, ...], X: Any, tta: int | None, batch_size: int | None
    ) -> dict[int, NDArray[np.float64]]:
        members = [self._members[number] for number in team]
        for member in members:
            member._check_scoring()
        first, precision = members[0], resolve_precision(members[0].precision)
        scorer = self._scorers.get(team)
        if scorer is None or scorer.precision != precision:
            joined = join_networks([member.model_ for member in members])
            scorer = self._scorers[team] = NetworkScorer(joined, precision)
        scores = scorer.score(
            X,
            first.tta if tta is None else tta,
            batch_size=batch_size,
            on_error=first.on_error,
            verbose=max(member.verbose for member in members),
        )
        parts = np.split(scores, len(team), axis=1)
        return {
            number: member._as_probabilities(part[:, 0] if part.shape[1] == 1 else part, tta)
            for number, member, part in zip(team, members, parts, strict=True)
        }


def _model_of(member: Any) -> Any:
    """Return the network of a `TransferClassifier`; None for what may score in a way of its own."""
    return getattr(member, "model_", None) if type(member) is TransferClassifier else None


def _settings_of(member: TransferClassifier, tta: int | None) -> tuple[Any, ...]:
    """Return what decides how a member scores, beside its network."""
    return name_precision(member.precision), member.tta if tta is None else tta, member.on_error
