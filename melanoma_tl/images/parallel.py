"""Threaded map with a bounded window, and batching of iterables."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")

_PATIENCE = 5.0
"""Seconds to wait for items that are begun, after an error or Ctrl-C: of a disk that hangs they may never end."""


def map_threaded(function: Callable[[_T], _R], items: Iterable[_T], *, window: int = 64) -> Iterator[_R]:
    """Apply a function to items in threads, in order, with a limited number of pending items.

    Pillow releases the interpreter lock while it decodes and resizes, so that threads use every
    core; the window keeps memory constant for any number of items.

    Parameters
    ----------
    function : callable
        Called with one item.
    items : iterable
        The items, consumed as they are needed.
    window : int, default=64
        Largest number of items that are waiting, or done but not yet consumed.

    Yields
    ------
    object
        The result for each item, in the order of the items.
    """
    iterator = iter(items)
    pool = ThreadPoolExecutor(max_workers=os.cpu_count())
    pending: list[Future[_R]] = []
    try:
        pending += [pool.submit(function, item) for item in take(iterator, window)]
        while pending:
            result = pending[0].result()
            del pending[0]
            yield result
            pending += [pool.submit(function, item) for item in take(iterator, 1)]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        wait([future for future in pending if not future.cancelled()], _PATIENCE)


def take(items: Iterable[_T], n: int) -> Iterator[_T]:
    """Return the first items, or all if there are fewer.

    Parameters
    ----------
    items : iterable
        The items; not one more than needed is consumed.
    n : int
        Number of items; unlike for ``islice`` it may exceed ``sys.maxsize``.

    Returns
    -------
    iterator
        Iterator over up to n items.
    """
    return (item for _, item in zip(range(n), items, strict=False))


def batched(items: Iterable[_T], batch_size: int) -> Iterator[list[_T]]:
    """Split items into lists of equal length; the last may be shorter.

    Parameters
    ----------
    items : iterable
        The items, consumed as they are needed.
    batch_size : int
        Items per list.

    Yields
    ------
    list
        The next items.
    """
    iterator = iter(items)
    while batch := list(take(iterator, batch_size)):
        yield batch
