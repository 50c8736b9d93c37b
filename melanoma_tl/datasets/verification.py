"""What is wrong with the images of a dataset."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from melanoma_tl._escaping import in_html, visible
from melanoma_tl._parameters import checked, having
from melanoma_tl._progress import progress
from melanoma_tl._tables import html_frame, text_table
from melanoma_tl.datasets.image_table import ImageTable, Table
from melanoma_tl.datasets.recognition import recognise_marked
from melanoma_tl.datasets.relations import find_relations
from melanoma_tl.errors import ImageError
from melanoma_tl.images.blank import why_blank
from melanoma_tl.images.decoding import decode
from melanoma_tl.images.fingerprints import GROUP_KINDS, IdentifiedImages
from melanoma_tl.images.parallel import map_threaded
from melanoma_tl.labels.contradictions import list_sex_conflicts

MAX_ASPECT_FACTOR = 1.25
"""How far an aspect ratio may be from the median before it is odd: 4:3 squashed to a square is 1.33 away."""

MAX_AREA_FACTOR = 10.0
"""How far a number of pixels may be from the median before it is odd, as of a thumbnail among photographs."""

PROBLEMS = {
    "unreadable": "cannot be decoded",
    "blank": "black, white or of one colour",
    "label conflict": "same bytes as an image of the other class",
    "duplicate": "same bytes as an earlier image",
    "near-duplicate": "looks like an earlier image",
    "odd size": "a shape or a number of pixels unlike the others",
    "sex conflict": "of a patient who is female in some images and male in others",
}
"""What `verify` looks for, the gravest first."""

_REMOVED = ("unreadable", "blank", "label conflict", "duplicate")


@dataclass(frozen=True, eq=False)
class Verification:
    """What `ISBIDataset.verify` found.

    Attributes
    ----------
    name : str
        Name of the dataset.
    n_images : int
        How many images were opened; 0 of a dataset that was read with ``labels_only=True``.
    problems : pandas.DataFrame
        One row a problem: ``image_id``, ``path``, ``problem`` ("unreadable", "blank",
        "label conflict", "duplicate", "near-duplicate", "odd size" or "sex conflict") and ``detail``;
        the gravest first.
    images : IdentifiedImages
        All images, by which `remove_from` recognises them.
    """

    name: str
    n_images: int
    problems: pd.DataFrame
    images: IdentifiedImages

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return self.problems.empty

    @property
    def counts(self) -> dict[str, int]:
        """Number of images with each problem."""
        found = self.problems.groupby("problem")["image_id"].nunique()
        return {problem: int(found.get(problem, 0)) for problem in PROBLEMS}

    def __str__(self) -> str:
        opened = f"{visible(self.name)}: {f'{self.n_images} images' if self.n_images else 'no image was opened'}"
        if self.ok:
            return f"{opened}, no problem found"
        counts = ", ".join(f"{count} {problem}" for problem, count in self.counts.items() if count)
        shown = self.problems[["image_id", "problem", "detail"]].head(20)
        table = text_table(list(shown.columns), shown.astype(str).to_numpy().tolist())
        more = f"\n… and {len(self.problems) - 20} more: see .problems" if len(self.problems) > 20 else ""
        return f"{opened}, {counts}\n\n{table}{more}"

    def _repr_html_(self) -> str:
        head = in_html(str(self).split("\n", 1)[0])
        return f"<p>{head}</p>{'' if self.ok else html_frame(self.problems.head(20))}"

    @checked(dataset=having("identify", "an ISBIDataset"))
    def remove_from(self, dataset: Table) -> Table:
        """Take out what no classifier should be trained on or judged by.

        Parameters
        ----------
        dataset : ISBIDataset
            The dataset that was verified, or what was made of it: a part, several put together, resized copies.

        Returns
        -------
        ISBIDataset
            Without unreadable and blank images, without all images of a label conflict, and with one of
            each set of duplicates. Near-duplicates stay: keep them together with `split`.

        Raises
        ------
        DatasetError
            If none of the images was verified.
        """
        removed = self.problems.loc[self.problems["problem"].isin(_REMOVED), "image_id"]
        marked = np.isin(self.images.image_ids, removed.to_numpy(dtype=str))
        unusable = recognise_marked([(self.images, marked)], dataset.identify(GROUP_KINDS, verbose=0))
        return dataset.keep(~unusable, f"without {', '.join(_REMOVED)}")


def verify(dataset: ImageTable, *, verbose: int) -> Verification:
    """Open every image of a dataset, and say what is wrong with them and with the table.

    Parameters
    ----------
    dataset : ISBIDataset
        With images, or read with ``labels_only=True``: then the table alone is looked at.
    verbose : int
        0 shows no progress bar.

    Returns
    -------
    Verification
        All problems, the gravest first.
    """
    has_images = "bytes" in dataset.relations
    found = [(row, "sex conflict", detail) for row, detail in list_sex_conflicts(dataset.metadata)]
    if has_images:
        found += _look_at_all(dataset, verbose)
    order = list(PROBLEMS)
    found.sort(key=lambda problem: (order.index(problem[1]), problem[0]))
    rows = [row for row, _, _ in found]
    problems = pd.DataFrame(
        {
            "image_id": dataset.image_ids[rows],
            "path": dataset.paths[rows] if has_images else "",
            "problem": [problem for _, problem, _ in found],
            "detail": [detail for _, _, detail in found],
        }
    )
    images = dataset.identify(GROUP_KINDS, verbose=0)
    return Verification(dataset.name, len(dataset) if has_images else 0, problems, images)


def _look_at_all(dataset: ImageTable, verbose: int) -> list[tuple[int, str, str]]:
    """Open every image, and return rows, problems and details."""
    opened = map_threaded(_look_at, dataset.paths)
    looks = list(progress(opened, f"Open {dataset.name}", total=len(dataset), verbose=verbose))
    return [
        *((row, "unreadable", look.reason) for row, look in enumerate(looks) if isinstance(look, ImageError)),
        *((row, "blank", look.blank) for row, look in enumerate(looks) if isinstance(look, _Look) and look.blank),
        *_odd_sizes({row: look.size for row, look in enumerate(looks) if isinstance(look, _Look)}),
        *_repeated(dataset.identify(("bytes", "near-duplicate"), verbose=verbose), dataset.labels),
    ]


class _Look(NamedTuple):
    size: tuple[int, int]
    blank: str


def _look_at(path: str) -> _Look | ImageError:
    try:
        image = decode(path)
    except ImageError as error:
        return error
    return _Look(image.size, why_blank(image))


def _odd_sizes(sizes: dict[int, tuple[int, int]]) -> list[tuple[int, str, str]]:
    if not sizes:
        return []
    widths, heights = np.array(list(sizes.values())).T
    shapes, areas = widths / heights, widths * heights
    aspect, area = np.median(shapes), np.median(areas)
    odd = (_factor(shapes, aspect) > MAX_ASPECT_FACTOR) | (_factor(areas, area) > MAX_AREA_FACTOR)
    return [
        (row, "odd size", f"{width}x{height}; others are {aspect:.2f} to 1, of {area:,.0f} pixels (medians)")
        for (row, (width, height)), is_odd in zip(sizes.items(), odd, strict=True)
        if is_odd
    ]


def _factor(values: NDArray[np.float64], centre: float) -> NDArray[np.float64]:
    return np.maximum(values / centre, centre / values)


def _repeated(images: IdentifiedImages, labels: NDArray[np.int64]) -> list[tuple[int, str, str]]:
    relations = find_relations(images.fingerprints, images.fingerprints, ("bytes", "near-duplicate"))
    pairs = relations[relations["left"] < relations["right"]].sort_values(["right", "left", "kind"])
    ids = images.image_ids
    found: dict[int, tuple[int, str, str]] = {}
    same_bytes = pairs[pairs["kind"] == "bytes"]
    for first, row in zip(same_bytes["left"].astype(int), same_bytes["right"].astype(int), strict=True):
        if labels[first] != labels[row]:
            for here, there in ((first, row), (row, first)):
                found[here] = (here, "label conflict", f"same bytes as {ids[there]}, which has the other label")
        else:
            found.setdefault(row, (row, "duplicate", f"same bytes as {ids[first]}"))
    alike = pairs[pairs["kind"] == "near-duplicate"]
    for first, row, bits in zip(alike["left"].astype(int), alike["right"].astype(int), alike["distance"], strict=True):
        label = "" if labels[first] == labels[row] else ", which has the other label"
        found.setdefault(row, (row, "near-duplicate", f"differs from {ids[first]} in {bits:g} of 256 bits{label}"))
    return list(found.values())
