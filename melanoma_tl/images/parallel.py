"""Map in threads, in order, with a bound; take items in batches."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")


def map_threaded(function: Callable[[_T], _R], items: Iterable[_T], *, window: int = 64) -> Iterator[_R]:
    """Apply a function to items in threads, in order, with a bounded number in flight.

    Pillow decodes and resizes outside the interpreter lock, so threads use every
    core; the window keeps memory constant however many items there are.

    Parameters
    ----------
    function : callable
        Called with one item.
    items : iterable
        The items, consumed as they are needed.
    window : int, default=64
        How many items may be waiting or done but not yet taken.

    Yields
    ------
    object
        What the function returned for each item, in the order of the items.
    """
    iterator = iter(items)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        pending = [pool.submit(function, item) for item in take(iterator, window)]
        try:
            while pending:
                yield pending.pop(0).result()
                pending += [pool.submit(function, item) for item in take(iterator, 1)]
        finally:
            for future in pending:
                future.cancel()


def take(items: Iterable[_T], n: int) -> Iterator[_T]:
    """Take the first items, or all where there are fewer.

    Parameters
    ----------
    items : iterable
        Anything; of an iterator not one more is drawn.
    n : int
        How many, of any size: ``islice`` knows none above ``sys.maxsize``.

    Returns
    -------
    iterator
        Over up to n of them.
    """
    return (item for _, item in zip(range(n), items, strict=False))


def batched(items: Iterable[_T], batch_size: int) -> Iterator[list[_T]]:
    """Cut items into lists, the last of which may be shorter.

    Parameters
    ----------
    items : iterable
        The items, consumed as they are needed.
    batch_size : int
        Items a list.

    Yields
    ------
    list
        The next items.
    """
    iterator = iter(items)
    while batch := list(take(iterator, batch_size)):
        yield batch
