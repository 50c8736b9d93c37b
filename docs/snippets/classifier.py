"""The example of the TransferClassifier page."""

# --8<-- [start:example]
from melanoma_tl import (
    Augmenter,
    Balancer,
    ISBIDataset,
    MetricsReport,
    TransferClassifier,
)
from melanoma_tl.datasets import write_isbi

write_isbi("data", n_train=60, n_validation=30, n_test=40, size=64)
train = ISBIDataset.from_challenge("data", year=2016, split="train")
valid = ISBIDataset.from_challenge("data", year=2016, split="test")
test = ISBIDataset.from_challenge("data", year=2017, split="test")

clf = TransferClassifier(
    "vgg19",
    weights=None,  # random, to keep this short; in earnest: "imagenet"
    input_size=(32, 32),  # None takes the backbone's own 224x224
    trainable_from="block5_conv1",
    balancer=Balancer(),
    augmenter=Augmenter(horizontal_flip=True),
    epochs=4,
    random_state=0,
)
clf.fit(train, validation_data=valid)

clf.save("melanoma.keras")
again = TransferClassifier.load("melanoma.keras")
for benign, melanoma in again.predict_proba(test)[:3]:
    print(f"benign {benign:.2f}, melanoma {melanoma:.2f}")

report = MetricsReport.from_estimator(again, test)
print(report)
report.plot_history().figure_.savefig("classifier.png", dpi=110)
# --8<-- [end:example]
