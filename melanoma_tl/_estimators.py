"""The base of scikit-learn's objects of this library."""

from collections.abc import Mapping
from typing import ClassVar

from sklearn.base import BaseEstimator

from melanoma_tl._parameters import Rules, check


class CheckedParameters(BaseEstimator):
    """Base of scikit-learn's objects whose parameters are checked by a table when they are used.

    Attributes
    ----------
    _rules : mapping of str to Rule
        The table of the class.
    _called : mapping of str to str
        Names of parameters in errors, where they differ.
    """

    _rules: ClassVar[Rules] = {}
    _called: ClassVar[Mapping[str, str]] = {}

    def check_parameters(self) -> None:
        """Check every parameter.

        Raises
        ------
        ParameterError, UnknownNameError
            If a parameter cannot be used.
        """
        check({self._called.get(name, name): value for name, value in self.get_params().items()}, self._rules)
