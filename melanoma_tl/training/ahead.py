"""What training needs next is made in a thread while the network computes."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")

_LOOK = 0.2
"""Seconds after which someone who waits looks whether there is still something to wait for."""

_DEPTH = 2
"""Batches that are made or wait to be taken, beside the one that is used."""


class Ahead(Generic[_T]):
    """Makes numbered things ahead of their use, in one thread, in order.

    What is drawn must depend on the number alone: how far ahead the thread is then changes nothing. An error is raised
    where the thing is taken, as it would be without the thread.

    Parameters
    ----------
    make : callable
        Makes the thing of a number.
    count : int or None
        How many there are; None if they are endless.

    Attributes
    ----------
    is_interrupted : bool
        Whether who waits shall raise KeyboardInterrupt. A handler of signals may set it, which must take no lock.
    times : dict of int to tuple of float
        When the thing of each number was last asked for, and when it was given, in seconds of ``time.perf_counter``.
    """

    def __init__(self, make: Callable[[int], _T], count: int | None) -> None:
        self._make, self._count = make, count
        self._coming: dict[int, Future[_T]] = {}
        self._closed: Future[None] = Future()
        self._thread: threading.Thread | None = None
        self.is_interrupted = False
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="melanoma_tl-batches", initializer=self._remember_thread)
        self.times: dict[int, tuple[float, float]] = {}

    def take(self, number: int) -> _T:
        """Return the thing of a number, and begin with those that follow it.

        Parameters
        ----------
        number : int
            Usually one more than in the last call; of other numbers nothing was made ahead.

        Returns
        -------
        object
            What `make` returns for the number.

        Raises
        ------
        CancelledError
            If `close` is called before it is made.
        KeyboardInterrupt
            If `is_interrupted` is set before it is made.
        RuntimeError
            If the thread has ended, as other code can make it.
        """
        asked = time.perf_counter()
        end = number + 1 + _DEPTH
        wanted = range(number, end if self._count is None else min(end, max(self._count, number + 1)))
        for other in [other for other in self._coming if other not in wanted]:
            self._coming.pop(other).cancel()
        for one in wanted:
            if one not in self._coming:
                self._coming[one] = self._pool.submit(self._make, one)
        thing = self._coming.pop(number)
        either: list[Future[Any]] = [thing, self._closed]
        while not wait(either, _LOOK, return_when=FIRST_COMPLETED).done:
            if self.is_interrupted:
                raise KeyboardInterrupt
            if self._thread is not None and not self._thread.is_alive() and not thing.done():
                raise RuntimeError("the thread that makes batches has ended: start again")
        if not thing.done():
            raise CancelledError("nothing more is made")
        self.times[number] = asked, time.perf_counter()
        return thing.result()

    def close(self) -> None:
        """Make nothing more: what the thread has begun it finishes, and drops, and who waits for it waits no longer.

        TensorFlow asks for batches in a thread of its own; if it still waited when Python ends, Python would not end.
        """
        self._coming.clear()
        self._closed.set_result(None)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _remember_thread(self) -> None:
        self._thread = threading.current_thread()
