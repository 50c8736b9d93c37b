"""What parameters may be: a table beside each class or function, read by one function before anything is done."""

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

from melanoma_tl.errors import ParameterError, UnknownNameError, find_meant

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Class = TypeVar("_Class", bound=type)

_MOST_SHOWN = 200
"""Characters of a wrong value in a message."""


class _UnfitError(Exception):
    """A rule does not hold."""


@dataclass(frozen=True)
class Rule:
    """What one parameter may be.

    Attributes
    ----------
    expected : str
        What it must be, in words that follow "must be".
    read : callable
        Takes a value, gives it in plain Python kinds, and raises `_UnfitError` where it is no such thing.
    names : tuple of str
        The words among which one is chosen.
    """

    expected: str
    read: Callable[[Any], Any]
    names: tuple[str, ...] = ()

    def __or__(self, other: "Rule") -> "Rule":
        def read(value: Any) -> Any:
            try:
                return self.read(value)
            except _UnfitError:
                return other.read(value)

        return Rule(f"{self.expected} or {other.expected}", read, self.names + other.names)


Rules = Mapping[str, Rule]


def check(parameters: Mapping[str, Any], rules: Rules) -> dict[str, Any]:
    """Stop at the first parameter that breaks its rule.

    Parameters
    ----------
    parameters : mapping of str to object
        Values by name; those without a rule are passed over.
    rules : mapping of str to Rule
        The table; a name that is not among the parameters is passed over.

    Returns
    -------
    dict
        The parameters that have a rule, in plain Python kinds: numbers of NumPy as numbers, and where several
        are meant a tuple, also of one that was given alone.

    Raises
    ------
    UnknownNameError
        If a word is none of those that are known.
    ParameterError
        If a value is of another kind or out of its range.

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
    """Let a function check its arguments before it is run; it gets them in plain Python kinds.

    A call that does not fit the parameters of the function stays a TypeError, and names those that may have been meant.

    Parameters
    ----------
    advice : str, default=""
        What such a call is told besides.
    **rules : Rule
        The table of the function. A default value need not be named in it.

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
    said, meant = f"{called}() has no parameter {unknown!r}.", find_meant(unknown, names)
    if meant is not None:
        return f"{said} Did you mean {meant!r}? {has}"
    if kind is not None and unknown in inspect.signature(kind).parameters:
        return f"{said} It is one of {kind.__name__}({unknown}=...)."
    return f"{said} {has}"


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
        kind.__init__ = checked(advice)(kind.__init__)  # type: ignore[misc]
        return kind

    return decorate


def check_fields(instance: Any, rules: Rules) -> None:
    """Check the fields of a frozen dataclass, and keep them in plain Python kinds.

    Parameters
    ----------
    instance : dataclass
        While it is made.
    rules : mapping of str to Rule
        The table of the class.

    Raises
    ------
    ParameterError, UnknownNameError
        As `check`.
    """
    for name, value in check(vars(instance), rules).items():
        object.__setattr__(instance, name, value)


def show(value: Any) -> str:
    """Show a value in a message.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    str
        Its kind, where it does not print in a line.
    """
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN and "\n" not in text else f"{text[:_MOST_SHOWN].split(chr(10))[0]} ..."


def _read(name: str, value: Any, rule: Rule) -> Any:
    try:
        return rule.read(value)
    except _UnfitError:
        if rule.names and isinstance(value, str):
            also = f"{name} must be {rule.expected}." if " or " in rule.expected else ""
            raise UnknownNameError(name, value, rule.names, also) from None
        raise ParameterError(f"{name} must be {rule.expected}, got {show(value)}") from None


def _demand(holds: Any) -> None:
    if not holds:
        raise _UnfitError


def _bounds(**bounds: float | None) -> str:
    """Put bounds into words."""
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
    """Ask for a whole number, which neither a truth value nor a float is.

    Parameters
    ----------
    at_least, at_most : int, optional
        Bounds.

    Returns
    -------
    Rule
        Gives an int.
    """

    def read(value: Any) -> int:
        _demand(isinstance(value, Integral) and not isinstance(value, bool))
        number = int(value)
        _demand(at_least is None or number >= at_least)
        _demand(at_most is None or number <= at_most)
        return number

    return Rule(f"a whole number{_bounds(at_least=at_least, at_most=at_most)}", read)


def real(
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> Rule:
    """Ask for a finite number, which a truth value is not.

    Parameters
    ----------
    above, at_least, below, at_most : float, optional
        Bounds.

    Returns
    -------
    Rule
        Gives an int or a float.
    """

    def read(value: Any) -> float:
        _demand(isinstance(value, Real) and not isinstance(value, bool))
        try:
            plain = float(value)
        except OverflowError:
            raise _UnfitError from None
        _demand(math.isfinite(plain))
        _demand(above is None or plain > above)
        _demand(at_least is None or plain >= at_least)
        _demand(below is None or plain < below)
        _demand(at_most is None or plain <= at_most)
        return int(value) if isinstance(value, Integral) else plain

    bounds = _bounds(above=above, at_least=at_least, below=below, at_most=at_most)
    return Rule(f"a number{bounds}", read)


def choice(*words: str) -> Rule:
    """Ask for one of some words.

    Parameters
    ----------
    *words : str
        All there are.

    Returns
    -------
    Rule
        Gives the word.
    """

    def read(value: Any) -> str:
        _demand(isinstance(value, str) and value in words)
        return str(value)

    return Rule(f"one of {', '.join(map(repr, words))}", read, words)


def one_of(*values: int) -> Rule:
    """Ask for one of some whole numbers.

    Parameters
    ----------
    *values : int
        All there are.

    Returns
    -------
    Rule
        Gives an int.
    """

    def read(value: Any) -> int:
        number = whole().read(value)
        _demand(number in values)
        return int(number)

    return Rule(f"one of {', '.join(map(str, values))}", read)


def instance(*kinds: type, a: str = "") -> Rule:
    """Ask for an object of some class.

    Parameters
    ----------
    *kinds : type
        The classes; the class itself is no object of it.
    a : str, default=""
        What it is called in a message; the names of the classes by default.

    Returns
    -------
    Rule
        Gives the object.
    """

    def read(value: Any) -> Any:
        _demand(isinstance(value, kinds))
        return value

    names = [kind.__name__ for kind in kinds]
    return Rule(a or " or ".join(f"{'an' if name[0] in 'AEIOU' else 'a'} {name}" for name in names), read)


def holding(method: str, a: str) -> Rule:
    """Ask for an object that can do something, whatever its class.

    Parameters
    ----------
    method : str
        Name of what it must have.
    a : str
        What it is called in a message.

    Returns
    -------
    Rule
        Gives the object.
    """

    def read(value: Any) -> Any:
        _demand(not isinstance(value, type) and hasattr(value, method))
        return value

    return Rule(a, read)


def beginning(*starts: str) -> Rule:
    """Ask for a str that begins in a certain way.

    Parameters
    ----------
    *starts : str
        The ways.

    Returns
    -------
    Rule
        Gives the str.
    """

    def read(value: Any) -> str:
        _demand(isinstance(value, str) and value.startswith(starts))
        return str(value)

    return Rule(f"a str that begins with {' or '.join(map(repr, starts))}", read)


def matching(pattern: str, expected: str) -> Rule:
    r"""Ask for a str of a certain form.

    Parameters
    ----------
    pattern : str
        Regular expression of the whole str, in which ``\w`` and ``\d`` are of ASCII.
    expected : str
        What it must be, in words that follow "must be".

    Returns
    -------
    Rule
        Gives the str.
    """

    def read(value: Any) -> str:
        _demand(isinstance(value, str) and re.fullmatch(pattern, value, re.ASCII))
        return str(value)

    return Rule(expected, read)


def _read_flag(value: Any) -> bool:
    _demand(isinstance(value, bool | np.bool_))
    return bool(value)


def _read_none(value: Any) -> None:
    _demand(value is None)


def _read_text(value: Any) -> str:
    _demand(isinstance(value, str))
    return str(value)


def _read_path(value: Any) -> Any:
    _demand(isinstance(value, str | os.PathLike))
    path = os.fspath(value)
    _demand(isinstance(path, str) and "\0" not in path)
    return value


def _read_function(value: Any) -> Any:
    _demand(callable(value) and not isinstance(value, type))
    return value


def _read_figure(value: Any) -> float:
    _demand(isinstance(value, Real) and not isinstance(value, bool))
    return float(value)


FLAG = Rule("True or False", _read_flag)
NONE = Rule("None", _read_none)
TEXT = Rule("a str", _read_text)
PATH = Rule("a path", _read_path)
FUNCTION = Rule("a function or a layer of Keras, not its class", _read_function)
FIGURE = Rule("a number, or NaN", _read_figure)
COUNT = whole(at_least=1)
PROBABILITY = real(at_least=0, at_most=1)
INSIDE = real(above=0, below=1)
SHARE = real(at_least=0, below=1)
RESAMPLES = whole(at_least=100, at_most=1_000_000)
BOOTSTRAP = {"confidence": INSIDE, "n_resamples": RESAMPLES, "random_state": whole(at_least=0, at_most=2**32 - 1)}
"""What the interval of a metric is made with."""

ON_ERROR = choice("raise", "skip")
VERBOSE = FLAG | whole(at_least=0)
SEED = NONE | Rule(
    "a whole number from 0 to 4294967295 (a result is named by its seed: of a generator, take one "
    "with int(generator.integers(2**32)), of a RandomState with randint)",
    whole(at_least=0, at_most=2**32 - 1).read,
)

SCORER = holding("_check_fitted", "a fitted classifier")
CLASSIFIER = holding("predict_proba", "a classifier with predict_proba (first the classifier, then the images)")
ANY = Rule("anything", lambda value: value)

# -- several values ----------------------------------------------------------------------------------------------------


def several(rule: Rule, *, at_least: int = 0) -> Rule:
    """Ask for some values; one alone is taken as one, and a word never as its letters.

    Parameters
    ----------
    rule : Rule
        What each must be.
    at_least : int, default=0
        How many there must be.

    Returns
    -------
    Rule
        Gives a tuple.
    """

    def read(value: Any) -> tuple[Any, ...]:
        try:
            return (rule.read(value),)
        except _UnfitError:
            pass
        return tuple(_read_each(rule, _items(value), at_least))

    return Rule(f"{rule.expected}, or several in a list", read, rule.names)


def listed(rule: Rule, *, at_least: int = 0) -> Rule:
    """Ask for a list in which each value keeps a rule; one alone is no list.

    Parameters
    ----------
    rule : Rule
        What each must be.
    at_least : int, default=0
        How many there must be.

    Returns
    -------
    Rule
        Gives a list.
    """

    def read(value: Any) -> list[Any]:
        return _read_each(rule, _read_column(value), at_least)

    return Rule(f"a list{f' of {at_least} or more' if at_least else ''}, each {rule.expected}", read)


def group(rule: Rule, length: int, a: str) -> Rule:
    """Ask for a fixed number of values in their order.

    Parameters
    ----------
    rule : Rule
        What each must be.
    length : int
        How many there are.
    a : str
        What they are called in a message.

    Returns
    -------
    Rule
        Gives a tuple.
    """

    def read(value: Any) -> tuple[Any, ...]:
        items = _read_column(value)
        _demand(len(items) == length)
        return tuple(rule.read(item) for item in items)

    return Rule(a, read)


def span(low: float, high: float) -> Rule:
    """Ask for a range: two numbers, the lower one first, or how far it reaches to either side of no change.

    Parameters
    ----------
    low, high : float
        Bounds of the two numbers; one alone is a share, 0 to 1.

    Returns
    -------
    Rule
        Gives a number or a tuple of two.
    """
    two = group(real(at_least=low, at_most=high), 2, f"(lowest, highest), both within {low:g} to {high:g}")

    def read(value: Any) -> Any:
        numbers = two.read(value)
        _demand(numbers[0] <= numbers[1])
        return numbers

    return PROBABILITY | Rule(two.expected, read)


def mapping(rule: Rule, a: str) -> Rule:
    """Ask for a mapping, the values of which keep a rule.

    Parameters
    ----------
    rule : Rule
        What each value must be.
    a : str
        What it is called in a message.

    Returns
    -------
    Rule
        Gives a dict, with keys in plain Python kinds.
    """

    def read(value: Any) -> dict[Any, Any]:
        _demand(isinstance(value, Mapping))
        return {key.item() if isinstance(key, np.generic) else key: rule.read(item) for key, item in value.items()}

    return Rule(a, read)


def _read_each(rule: Rule, values: list[Any], at_least: int) -> list[Any]:
    _demand(len(values) >= at_least)
    return [rule.read(value) for value in values]


def _items(value: Any) -> list[Any]:
    """List what several values hold; a word is no sequence of letters."""
    _demand(isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping))
    try:
        return list(value)
    except TypeError:  # an array without dimensions
        raise _UnfitError from None


def _read_column(value: Any) -> list[Any]:
    """List what stands in an order, which a set has not."""
    _demand(not isinstance(value, Set))
    return _items(value)


def _read_numbers(value: Any) -> Any:
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise _UnfitError from None


def _read_two_names(value: Any) -> tuple[str, ...]:
    names = tuple(map(_read_text, _read_column(value)))
    _demand(len(names) == 2 and len(set(names)) == 2 and all(name.strip() for name in names))
    return names


def _read_history(value: Any) -> dict[str, list[float]]:
    _demand(isinstance(value, Mapping))
    numbers = {_read_text(key): _read_numbers(values) for key, values in value.items()}
    _demand(all(values.ndim == 1 for values in numbers.values()))
    return {key: values.tolist() for key, values in numbers.items()}


SIZE = group(
    whole(at_least=1, at_most=2**14),
    2,
    f"(height, width) in pixels, whole numbers of at least 1 and at most {2**14}, such as (224, 224)",
)
COLUMN = Rule("a sequence with one entry an image", _read_column)
NUMBERS = Rule("numbers", _read_numbers)
NAMES = Rule("two different names, such as ('new', 'old')", _read_two_names)
HISTORY = Rule("a mapping of names to one number an epoch, such as {'loss': [0.7, 0.4]}", _read_history)
CLASS_WEIGHT = choice("balanced") | mapping(real(above=0), "a dict with a number above 0 for each class") | NONE
TABLE = mapping(ANY, "a mapping")
