"""The guides on choosing a backbone and comparing two models."""

from melanoma_tl.datasets import write_isbi

write_isbi("data/isbi", n_train=60, n_validation=10, n_test=60, size=48)

from melanoma_tl import ISBIDataset

train = ISBIDataset.from_challenge("data/isbi", year=2016, split="train")
test = ISBIDataset.from_challenge("data/isbi", year=2017, split="test")

# --8<-- [start:backbones]
from melanoma_tl import TransferClassifier, compare_backbones
from melanoma_tl.plots import BackbonesDisplay

own_penalty = TransferClassifier.from_recipe(
    "fast", backbone="vgg16", stages__0__C="auto"
)
backbones = {
    "vgg19": "vgg19",
    "vgg16": "vgg16",
    "vgg16, own penalty": own_penalty,
}
compared = compare_backbones(backbones, train)
print(compared)
BackbonesDisplay(compared).plot().figure_.savefig("backbones.png")
# --8<-- [end:backbones]

# --8<-- [start:compare]
from melanoma_tl import MetricsReport, Probe

new = TransferClassifier.from_recipe("fast").fit(train)
old = TransferClassifier("vgg19", stages=[Probe()]).fit(train)

first = MetricsReport.from_estimator(new, test)
second = MetricsReport.from_estimator(old, test)
comparison = first.compare(
    second, names=("new", "old"), margins={"auc": 0.05}
)
print(comparison)
first.attach("Compared with the old model", comparison).save("new.html")
# --8<-- [end:compare]
