"""The example of the page on leaks, on drawn lesions with planted copies."""

from pathlib import Path

from PIL import Image, ImageEnhance

from melanoma_tl import ISBIDataset
from melanoma_tl.datasets import write_isbi

write_isbi("data", n_train=60, n_validation=20, n_test=40, size=160)

_train = ISBIDataset.from_challenge("data", year=2016, split="train")
_test = ISBIDataset.from_challenge("data", year=2017, split="test")


def _plant(source, target, change=None):
    if change is None:
        Path(target).write_bytes(Path(source).read_bytes())
    else:
        change(Image.open(source)).save(target, quality=70)


_plant(_train.paths[0], _train.paths[1])
_plant(_train.paths[2], _test.paths[0])
_plant(_train.paths[3], _test.paths[1], lambda image: image.resize((120, 90)))
_plant(_train.paths[4], _test.paths[2], lambda image: image.convert("L"))
_plant(
    _train.paths[5],
    _test.paths[3],
    lambda image: ImageEnhance.Brightness(image).enhance(1.2),
)

# --8<-- [start:example]
from melanoma_tl import ISBIDataset

train = ISBIDataset.from_challenge("data", year=2016, split="train")
test = ISBIDataset.from_challenge("data", year=2017, split="test")

# bad files, duplicates, label conflicts, odd sizes
verification = train.verify()
print(verification)
train = verification.remove_from(train)

# ids, bytes, near-duplicates, and lesions and patients where known
shared = train.overlap(test)
print(shared)
sheet = shared.plot()
test = shared.remove_from(test)

# at random, patients, lesions and near-duplicates undivided
train, valid = train.split(0.2, random_state=0)
# --8<-- [end:example]

sheet.savefig("leaks.png", dpi=95)
