"""The example of the home page, on drawn lesions."""

from melanoma_tl.datasets import write_isbi

write_isbi("data/isbi", n_train=30, n_validation=10, n_test=20, size=48)

# --8<-- [start:example]
from melanoma_tl import (
    Augmenter,
    Balancer,
    ISBIDataset,
    MetricsReport,
    TransferClassifier,
)

train = ISBIDataset.from_challenge("data/isbi", year=2016, split="train")
valid = ISBIDataset.from_challenge("data/isbi", year=2016, split="test")
test = ISBIDataset.from_challenge("data/isbi", year=2017, split="test")
# copies, near-duplicates, lesions and patients that both sets hold
test = train.overlap(test).remove_from(test)

clf = TransferClassifier(
    "vgg19",
    balancer=Balancer(),
    augmenter=Augmenter(horizontal_flip=True, views=2),
)
clf.fit(train, validation_data=valid)
report = MetricsReport.from_estimator(clf, test)
print(report)  # every figure with its 95 % interval and its n
report.save("report.html")
clf.save("melanoma.keras")
# --8<-- [end:example]
