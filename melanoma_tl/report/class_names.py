"""A report on one diagnosis against the others says what its two classes are, in sentences and in plots."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from melanoma_tl._escaping import SHORT, in_figure
from melanoma_tl.errors import ParameterError
from melanoma_tl.labels.meanings import Meaning, is_answer, normalise, read_meaning
from melanoma_tl.labels.together import as_read

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_EITHER = re.compile(r"\b(?:(benign)|melanomas?)\b", re.IGNORECASE)


def check_class_names(names: tuple[str, str], code_of: Mapping[Any, int]) -> None:
    """Raise an error for names in the wrong order, and for those that contradict the labels.

    Parameters
    ----------
    names : tuple of str
        What the user calls class 0 and class 1.
    code_of : mapping of object to int
        The labels that occur, and the class of each.

    Raises
    ------
    ParameterError
        If class 0 is melanoma and class 1 another finding, or labels say so, in the same words or by their meaning.

    Examples
    --------
    >>> check_class_names(("melanoma", "nevus"), {0: 0, 1: 1})
    Traceback (most recent call last):
    ...
    melanoma_tl.errors.ParameterError: class_names are (class 0, class 1), melanoma last, got ('melanoma', 'nevus'): \
pass ('nevus', 'melanoma'), or other names where class 0 is something else
    """
    place_of = {normalise(name): place for place, name in enumerate(names)}
    first, second = map(read_meaning, names)
    is_turned = first in (Meaning.MELANOMA, Meaning.MALIGNANT) and second is Meaning.OTHER
    # 0 and 1 answer a question, and name no class: one class among others may be called "0".
    named = {normalise(label): code for label, code in code_of.items() if not is_answer(label)}
    if is_turned or any(place_of.get(word, code) != code for word, code in named.items()):
        raise ParameterError(
            f"class_names are (class 0, class 1), melanoma last, got {names}: pass {names[::-1]}"
            + ", or other names where class 0 is something else" * is_turned
        )
    for label, word in zip(code_of, as_read(list(code_of)), strict=True):
        # Of the other class nothing is said: it may hold any finding.
        if code_of[label] and not is_answer(word) and {read_meaning(word), second} == {Meaning.MELANOMA, Meaning.OTHER}:
            raise ParameterError(
                f"class_names call class 1 {names[1]!r}, but its images are labelled {label!r}: pass class_names, such "
                f"as {(f'not {label}', label)}"
            )


def rename_classes(text: str, names: tuple[str, str]) -> str:
    """Replace the names "benign" and "melanoma".

    Parameters
    ----------
    text : str
        What the library says.
    names : tuple of str
        What class 0 and class 1 are.

    Returns
    -------
    str
        The same of these classes.

    Examples
    --------
    >>> rename_classes("Share of melanomas among benign images", ("other", "naevus"))
    'Share of naevus among other images'
    """
    # In one pass: a name such as "benign keratosis" holds one of the words itself.
    return _EITHER.sub(lambda found: names[0] if found[1] else names[1], text)


def list_texts(ax: "Axes") -> list[str]:
    """List everything that is written on axes.

    Parameters
    ----------
    ax : Axes
        The axes.

    Returns
    -------
    list of str
        In the order of drawing, and then the labels of what a legend may show.
    """
    from matplotlib.text import Text

    return [*(text.get_text() for text in ax.findobj(Text)), *ax.get_legend_handles_labels()[1]]


def rename_in_plot(ax: "Axes", names: tuple[str, str], before: Iterable[str]) -> None:
    """Replace the names "benign" and "melanoma" in the texts of axes.

    Parameters
    ----------
    ax : Axes
        Changed in place.
    names : tuple of str
        What class 0 and class 1 are.
    before : iterable of str
        What was written there before, such as by a report on another class: it stays as it is.
    """
    from matplotlib.text import Text

    names, others = (in_figure(names[0], SHORT), in_figure(names[1], SHORT)), Counter(before)
    ticks = set()  # those with words are written anew in each drawing, on either side: their formatter is changed
    for axis in (ax.xaxis, ax.yaxis):
        labels = [tick.get_text() for tick in axis.get_ticklabels()]
        renamed = labels if others.keys() >= set(labels) else [rename_classes(label, names) for label in labels]
        if renamed != labels:
            axis.set_ticks(axis.get_ticklocs(), renamed)
        ticks |= {text for tick in axis.get_major_ticks() for text in (tick.label1, tick.label2)}
    # A name may hold one of the words: nothing is renamed twice.
    texts = [text for text in ax.findobj(Text) if text not in ticks]
    writers = [(text.get_text(), text.set_text) for text in texts]
    writers += [(str(drawn.get_label()), drawn.set_label) for drawn in ax.get_legend_handles_labels()[0]]
    for written, write in writers:
        if others[written]:
            others[written] -= 1
        else:
            write(rename_classes(written, names))
