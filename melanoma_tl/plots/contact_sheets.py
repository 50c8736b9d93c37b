"""Sheets of photographs, each a figure of its own."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from melanoma_tl._escaping import SHORT, in_figure
from melanoma_tl.errors import ImageError
from melanoma_tl.images.decoding import load_image
from melanoma_tl.plots.style import GREY, ORANGE, SMALL_SIZE, TEXT_SIZE, TITLE_SIZE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_THUMBNAIL = (224, 224)  # pixels
_CAPTION = 36  # letters, enough for "score of seborrheic keratosis 0.073"


class Example(NamedTuple):
    """An image to show: its id, its file, its score, and what the score is of."""

    image_id: str
    path: str
    score: float
    score_of: str = "score"


def draw_examples(groups: Mapping[str, Sequence[Example]], *, columns: int, title: str) -> "Figure":
    """Draw sample images, one row a group.

    Parameters
    ----------
    groups : mapping of str to sequence of Example
        Titles of the rows, of one line or more, and what stands in them; an empty row says "none".
    columns : int
        Images in a full row.
    title : str
        What stands above.

    Returns
    -------
    Figure
        One axes an image; images that cannot be decoded say why.
    """
    figure = new_figure(1.9 * columns + 1.7, 2.25 * len(groups) + 0.7)
    grid = _bare(figure.subplots(len(groups), columns, squeeze=False), *_THUMBNAIL)
    for row, (heading, examples) in zip(grid, groups.items(), strict=True):
        row[0].set_ylabel(
            "\n".join(in_figure(line, SHORT) for line in heading.split("\n")), fontsize=TEXT_SIZE, fontweight="bold"
        )
        for ax, example in zip(row, examples, strict=False):
            ax.set_title(
                f"{in_figure(example.image_id, SHORT)}\n{in_figure(example.score_of, SHORT)} {example.score:.3f}",
                fontsize=SMALL_SIZE,
            )
            _show(ax, example.path)
        if not examples:
            _write(row[0], "none")
    figure.suptitle("\n".join(in_figure(line, 80) for line in title.split("\n")), fontsize=TITLE_SIZE)
    return figure


class Pair(NamedTuple):
    """Two images to show side by side: their ids, their files, and what relates them."""

    image_ids: tuple[str, str]
    paths: tuple[str, str]
    caption: str


def draw_pairs(pairs: Sequence[Pair], *, title: str, columns: int = 2) -> "Figure":
    """Draw pairs of images, each pair side by side.

    Parameters
    ----------
    pairs : sequence of Pair
        What to draw; a file named "" is drawn as an empty field.
    title : str
        What stands above.
    columns : int, default=2
        Pairs in a full row.

    Returns
    -------
    Figure
        Two axes a pair; images that cannot be decoded say why.
    """
    rows = max(-(-len(pairs) // columns), 1)
    figure = new_figure(4.4 * columns, 2.6 * rows + 0.6)
    gap = 0.15  # of an image, between the pairs
    grid = figure.subplots(rows, 3 * columns, squeeze=False, width_ratios=[1, 1, gap] * columns)
    for axes, pair in zip(_bare(grid, *_THUMBNAIL).reshape(-1, 3)[:, :2], pairs, strict=False):
        for ax, image_id, path in zip(axes, pair.image_ids, pair.paths, strict=True):
            ax.set_title(in_figure(image_id, SHORT), fontsize=SMALL_SIZE)
            _show(ax, path)
        axes[0].set_xlabel(in_figure(pair.caption), fontsize=SMALL_SIZE, color=ORANGE, loc="left")
    figure.suptitle("\n".join(in_figure(line, 80) for line in title.split("\n")), fontsize=TITLE_SIZE)
    return figure


def draw_explanations(
    captions: Sequence[str],
    images: NDArray[np.uint8],
    grad_cam: NDArray[np.float32] | None,
    occlusion: NDArray[np.float32] | None,
    of_class: str = "",
) -> "Figure":
    """Draw images beside the maps of what their scores come from.

    Parameters
    ----------
    captions : sequence of str
        One an image.
    images : ndarray of shape (n, height, width, 3) and dtype uint8
        Raw RGB.
    grad_cam : ndarray of shape (n, height, width) or None
        Evidence in log odds per 1 % of the image, at least 0, on one scale of colours for all images, which ends at the
        99.5th percentile, so that a single place does not make the rest pale; None has no column.
    occlusion : ndarray of shape (n, rows, columns) or None
        -1 to 1; None has no column.
    of_class : str, default=""
        The class that the maps are evidence for.

    Returns
    -------
    Figure
        A row an image, with a scale for each kind of map.
    """
    n, height, width = images.shape[:3]
    of = f"\nfor {in_figure(of_class, SHORT)}" if of_class else ""
    columns: list[tuple[str, str, NDArray[np.float32], dict[str, Any]]] = []
    if grad_cam is not None:
        strongest = max(float(np.percentile(grad_cam, 99.5)), 1e-3)
        scale = {"cmap": "Reds", "vmin": 0, "vmax": strongest, "alpha": 0.6}
        columns.append(("Grad-CAM", f"log odds per 1 % of the image{of}", grad_cam, scale))
    if occlusion is not None:
        reach = max(float(np.abs(occlusion).max()), 1e-3)
        scale = {"cmap": "RdBu_r", "vmin": -reach, "vmax": reach, "alpha": 0.6}
        columns.append(("Occlusion", f"fall of the score when covered{of}", occlusion, scale))
    figure = new_figure(7.4 * (1 + len(columns)) / 3, 2.5 * n + 1.2)
    grid = _bare(figure.subplots(n, 1 + len(columns), squeeze=False), height, width)
    extent = (0, width, height, 0)
    for row, caption, image in zip(grid, captions, images, strict=True):
        for ax in row:
            ax.imshow(image, extent=extent)
        lines = zip(caption.split(": ", 1), (SHORT, _CAPTION), strict=False)
        row[0].set_title("\n".join(in_figure(*line) for line in lines), fontsize=SMALL_SIZE, loc="left")
    for axes, (title, label, maps, scale) in zip(grid.T[1:], columns, strict=True):
        for ax, values in zip(axes, maps, strict=True):
            mapped = ax.imshow(values, extent=extent, **scale)
        axes[0].set_title(title, fontsize=TEXT_SIZE)
        ends = "max" if title == "Grad-CAM" else "neither"  # stronger evidence has the colour of the upper end
        bar = figure.colorbar(mapped, ax=list(axes), location="bottom", shrink=0.9, pad=0.02, extend=ends)
        bar.set_label(label, fontsize=SMALL_SIZE)
        bar.ax.tick_params(labelsize=SMALL_SIZE)
    return figure


def draw_views(
    views: Sequence[NDArray[np.uint8]], *, titles: Sequence[str], names: Sequence[str] = (), side: float = 2.2
) -> "Figure":
    """Draw several versions of some images, one row an image.

    Parameters
    ----------
    views : sequence of ndarray of shape (n_versions, height, width, 3) and dtype uint8
        Raw RGB.
    titles : sequence of str of length n_versions
        What stands above the columns.
    names : sequence of str of length n_images, default=()
        What stands beside the rows.
    side : float, default=2.2
        Of a version, in inches.

    Returns
    -------
    Figure
        One axes a version.
    """
    figure = new_figure(side * len(titles), side * len(views) + 0.4)
    grid = _bare(figure.subplots(len(views), len(titles), squeeze=False), *views[0].shape[1:3])
    for row, versions in zip(grid, views, strict=True):
        for ax, version in zip(row, versions, strict=True):
            ax.imshow(version)
    for ax, title in zip(grid[0], titles, strict=True):
        ax.set_title(title, fontsize=TEXT_SIZE)
    for ax, name in zip(grid[:, 0], names, strict=False):
        ax.set_ylabel(in_figure(name, SHORT), fontsize=SMALL_SIZE)
    return figure


def _bare(grid: "NDArray[np.object_]", height: int, width: int) -> "NDArray[np.object_]":
    """Make axes fields for images of that many pixels, without ticks and frames."""
    for ax in grid.ravel():
        ax.set(xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0), aspect="equal")
        ax.spines[:].set_visible(False)
    return grid


def _show(ax: "Axes", path: str) -> None:
    if not path:
        _write(ax, "no image at hand")
        return
    try:
        ax.imshow(load_image(path, _THUMBNAIL))
    except ImageError as error:
        _write(ax, f"cannot be read:\n{in_figure(error.reason)}")


def _write(ax: "Axes", text: str) -> None:
    ax.text(0.5, 0.5, text, ha="center", va="center", transform=ax.transAxes, color=GREY, fontsize=TEXT_SIZE, wrap=True)
