"""The example of the Augmenter page."""

# --8<-- [start:example]
from melanoma_tl import Augmenter, ISBIDataset
from melanoma_tl.datasets import write_challenge

write_challenge(
    "data", year=2016, split="train", n_benign=6, n_melanoma=3, size=128
)
dataset = ISBIDataset.from_challenge("data", year=2016, split="train")

published_code = Augmenter(
    rotation_range=20,
    width_shift_range=0.2,
    height_shift_range=0.2,
    horizontal_flip=True,
)
published_prose = Augmenter(horizontal_flip=True, saturation_range=(1.0, 1.5))

sheet = published_code.preview(dataset, n=3, views=5)
sheet.savefig("augmenter.png", dpi=90)
# --8<-- [end:example]
