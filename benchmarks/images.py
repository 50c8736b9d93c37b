"""Lay out the images as every contestant can read them: folders, one a class where classes matter."""

from collections.abc import Mapping
from pathlib import Path

from melanoma_tl import ISBIDataset


def link_classes(dataset: ISBIDataset, counts: Mapping[str, int], folder: Path) -> str:
    """Link the first images of each class into a folder of that class."""
    for image in dataset.first(per_class=counts):
        target = folder / ("melanoma" if image.label else "benign") / Path(image.path).name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(Path(image.path).resolve())
    return str(folder)


def link(paths: list[Path], folder: Path) -> str:
    """Link images into one folder."""
    folder.mkdir()
    for path in paths:
        (folder / path.name).symlink_to(path.resolve())
    return str(folder)


def multiply(paths: list[Path], n: int, folder: Path) -> str:
    """Make n different files of fewer images: the same pictures with another comment at the end of the JPEG."""
    folder.mkdir()
    for number in range(n):
        content = paths[number % len(paths)].read_bytes() + f"image {number}".encode()
        (folder / f"{number:06}.jpg").write_bytes(content)
    return str(folder)
