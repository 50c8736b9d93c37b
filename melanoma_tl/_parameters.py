"""Validation of parameters: rules for each parameter, in a table beside its class or function."""

import functools
import inspect
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np

from melanoma_tl._row_order import check_row_order
from melanoma_tl.errors import ParameterError, UnknownNameError, find_meant

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Class = TypeVar("_Class", bound=type)
_Method = TypeVar("_Method")

_MOST_SHOWN = 200
"""Maximum number of characters of a wrong value in an error message."""


_OF_OTHERS = {
    "cv": "folds",
    "n_splits": "folds",
    "pos_label": "positive",
    "seed": "random_state",
    "delimiter": "sep",
    "lr": "learning_rate",
    "image_size": "input_size",
    "img_size": "input_size",
    "recall": "sensitivity",
}
"""Parameters of ours, by their names in other libraries."""


class _MismatchError(Exception):
    """A value does not match a rule."""


@dataclass(frozen=True)
class Rule:
    """The permitted values of one parameter.

    Attributes
    ----------
    expected : str
        The permitted values, in words that follow "must be".
    read : callable
        Converts a value to plain Python types, or raises `_MismatchError`.
    names : tuple of str
        The permitted words, for suggestions in error messages.
    """

    expected: str
    read: Callable[[Any], Any]
    names: tuple[str, ...] = ()

    def __or__(self, other: "Rule") -> "Rule":
        def read(value: Any) -> Any:
            try:
                return self.read(value)
            except _MismatchError:
                return other.read(value)

        return Rule(f"{self.expected} or {other.expected}", read, self.names + other.names)


Rules = Mapping[str, Rule]


def check(parameters: Mapping[str, Any], rules: Rules) -> dict[str, Any]:
    """Check parameters by their rules, and convert them to plain Python types.

    Parameters
    ----------
    parameters : mapping of str to object
        Values by name; those without a rule are ignored.
    rules : mapping of str to Rule
        Rules by name; those without a parameter are ignored.

    Returns
    -------
    dict
        The parameters that have a rule: NumPy scalars become Python numbers, and where several values are
        permitted, the result is a tuple even if a single value was given.

    Raises
    ------
    UnknownNameError
        If a value is a word, and not one of the permitted words.
    ParameterError
        If a value has a wrong type or is out of range.

    Examples
    --------
    >>> check({"dropout": "half"}, {"dropout": real(at_least=0, below=1)})
    Traceback (most recent call last):
    ...
    melanoma_tl.errors.ParameterError: dropout must be a number of at least 0 and below 1, got 'half'
    >>> check({"epochs": np.int64(3)}, {"epochs": whole(at_least=1)})
    {'epochs': 3}
    """
    return {name: _read(name, parameters[name], rule) for name, rule in rules.items() if name in parameters}


def checked(advice: str = "", /, **rules: Rule) -> Callable[[_Function], _Function]:
    """Decorate a function to check its arguments and convert them to plain Python types before it runs.

    A call that does not fit the parameters of the function stays a TypeError, and names those that may have been meant.
    Columns of pandas whose rows stand in different orders are refused, as `check_row_order` does.

    Parameters
    ----------
    advice : str, default=""
        What such a call is told besides.
    **rules : Rule
        Rules by argument. Default values are not checked.

    Returns
    -------
    callable
        A decorator.
    """

    def decorate(function: _Function) -> _Function:
        signature = inspect.signature(function)
        defaults = {name: parameter.default for name, parameter in signature.parameters.items()}

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                bound = signature.bind(*args, **kwargs)
            except TypeError as misfit:
                said = _describe_misfit(function, signature, args, kwargs, str(misfit))
                raise TypeError(f"{said} {advice}".rstrip()) from None
            check_row_order(bound.arguments)
            changed = {name: value for name, value in bound.arguments.items() if value is not defaults[name]}
            bound.arguments.update(check(changed, rules))
            return function(*bound.args, **bound.kwargs)

        return call  # type: ignore[return-value]

    return decorate


def _describe_misfit(
    function: Callable[..., Any],
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: Iterable[str],
    misfit: str,
) -> str:
    """Say what is wrong with a call, by the name that the user knows: a subclass may have inherited the function."""
    kind, called = None, function.__qualname__.removesuffix(".__init__")
    known = [parameter for name, parameter in signature.parameters.items() if name not in ("self", "cls")]
    if args and len(known) < len(signature.parameters):
        kind = args[0] if isinstance(args[0], type) else type(args[0])
        if not hasattr(kind, function.__name__):  # on the class, where the first image became `self`
            return f"{called}() is called on an object, as in {called.replace('.', '(...).')}(...)."
        called = kind.__name__ if function.__name__ == "__init__" else f"{kind.__name__}.{function.__name__}"
    names = [parameter.name for parameter in known]
    has = f"It has: {_list_parameters(known)}."
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known)
    unknown = None if takes_all else next((name for name in kwargs if name not in names), None)
    if unknown is None:
        return f"{called}(): {misfit}. {has}"
    said = f"{called}() has no parameter {unknown!r}."
    meant = called_here(unknown, names) or find_meant(unknown, names)
    if kind is not None and unknown in inspect.signature(kind).parameters:
        return f"{said} It is one of {kind.__name__}({unknown}=...). {has}"
    if (method := find_method(kind, unknown)) is not None:
        return f"{said} It is one of {method}({unknown}=...). {has}"
    return f"{said} Did you mean {meant!r}? {has}" if meant is not None else f"{said} {has}"


def called_here(given: str, names: Iterable[str]) -> str | None:
    """Find the parameter that has another name in other libraries.

    Parameters
    ----------
    given : str
        That name.
    names : iterable of str
        The parameters that exist.

    Returns
    -------
    str or None
        The one of them that it is, if any.

    Examples
    --------
    >>> called_here("lr", ["epochs", "learning_rate"]), called_here("lr", ["epochs"])
    ('learning_rate', None)
    """
    ours = _OF_OTHERS.get(given)
    return ours if ours in set(names) else None


def takes_also(other: Callable[..., Any]) -> Callable[[_Function], _Function]:
    """Decorate a function that passes its further parameters on to another, so that it has those by name.

    Parameters
    ----------
    other : callable
        Takes them.

    Returns
    -------
    callable
        A decorator. What the function lacks is then said before it runs, and in its own name.
    """

    def decorate(function: _Function) -> _Function:
        own = inspect.signature(function)
        named = [one for one in own.parameters.values() if one.kind is not one.VAR_KEYWORD]
        further = [
            one
            for name, one in inspect.signature(other).parameters.items()
            if one.kind is one.KEYWORD_ONLY and name not in own.parameters
        ]
        function.__signature__ = own.replace(parameters=named + further)  # type: ignore[attr-defined]
        return function

    return decorate


def find_method(kind: type | None, parameter: str) -> str | None:
    """Find the method of a class that has a parameter.

    Parameters
    ----------
    kind : type or None
        The class; None has no method.
    parameter : str
        Name of the parameter.

    Returns
    -------
    str or None
        The name of the method: `fit` before the others, or None where no method has it.
    """
    methods = [name for name in ("fit", *dir(kind)) if inspect.isfunction(getattr(kind, name, None)) and name[0] != "_"]
    has = (name for name in methods if parameter in inspect.signature(getattr(kind, name)).parameters)
    return next(has, None)


def _list_parameters(parameters: Iterable[inspect.Parameter]) -> str:
    """List parameters, and say from where on they are passed by name."""
    of_kind: dict[Any, list[str]] = {}
    for one in parameters:
        of_kind.setdefault(one.kind, []).append(one.name)
    named = [f"{name}=" for name in of_kind.get(inspect.Parameter.KEYWORD_ONLY, [])]
    named += [f"further {name}" for name in of_kind.get(inspect.Parameter.VAR_KEYWORD, [])]
    others = [", ".join(of_kind.get(inspect.Parameter.POSITIONAL_OR_KEYWORD, []))]
    others += [f"by name {', '.join(named)}"] if named else []
    return "; ".join(filter(None, others)) or "none"


def checked_call(advice: str = "") -> Callable[[_Class], _Class]:
    """Let a dataclass say what is wrong with a call that does not fit its fields.

    Parameters
    ----------
    advice : str, default=""
        What such a call is told besides.

    Returns
    -------
    callable
        A decorator of the class.
    """

    def decorate(kind: _Class) -> _Class:
        type.__setattr__(kind, "__init__", checked(advice)(vars(kind)["__init__"]))
        return kind

    return decorate


def called_on_class(method: _Method) -> _Method:
    """Decorate a class method that makes an object, so that it cannot be called on one, which would not change.

    Parameters
    ----------
    method : classmethod
        The method.

    Returns
    -------
    classmethod
        The same, but for the TypeError where it is called on an object.
    """
    return _OnClass(method.__func__)  # type: ignore[attr-defined, return-value]


class _OnClass(classmethod):  # type: ignore[type-arg]
    def __get__(self, instance: Any, owner: Any = None, /) -> Any:
        method = super().__get__(instance, owner)
        if instance is None:
            return method

        @functools.wraps(method)
        def refuse(*_: Any, **__: Any) -> Any:
            called = f"{type(instance).__name__}.{method.__name__}"
            raise TypeError(f"{called} makes a new object, and leaves this one as it is: made = {called}(...)")

        return refuse


def check_fields(instance: Any, rules: Rules) -> None:
    """Check the fields of a frozen dataclass, and convert them to plain Python types.

    Parameters
    ----------
    instance : dataclass
        The instance, in its ``__post_init__``.
    rules : mapping of str to Rule
        Rules by field.

    Raises
    ------
    ParameterError, UnknownNameError
        As in `check`.
    """
    for name, value in check(vars(instance), rules).items():
        object.__setattr__(instance, name, value)


def show(value: Any) -> str:
    """Return a short repr of a value for an error message.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    str
        Its repr in one line, truncated to 200 characters.
    """
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN and "\n" not in text else f"{text[:_MOST_SHOWN].split(chr(10))[0]} ..."


def _read(name: str, value: Any, rule: Rule) -> Any:
    try:
        return rule.read(value)
    except _MismatchError:
        if rule.names and isinstance(value, str):
            also = f"{name} must be {rule.expected}." if " or " in rule.expected else ""
            raise UnknownNameError(name, value, rule.names, also) from None
        raise ParameterError(f"{name} must be {rule.expected}, got {show(value)}") from None


def _require(holds: Any) -> None:
    if not holds:
        raise _MismatchError


def _bounds(**bounds: float | None) -> str:
    """Describe bounds in words."""
    given = {name: f"{value:.10g}" for name, value in bounds.items() if value is not None}
    match given:
        case {"at_least": low, "at_most": high}:
            return f" from {low} to {high}"
        case {"above": low, "below": high}:
            return f" between {low} and {high} (both excluded)"
    words = [f"{name.replace('_', ' ')} {value}" for name, value in given.items()]
    return "" if not words else f" {'of ' if words[0].startswith('at') else ''}{' and '.join(words)}"


# -- single values -----------------------------------------------------------------------------------------------------


def whole(*, at_least: int | None = None, at_most: int | None = None) -> Rule:
    """Make a rule: a whole number; neither a bool nor a float.

    Parameters
    ----------
    at_least, at_most : int, optional
        Bounds.

    Returns
    -------
    Rule
        Its `read` returns an int.
    """

    def read(value: Any) -> int:
        _require(isinstance(value, Integral) and not isinstance(value, bool))
        number = int(value)
        _require(at_least is None or number >= at_least)
        _require(at_most is None or number <= at_most)
        return number

    return Rule(f"a whole number{_bounds(at_least=at_least, at_most=at_most)}", read)


def real(
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> Rule:
    """Make a rule: a finite number; not a bool.

    Parameters
    ----------
    above, at_least, below, at_most : float, optional
        Bounds.

    Returns
    -------
    Rule
        Its `read` returns an int or a float.
    """

    def read(value: Any) -> float:
        _require(isinstance(value, Real) and not isinstance(value, bool))
        try:
            plain = float(value)
        except OverflowError:
            raise _MismatchError from None
        _require(math.isfinite(plain))
        _require(above is None or plain > above)
        _require(at_least is None or plain >= at_least)
        _require(below is None or plain < below)
        _require(at_most is None or plain <= at_most)
        return int(value) if isinstance(value, Integral) else plain

    bounds = _bounds(above=above, at_least=at_least, below=below, at_most=at_most)
    return Rule(f"a number{bounds}", read)


def choice(*words: str) -> Rule:
    """Make a rule: one of some words.

    Parameters
    ----------
    *words : str
        The permitted words.

    Returns
    -------
    Rule
        Its `read` returns the word.
    """

    def read(value: Any) -> str:
        _require(isinstance(value, str) and value in words)
        return str(value)

    return Rule(f"one of {', '.join(map(repr, words))}", read, words)


def one_of(*values: int) -> Rule:
    """Make a rule: one of some whole numbers.

    Parameters
    ----------
    *values : int
        The permitted numbers.

    Returns
    -------
    Rule
        Its `read` returns an int.
    """

    def read(value: Any) -> int:
        number = whole().read(value)
        _require(number in values)
        return int(number)

    return Rule(f"one of {', '.join(map(str, values))}", read)


def instance(*kinds: type, a: str = "") -> Rule:
    """Make a rule: an instance of a class.

    Parameters
    ----------
    *kinds : type
        The permitted classes.
    a : str, default=""
        Description with its article, for error messages; by default the names of the classes.

    Returns
    -------
    Rule
        Its `read` returns the object.
    """

    def read(value: Any) -> Any:
        _require(isinstance(value, kinds))
        return value

    names = [kind.__name__ for kind in kinds]
    return Rule(a or " or ".join(f"{'an' if name[0] in 'AEIOU' else 'a'} {name}" for name in names), read)


def having(attribute: str, a: str) -> Rule:
    """Make a rule: an instance of any class that has an attribute.

    Parameters
    ----------
    attribute : str
        Name of the attribute or method.
    a : str
        Description of the value with its article, for error messages.

    Returns
    -------
    Rule
        Its `read` returns the object.
    """

    def read(value: Any) -> Any:
        _require(not isinstance(value, type) and hasattr(value, attribute))
        return value

    return Rule(a, read)


def starting_with(*starts: str) -> Rule:
    """Make a rule: a str that begins with a prefix.

    Parameters
    ----------
    *starts : str
        The permitted prefixes.

    Returns
    -------
    Rule
        Its `read` returns the str.
    """

    def read(value: Any) -> str:
        _require(isinstance(value, str) and value.startswith(starts))
        return str(value)

    return Rule(f"a str that begins with {' or '.join(map(repr, starts))}", read)


def matching(pattern: str, expected: str) -> Rule:
    r"""Make a rule: a str that matches a regular expression.

    Parameters
    ----------
    pattern : str
        Regular expression for the whole str; ``\w`` and ``\d`` match ASCII only.
    expected : str
        The permitted values, in words that follow "must be".

    Returns
    -------
    Rule
        Its `read` returns the str.
    """

    def read(value: Any) -> str:
        _require(isinstance(value, str) and re.fullmatch(pattern, value, re.ASCII))
        return str(value)

    return Rule(expected, read)


def _read_flag(value: Any) -> bool:
    _require(isinstance(value, bool | np.bool_))
    return bool(value)


def _read_none(value: Any) -> None:
    _require(value is None)


def _read_text(value: Any) -> str:
    _require(isinstance(value, str))
    return str(value)


def _read_path(value: Any) -> Any:
    _require(isinstance(value, str | os.PathLike))
    path = os.fspath(value)
    _require(isinstance(path, str) and "\0" not in path)
    return value


def _read_function(value: Any) -> Any:
    _require(callable(value) and not isinstance(value, type))
    return value


def _read_figure(value: Any) -> float:
    _require(isinstance(value, Real) and not isinstance(value, bool))
    return float(value)


FLAG = Rule("True or False", _read_flag)
NONE = Rule("None", _read_none)
TEXT = Rule("a str", _read_text)
PATH = Rule("a path", _read_path)
FUNCTION = Rule("a function or a layer of Keras, not its class", _read_function)
NUMBER_OR_NAN = Rule("a number, or NaN", _read_figure)
COUNT = whole(at_least=1)
PROBABILITY = real(at_least=0, at_most=1)
INSIDE = real(above=0, below=1)
SHARE = real(at_least=0, below=1)
RESAMPLES = whole(at_least=100, at_most=1_000_000)
BOOTSTRAP = {"confidence": INSIDE, "n_resamples": RESAMPLES, "random_state": whole(at_least=0, at_most=2**32 - 1)}
"""Rules for the parameters of intervals of metrics."""

ON_ERROR = choice("raise", "skip")
VERBOSE = FLAG | whole(at_least=0)
SEED = NONE | Rule(
    "a whole number from 0 to 4294967295 (results record their seed, so that a "
    "generator is not accepted: draw one with int(generator.integers(2**32)) or RandomState.randint)",
    whole(at_least=0, at_most=2**32 - 1).read,
)

SCORER = having("_check_fitted", "a fitted classifier")
CLASSIFIER = having("predict_proba", "a classifier with predict_proba (first the classifier, then the images)")
ANY = Rule("anything", lambda value: value)

# -- several values ----------------------------------------------------------------------------------------------------


def several(rule: Rule, *, at_least: int = 0) -> Rule:
    """Make a rule: one or several values; a str is a single value.

    Parameters
    ----------
    rule : Rule
        Rule for each value.
    at_least : int, default=0
        Minimum number of values.

    Returns
    -------
    Rule
        Its `read` returns a tuple.
    """

    def read(value: Any) -> tuple[Any, ...]:
        try:
            return (rule.read(value),)
        except _MismatchError:
            pass
        return tuple(_read_each(rule, _items(value), at_least))

    return Rule(f"{rule.expected}, or several in a list", read, rule.names)


def listed(rule: Rule, *, at_least: int = 0) -> Rule:
    """Make a rule: a list of values; a single value is not accepted.

    Parameters
    ----------
    rule : Rule
        Rule for each value.
    at_least : int, default=0
        Minimum number of values.

    Returns
    -------
    Rule
        Its `read` returns a list.
    """

    def read(value: Any) -> list[Any]:
        return _read_each(rule, _read_column(value), at_least)

    return Rule(f"a list{f' of {at_least} or more' if at_least else ''}, each {rule.expected}", read)


def group(rule: Rule, length: int, a: str) -> Rule:
    """Make a rule: a fixed number of values in order.

    Parameters
    ----------
    rule : Rule
        Rule for each value.
    length : int
        Number of values.
    a : str
        Description of the values, for error messages.

    Returns
    -------
    Rule
        Its `read` returns a tuple.
    """

    def read(value: Any) -> tuple[Any, ...]:
        items = _read_column(value)
        _require(len(items) == length)
        return tuple(rule.read(item) for item in items)

    return Rule(a, read)


def span(low: float, high: float, *, around: float | None = None, note: str = "") -> Rule:
    """Make a rule: a range, as (lowest, highest), or as one number for a symmetric range around no change.

    Parameters
    ----------
    low, high : float
        Bounds of lowest and highest; a single number must be from 0 to 1.
    around : float, optional
        What must lie between lowest and highest, unless they are equal.
    note : str, optional
        What else its error says.

    Returns
    -------
    Rule
        Its `read` returns a number or a tuple of two.
    """
    between = "" if around is None else f" and with {around:g} between them"
    two = group(
        real(at_least=low, at_most=high), 2, f"(lowest, highest), both within {low:g} to {high:g}{between}{note}"
    )

    def read(value: Any) -> Any:
        lowest, highest = numbers = two.read(value)
        _require(lowest <= highest)
        _require(around is None or lowest <= around <= highest or lowest == highest)
        return numbers

    return PROBABILITY | Rule(two.expected, read)


def mapping(rule: Rule, a: str) -> Rule:
    """Make a rule: a mapping with a rule for its values.

    Parameters
    ----------
    rule : Rule
        Rule for each value.
    a : str
        Description of the value with its article, for error messages.

    Returns
    -------
    Rule
        Its `read` returns a dict, with keys of plain Python types.
    """

    def read(value: Any) -> dict[Any, Any]:
        _require(isinstance(value, Mapping))
        return {key.item() if isinstance(key, np.generic) else key: rule.read(item) for key, item in value.items()}

    return Rule(a, read)


def _read_each(rule: Rule, values: list[Any], at_least: int) -> list[Any]:
    _require(len(values) >= at_least)
    return [rule.read(value) for value in values]


def _items(value: Any) -> list[Any]:
    """Return the values of any iterable but a str or a mapping."""
    _require(isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping))
    try:
        return list(value)
    except TypeError:  # an array without dimensions
        raise _MismatchError from None


def _read_column(value: Any) -> list[Any]:
    """Return the values of an ordered iterable, which a set is not."""
    _require(not isinstance(value, Set))
    return _items(value)


def _read_numbers(value: Any) -> Any:
    try:
        if isinstance(value, np.ma.MaskedArray):  # asarray would take what lies under the mask
            return np.ma.filled(value.astype(np.float64), np.nan)
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise _MismatchError from None


def _read_flags(value: Any) -> Any:
    numbers = _read_numbers(value)
    _require(numbers.ndim == 1 and np.isin(numbers, (0, 1)).all())
    return numbers.astype(bool)


def _read_two_names(value: Any) -> tuple[str, ...]:
    names = tuple(map(_read_text, _read_column(value)))
    _require(len(names) == 2 and len(set(names)) == 2 and all(name.strip() for name in names))
    return names


def _read_history(value: Any) -> dict[str, list[float]]:
    _require(isinstance(value, Mapping))
    numbers = {_read_text(key): _read_numbers(values) for key, values in value.items()}
    _require(all(values.ndim == 1 for values in numbers.values()))
    return {key: values.tolist() for key, values in numbers.items()}


SIZE = group(
    whole(at_least=1, at_most=2**14),
    2,
    f"(height, width) in pixels, whole numbers of at least 1 and at most {2**14}, such as (224, 224)",
)
COLUMN = Rule("a sequence with one entry an image", _read_column)
NUMBERS = Rule("numbers", _read_numbers)
FLAGS = Rule("True or False (or 1 or 0) for each image", _read_flags)
NAMES = Rule("two different names, such as ('new', 'old')", _read_two_names)
HISTORY = Rule("a mapping of names to one number an epoch, such as {'loss': [0.7, 0.4]}", _read_history)
CLASS_WEIGHT = choice("balanced") | mapping(real(above=0), "a dict with a number above 0 for each class") | NONE
TABLE = mapping(ANY, "a mapping")
