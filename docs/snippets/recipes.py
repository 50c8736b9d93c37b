"""The example of the recipes, on drawn lesions and a small image size."""

from melanoma_tl.datasets import write_isbi

write_isbi("data", n_train=60, n_validation=8, n_test=8, size=48)

# --8<-- [start:example]
from melanoma_tl import (
    ISBIDataset,
    MetricsReport,
    TransferClassifier,
    list_recipes,
)

train = ISBIDataset.from_challenge("data", year=2016, split="train")
test = ISBIDataset.from_challenge("data", year=2017, split="test")

print(list_recipes())
# What is named here differs from the recipe: smaller images, to be quick.
clf = TransferClassifier.from_recipe("fast", input_size=(96, 96))
clf.fit(train)
report = MetricsReport.from_estimator(clf, test)
print(report)
# --8<-- [end:example]

# --8<-- [start:backbone]
other = TransferClassifier.from_recipe("fast", backbone="efficientnetb0")
print(other.head.feature_layers, other.stages)
# --8<-- [end:backbone]

# --8<-- [start:penalty]
clf = TransferClassifier.from_recipe(
    "fast",
    stages__0__C="auto",
    input_size=(96, 96),
)
clf.fit(train)
print(clf.penalty_path_)
print(clf.penalty_path_.to_frame())
clf.penalty_path_.plot().figure_.savefig("penalty.png")
# --8<-- [end:penalty]
