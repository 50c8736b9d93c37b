"""The walk of "Getting started", drawn where data/isbi is missing."""

from pathlib import Path

from melanoma_tl.datasets import write_isbi


def download():
    # --8<-- [start:download]
    from melanoma_tl import ISBIDataset

    for year, split in ((2016, "train"), (2016, "test"), (2017, "test")):
        ISBIDataset.download("data/isbi", year=year, split=split)
    # --8<-- [end:download]


if not Path("data/isbi").exists():
    write_isbi("data/isbi", n_train=300, n_validation=150, n_test=60, size=64)

# --8<-- [start:read]
from melanoma_tl import ISBIDataset

options = {"root": "data/isbi", "on_error": "skip"}
train = ISBIDataset.from_challenge(year=2016, split="train", **options)
valid = ISBIDataset.from_challenge(year=2016, split="test", **options)
test = ISBIDataset.from_challenge(year=2017, split="test", **options)
print(train)
# --8<-- [end:read]

# --8<-- [start:overlap]
overlap = train.overlap(valid)
print(overlap)
valid = overlap.remove_from(valid)
test = (train + valid).overlap(test).remove_from(test)
print(len(valid), len(test))
# --8<-- [end:overlap]

# --8<-- [start:fit]
from melanoma_tl import TransferClassifier

clf = TransferClassifier.from_recipe("fast")
clf.fit(train)
# --8<-- [end:fit]

# --8<-- [start:calibrate]
calibration = clf.calibrate(valid)
print(calibration)
# --8<-- [end:calibrate]

# --8<-- [start:threshold]
point = clf.tune_threshold(valid, sensitivity=0.9)
print(point)
# --8<-- [end:threshold]

# --8<-- [start:report]
from melanoma_tl import MetricsReport

report = MetricsReport.from_estimator(clf, test)
print(*report.concerns(), sep="\n")
for name in ("auc", "sensitivity", "specificity"):
    value = report.metrics[name]
    print(f"{name} {value.value:.2f} ({value.low:.2f}-{value.high:.2f})")
# --8<-- [end:report]

# --8<-- [start:page]
report.save("report.html")
# --8<-- [end:page]

# --8<-- [start:keep]
clf.save("melanoma.keras")
again = TransferClassifier.load("melanoma.keras")
scores = again.predict_proba(test.paths[:2])[:, 1]  # or any files
print(scores.round(3), again.predict(test.paths[:2]))
# --8<-- [end:keep]
