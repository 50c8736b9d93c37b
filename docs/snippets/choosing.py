"""The guides on choosing a backbone and comparing two models."""

from melanoma_tl.datasets import write_isbi

write_isbi("data/isbi", n_train=60, n_validation=10, n_test=60, size=48)

from melanoma_tl import ISBIDataset

train = ISBIDataset.from_challenge("data/isbi", year=2016, split="train")
test = ISBIDataset.from_challenge("data/isbi", year=2017, split="test")

# --8<-- [start:backbones]
from melanoma_tl import Probe, TransferClassifier, cross_validate

auc = {}
for name in ("mobilenetv3small", "mobilenetv2"):
    clf = TransferClassifier(
        name,
        stages=[Probe()],
        class_weight="balanced",
        weights=None,  # random, for this test; in earnest leave it out
        input_size=(32, 32),  # likewise
    )
    folds = cross_validate(clf, train, folds=3, random_state=0)
    auc[name] = folds.out_of_fold_report().metrics["auc"]
    print(name, auc[name])
# --8<-- [end:backbones]

# --8<-- [start:compare]
from melanoma_tl import MetricsReport

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
