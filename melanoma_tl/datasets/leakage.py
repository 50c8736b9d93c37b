"""What two datasets share."""

from dataclasses import dataclass

import pandas as pd

from melanoma_tl.errors import LeakageError


@dataclass(frozen=True)
class Overlap:
    """The images that two datasets share; its length is their number.

    Attributes
    ----------
    left, right : str
        Names of the two datasets.
    image_ids : tuple of str
        The shared ids, in the order of the left dataset.

    Examples
    --------
    >>> shared = Overlap("train", "test", ("ISIC_0000003",))
    >>> len(shared)
    1
    >>> shared.raise_if_any()
    Traceback (most recent call last):
    ...
    melanoma_tl.errors.LeakageError: 'train' and 'test' share 1 image: ISIC_0000003. ...
    """

    left: str
    right: str
    image_ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.image_ids)

    def __str__(self) -> str:
        shown = ", ".join(self.image_ids[:5])
        more = f", … and {len(self) - 5} more" if len(self) > 5 else ""
        images = "1 image" if len(self) == 1 else f"{len(self)} images"
        return f"{self.left!r} and {self.right!r} share {images if self.image_ids else 'no image'}" + (
            f": {shown}{more}" if self.image_ids else ""
        )

    def to_frame(self) -> pd.DataFrame:
        """List the shared images as a table.

        Returns
        -------
        pandas.DataFrame
            One column, ``image_id``.
        """
        return pd.DataFrame({"image_id": list(self.image_ids)})

    def raise_if_any(self) -> None:
        """Stop when anything is shared.

        Raises
        ------
        LeakageError
            If at least one image is in both datasets.
        """
        if self.image_ids:
            raise LeakageError(f"{self}. Figures from shared images say nothing about new ones: remove them from one.")
