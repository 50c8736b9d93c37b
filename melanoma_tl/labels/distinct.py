"""Call a function once for each distinct text: a column of a large table has few."""

from collections.abc import Callable, Iterable
from typing import TypeVar

Result = TypeVar("Result")


def once_each(function: Callable[[object], Result], cells: Iterable[object]) -> list[Result]:
    """Call a function for each cell; for equal texts once.

    Parameters
    ----------
    function : callable
        Takes a cell, and gives the same for equal texts.
    cells : iterable of object
        Of any kind. Only texts are compared: ``1``, ``1.0`` and ``True`` are equal too, and are not written alike.

    Returns
    -------
    list
        What it gives, cell by cell.

    Examples
    --------
    >>> once_each(str, ["a", True, "a", 1])
    ['a', 'True', 'a', '1']
    """
    listed = list(cells)
    known = {cell: function(cell) for cell in dict.fromkeys(cell for cell in listed if type(cell) is str)}
    return [known[cell] if type(cell) is str else function(cell) for cell in listed]
