"""The examples of the page on many images, on drawn lesions."""

from pathlib import Path

from melanoma_tl import ISBIDataset, TransferClassifier
from melanoma_tl.datasets import write_isbi

write_isbi("data/isbi", n_train=30, n_validation=10, n_test=10, size=48)
train = ISBIDataset.from_challenge("data/isbi", year=2016, split="train")
archive = Path(train.paths[0]).parent
clf = TransferClassifier("vgg19", epochs=1, random_state=0, verbose=0)
clf.fit(train).save("melanoma.keras")
(archive / "ISIC_empty.jpg").touch()
archive.rename("archive")

# --8<-- [start:score]
import pandas as pd

from melanoma_tl import scale

result = scale.score("archive/**/*.jpg", "melanoma.keras", out="scores")
print(result)
print(result.errors)  # id, path and reason of what could not be read

table = pd.read_parquet("scores", columns=["path", "score"])
print(table.nlargest(10, "score"))
# --8<-- [end:score]

Path("archive").rename(archive)

# --8<-- [start:extract]
clf = TransferClassifier("vgg19", epochs=2, random_state=0)
scale.extract(train, clf, out="features")  # on all machines
n_features = scale.store_features("features")  # on the machine that fits
clf.fit(train)
# --8<-- [end:extract]
