"""The example of a biased choice, on drawn lesions from two "cameras"."""

from pathlib import Path

from PIL import Image, ImageEnhance

from melanoma_tl import ISBIDataset
from melanoma_tl.datasets import write_challenge

write_challenge("data", n_benign=240, n_melanoma=80, size=64)
_train = ISBIDataset.from_challenge("data", year=2016, split="train")
for _path in _train.paths[len(_train) // 2 :]:
    with Image.open(_path) as _image:
        _darker = ImageEnhance.Brightness(_image).enhance(0.7)
    _darker.resize((80, 64)).save(Path(_path), quality=80)

# --8<-- [start:example]
from melanoma_tl import ISBIDataset

train = ISBIDataset.from_challenge("data", year=2016, split="train")
bias = train.selection_bias(train.first(per_class=30))
print(bias)
figure = bias.plot(n=4)
# --8<-- [end:example]

chosen_at_random = train.selection_bias(
    train.sample(per_class=30, random_state=0)
)
figure.savefig("selection.png", dpi=95)
