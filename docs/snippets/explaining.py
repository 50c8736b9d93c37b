"""The example of the page on explanations."""

from melanoma_tl.datasets import write_isbi

write_isbi("data", n_train=40, n_validation=20, n_test=40, size=48)

# --8<-- [start:example]
from melanoma_tl import ISBIDataset, MetricsReport, TransferClassifier
from melanoma_tl.explain import check_shortcuts, explain, explain_errors

train = ISBIDataset.from_challenge("data", year=2016, split="train")
valid = ISBIDataset.from_challenge("data", year=2016, split="test")
test = ISBIDataset.from_challenge("data", year=2017, split="test")

clf = TransferClassifier("vgg19", epochs=2, random_state=0)
clf.fit(train)
clf.tune_threshold(valid, sensitivity=0.9)

check = check_shortcuts(clf, test)
print(check)
check.plot().savefig("covered.png")  # look at what was covered

explain(clf, test[:3]).plot().savefig("maps.png")

# into the report
report = MetricsReport.from_estimator(clf, test)
report = report.attach("Shortcuts", check)
report = report.attach("Errors explained", explain_errors(clf, report))
report.save(
    "report.html",
    card={"intended_use": "To try the library on drawn lesions."},
)
# --8<-- [end:example]
