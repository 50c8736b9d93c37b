"""The example of several diagnoses, on drawn lesions with made-up ones."""

import numpy as np

from melanoma_tl.datasets import write_isbi

write_isbi("data", n_train=60, n_validation=10, n_test=40, size=48)

from melanoma_tl import ISBIDataset

train = ISBIDataset.from_challenge("data", year=2016, split="train")
test = ISBIDataset.from_challenge("data", year=2017, split="test")


def make_up(dataset):
    rng = np.random.default_rng(0)
    other = rng.choice(["naevus", "seborrhoeic keratosis"], len(dataset))
    return np.where(dataset.labels == 1, "melanoma", other)


diagnoses, test_diagnoses = make_up(train), make_up(test)

# --8<-- [start:example]
from melanoma_tl import MulticlassReport, Probe, TransferClassifier

# diagnoses = train.metadata["diagnosis"], where the files have them
clf = TransferClassifier("vgg19", stages=[Probe()], class_weight="balanced")
clf.fit(train, diagnoses)

report = MulticlassReport.from_estimator(clf, test, test_diagnoses)
print(report)
print(report.against_rest["melanoma"].metrics["auc"])
# --8<-- [end:example]
