"""The one display of progress: a call of the library has one line, which names its work and stays when it is done.

On a terminal the line is written over itself; in a notebook it is one output, which a saved notebook keeps as text; in
a file or a pipe a plain line is written now and then.
"""

import os
import sys
import threading
import time
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Any, ClassVar, Self

from melanoma_tl._escaping import in_html, visible

SHORTEST = 0.5
"""Seconds that work takes before it is shown: what is found in the cache leaves no line."""

REDRAWN = 0.1
"""Seconds between two states of a line on a screen."""

LOGGED = 30.0
"""Seconds between two lines in a file or a pipe."""

_WIDEST, _NARROWEST_BAR, _WIDEST_BAR = 120, 10, 40


def progress(
    items: Any = None,
    /,
    work: str = "",
    *,
    total: int | None = None,
    initial: int = 0,
    unit: str = "image",
    verbose: int,
    delay: float | None = None,
) -> "Progress":
    """Show how far some work is: on a terminal, in a notebook, or in a log file.

    Work that is a part of other work of the same thread is shown in the line of the whole, which alone stays.

    Parameters
    ----------
    items : iterable, optional
        What is worked through; without it, the caller counts with ``update``.
    work : str
        What is done, and with what, such as "Open ISBI 2016 train".
    total : int, optional
        How many there are; by default the length of `items`, if it has one.
    initial : int, default=0
        How many were done before.
    unit : str, default="image"
        One of what is counted; "B" stands for bytes, and "" for what is not counted.
    verbose : int
        0 shows nothing.
    delay : float, optional
        Seconds before it is shown; by default `SHORTEST`. With 0, its last line stands in a log file too.

    Returns
    -------
    Progress
        An iterator over the items and a context manager, whether it is shown or not.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    return Progress(items, work, total, initial, unit, SHORTEST if delay is None else delay, bool(verbose))


@contextmanager
def without_hint_of_widgets() -> Iterator[None]:
    """Import a library that brings tqdm without its advice to install ipywidgets, which nothing here needs."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")
        yield


class Progress:
    """How far some work is; see `progress`."""

    _of_thread: ClassVar = threading.local()

    def __init__(
        self,
        items: Iterable[Any] | None,
        work: str,
        total: int | None,
        n: int,
        unit: str,
        delay: float,
        is_shown: bool,
    ) -> None:
        self.items, self.work, self.total, self.n = items, visible(work), total, n
        self.unit, self.delay, self.is_shown = unit, delay, is_shown
        self.note = ""
        self._begun, self._drawn = 0.0, 0.0
        self._screen: _Screen | None = None

    def __iter__(self) -> Iterator[Any]:
        with self:
            for item in () if self.items is None else self.items:
                yield item
                self.update(1)

    def __enter__(self) -> Self:
        self._begun = self._drawn = time.monotonic()
        self._works().append(self)
        if self._is_outermost and self.is_shown:
            self._screen = _find_screen()
            if self._screen is not None and self._screen.is_watched and not self.delay:
                self._draw()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        works = self._works()
        if self not in works:  # it was a part of work that has ended
            return
        if self._screen is not None:
            seconds = time.monotonic() - self._begun
            has_ended = kind is None or kind is GeneratorExit
            shortest = self.delay if self._screen.is_watched or not self.delay else LOGGED
            if not has_ended:  # the error itself says what there is to know of work that has hardly begun
                shortest = max(shortest, SHORTEST)
            self._screen.end(self._summary(seconds, has_ended) if seconds >= shortest else "")
        del works[works.index(self) :]  # and parts of it that an error has left open

    def update(self, n: int = 1) -> None:
        """Count, and show it if the last time is long enough ago.

        Parameters
        ----------
        n : int, default=1
            How many more are done.
        """
        self.n += n
        works = self._works()
        if works and works[0]._screen is not None:
            works[0]._draw_if_due()

    def say(self, note: str) -> None:
        """Show intermediate results after the counts; in the last line, in place of them.

        Parameters
        ----------
        note : str
            Such as "loss 0.41, AUC 0.84".
        """
        self.note = note

    # -- what is seen ----------------------------------------------------------------------------------------------

    @property
    def _is_outermost(self) -> bool:
        return self._works()[0] is self

    def _works(self) -> "list[Progress]":
        """Return the work of this thread, from the whole to its parts."""
        if not hasattr(self._of_thread, "works"):
            self._of_thread.works = []
        works: list[Progress] = self._of_thread.works
        return works

    def _draw_if_due(self) -> None:
        now, screen = time.monotonic(), self._screen
        interval = REDRAWN if screen is not None and screen.is_watched else LOGGED
        if now - self._begun >= self.delay and now - self._drawn >= interval:
            self._draw()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        screen, part = self._screen, self._works()[-1]
        if screen is not None:
            name = part.work if part is self else f"{self.work}: {part.work[:1].lower()}{part.work[1:]}"
            if _cells(name) > screen.width - 8:
                name = part.work
            screen.show(part._state(name, screen, self._drawn - part._begun), part._share)

    @property
    def _share(self) -> float | None:
        return min(1.0, self.n / self.total) if self.total else None

    def _state(self, name: str, screen: "_Screen", seconds: float) -> str:
        """Return the line while it goes on: as much of it as has room, the name first."""
        share, width = self._share, screen.width
        percent = "" if share is None else f" {share:4.0%}"
        line = _cut(name, width - len(percent)) + percent
        rest = [self._counts()] if self.unit else []
        rest.append(_clock(seconds) + (f", {_clock(seconds / share - seconds)} left" if share else ""))
        rest += [self.note] if self.note else []
        room = width - _cells(line)
        kept = []
        for piece in rest:
            if room < _cells(piece) + 2:
                break
            room -= _cells(piece) + 2
            kept.append(piece)
        bar = min(room - 3, _WIDEST_BAR)
        if share is not None and screen.draws_bars and bar >= _NARROWEST_BAR:
            done = round(share * bar)
            line += f" [{'#' * done}{'.' * (bar - done)}]"
        return ", ".join([line, *kept]) if kept else line

    def _summary(self, seconds: float, has_ended: bool) -> str:
        """Return the line that stays."""
        said = self.note or (self._counts() if self.unit else "")
        parts = [said if has_ended else " ".join(filter(None, ["stopped", self.unit and f"at {self._counts()}"]))]
        return f"{self.work}: {', '.join([*filter(None, parts), _clock(seconds)])}"

    def _counts(self) -> str:
        if self.unit == "B":
            return _bytes(self.n) + (f"/{_bytes(self.total)}" if self.total and self.n < self.total else "")
        of = f"/{self.total:,}" if self.total and self.n < self.total else ""
        return f"{self.n:,}{of} {self.unit}{'' if (self.total or self.n) == 1 else 's'}"


class _Screen:
    """Where lines are seen."""

    is_watched = True
    draws_bars = False
    width = _WIDEST

    def show(self, line: str, share: float | None) -> None:
        """Show how far it is, in place of what was shown before."""
        raise NotImplementedError

    def end(self, line: str) -> None:
        """Leave a line, or none."""
        raise NotImplementedError


class _Terminal(_Screen):
    """One line that is written over itself. Where two threads work, the first has it, until it ends."""

    draws_bars = True

    _first: "ClassVar[_Terminal | None]" = None
    _lock: ClassVar = threading.Lock()

    def __init__(self, stream: Any) -> None:
        self.stream, self.shown = stream, 0
        with self._lock:
            if _Terminal._first is None:
                _Terminal._first = self

    @property
    def width(self) -> int:  # type: ignore[override]
        try:
            columns = os.get_terminal_size(self.stream.fileno()).columns
        except (OSError, ValueError, AttributeError):
            columns = 0
        return min(columns or 80, _WIDEST) - 1  # a full line would begin the next one

    def show(self, line: str, share: float | None) -> None:  # noqa: ARG002
        with self._lock:
            if _Terminal._first is self:
                self._write(f"\r{line}{' ' * max(0, self.shown - _cells(line))}")
                self.shown = _cells(line)

    def end(self, line: str) -> None:
        with self._lock:
            blank = f"\r{' ' * min(self.shown, self.width)}\r" if self.shown else ""
            first = _Terminal._first
            if first is not self and first is not None and first.shown and line:  # its line goes below this one
                blank = f"\r{' ' * min(first.shown, self.width)}\r"
            self._write(blank + (f"{line}\n" if line else ""))
            if first is self:
                _Terminal._first = None

    def _write(self, text: str) -> None:
        if text:
            _write(self.stream, text)


class _LogFile(_Screen):
    """Plain lines, one below the other."""

    is_watched = False

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def show(self, line: str, share: float | None) -> None:  # noqa: ARG002
        _write(self.stream, f"{line}\n")

    def end(self, line: str) -> None:
        if line:
            _write(self.stream, f"{line}\n")


class _Notebook(_Screen):
    """One output of a cell, which is text where no HTML is shown."""

    width = 80

    def __init__(self) -> None:
        self.handle: Any = None

    def show(self, line: str, share: float | None) -> None:
        value = "" if share is None else f' value="{share:.3f}"'
        bar = f'<progress max="1"{value} style="vertical-align: middle; margin-right: .7em"></progress>'
        self._display(line, f'<div style="font-variant-numeric: tabular-nums">{bar}{in_html(line)}</div>')

    def end(self, line: str) -> None:
        if line:
            self._display(line, f"<div>{in_html(line)}</div>")
        elif self.handle is not None:
            self._display("", "")

    def _display(self, text: str, html: str) -> None:
        from IPython.display import display

        data = {"text/plain": text, "text/html": html}
        if self.handle is None:
            self.handle = display(data, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self.handle.update(data, raw=True)


def _find_screen() -> _Screen | None:
    """Return where somebody looks; None in a program without a standard error."""
    if _is_in_notebook():
        return _Notebook()
    stream = sys.stderr
    if stream is None:
        return None
    return _Terminal(stream) if stream.isatty() else _LogFile(stream)


def _is_in_notebook() -> bool:
    """Return whether this is the kernel of a notebook; a program that has imported one is none."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


def _write(stream: Any, text: str) -> None:
    """Write what the encoding of the stream can hold; whoever has closed it does not read it."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.write(text.encode(encoding, "replace").decode(encoding))
        stream.flush()
    except (OSError, ValueError):
        return


def _cells(text: str) -> int:
    """Return how wide a text is on a terminal."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def _cut(text: str, most: int) -> str:
    """Return as many letters as have room."""
    if _cells(text) <= most:
        return text
    while text and _cells(text) > most - 1:
        text = text[:-1]
    return f"{text}…"


def _clock(seconds: float) -> str:
    """Write a time as hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _bytes(n: float) -> str:
    for unit in ("B", "kB", "MB"):
        if n < 1000:
            return f"{n:.0f} {unit}"
        n /= 1000
    return f"{n:.1f} GB"
