"""`PostProcessing`: what validation images said of a classifier's scores."""

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import numpy as np

from melanoma_tl._parameters import show
from melanoma_tl.errors import ParameterError
from melanoma_tl.images.fingerprints import Fingerprints
from melanoma_tl.metrics.calibration import EDGE, Calibration
from melanoma_tl.metrics.thresholds import OperatingPoint
from melanoma_tl.saving.document_rules import read_tuning

_FOUND = {"calibration": ("calibration", "calibrate"), "operating_point": ("threshold", "tune_threshold")}
"""What is found, with what people call it and what does so."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PostProcessing:
    """What comes after the scores: their calibration, and the threshold.

    Attributes
    ----------
    calibration : Calibration or None
        Makes probabilities of the scores.
    operating_point : OperatingPoint or None
        The threshold, on the scale of the scores before calibration.
    images : Fingerprints or None
        What the images that both were found on can be recognised by: a test on them would be no test.
    settings : mapping of str to mapping
        How the scores came about that "calibration" and "operating_point" were found on.
    """

    calibration: Calibration | None = None
    operating_point: OperatingPoint | None = None
    images: Fingerprints | None = None
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def with_calibration(self, found: Calibration, settings: Mapping[str, Any], images: Fingerprints) -> Self:
        """Return this with a calibration, how the scores came about, and the images it was found on."""
        return replace(self._with_images(images, "calibration", settings), calibration=found)._with_usable_threshold()

    def with_operating_point(self, found: OperatingPoint, settings: Mapping[str, Any], images: Fingerprints) -> Self:
        """Return this with a threshold, how the scores came about, and the images it was found on."""
        known = self._with_images(images, "operating_point", settings)
        return replace(known, operating_point=found)._with_usable_threshold()

    def _with_usable_threshold(self) -> Self:
        if self.operating_point is not None:
            self.calibrated_point(self.operating_point)
        return self

    def _with_images(self, images: Fingerprints, what: str, settings: Mapping[str, Any]) -> Self:
        known = [] if self.images is None else [self.images]
        return replace(
            self,
            images=Fingerprints.concatenate([*known, images]).unique(),
            settings={**self.settings, what: settings},
        )

    def check(self, what: str, now: Mapping[str, Any]) -> None:
        """Raise an error if scores are computed in another way than when the calibration or threshold was fitted.

        Another precision is warned of: it moves scores little, and a file may come from another machine.

        Parameters
        ----------
        what : {"calibration", "operating_point"}
            What is to be used.
        now : mapping of str to object
            How scores are computed now.

        Raises
        ------
        ParameterError
            If a setting differs; it names which.
        """
        then = {"precision": now["precision"], **self.settings.get(what, now)}  # older files do not state it
        changed = [name for name in now if name not in then or then[name] != now[name]]
        name, call = _FOUND[what]
        if changed == ["precision"]:
            in_words = [show(settings["precision"]).replace("'", "") for settings in (then, now)]
            warnings.warn(
                f"the {name} was found in {in_words[0]}; this model computes in {in_words[1]}: call {call} with "
                "validation images again",
                stacklevel=2,
            )
        elif changed:
            differences = ", ".join(f"{key}={show(then.get(key))}, and now is {show(now[key])}" for key in changed)
            raise ParameterError(
                f"the {name} was found with {differences}, which it does not fit: call {call} with validation images "
                "once more, or set it back"
            )

    def calibrated_point(self, point: OperatingPoint) -> OperatingPoint:
        """Return a threshold of scores as one of calibrated scores, which calls the same images melanoma.

        Parameters
        ----------
        point : OperatingPoint
            With a threshold of scores before calibration.

        Returns
        -------
        OperatingPoint
            With that of calibrated scores.

        Raises
        ------
        ParameterError
            If calibrated scores next to it are the same number, so that images above it would not be called melanoma.
        """
        if self.calibration is None:
            return point
        # The next score that a network can give: it computes in float32.
        above = min(float(np.nextafter(np.float32(max(point.threshold, EDGE)), np.float32(2))), 1.0)
        threshold, next_above = self.calibration.apply(np.array([point.threshold, above])).tolist()
        if threshold == next_above and point.threshold < 1:
            raise ParameterError(
                f"the threshold {point.threshold!r} cannot be used after calibration: with {self.calibration}, it and "
                f"the scores above it become the same number, {threshold!r}. Choose a threshold by another rule, or do "
                "without the calibration"
            )
        return replace(point, threshold=threshold)

    def to_state(self) -> dict[str, Any] | None:
        """Return what a file keeps; None where nothing was found."""
        if self.images is None:
            return None
        return {
            "calibration": None if self.calibration is None else asdict(self.calibration),
            "operating_point": None if self.operating_point is None else self.operating_point.to_dict(),
            "fingerprints": self.images.to_state(),
            "tuned_with": dict(self.settings),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], now: Mapping[str, Mapping[str, Any]]) -> Self:
        """Check and read what `to_state` gave to a file.

        Parameters
        ----------
        state : mapping of str to object
            As it stands in the file.
        now : mapping of str to mapping
            How scores come about now, for files that do not say how they did.

        Returns
        -------
        PostProcessing
            As it was saved.

        Raises
        ------
        ModelFileError, MelanomaTLError
            If a part is missing or cannot be used.
        """
        calibration, point, images, settings = read_tuning(state)
        return cls(calibration=calibration, operating_point=point, images=images, settings={**now, **settings})
