"""The guide "Write the methods section", on drawn lesions."""

from melanoma_tl.datasets import write_isbi

write_isbi("data/isbi", n_train=60, n_validation=60, n_test=60, size=48)

from melanoma_tl import ISBIDataset, MetricsReport, TransferClassifier

train = ISBIDataset.from_challenge("data/isbi", year=2016, split="train")
valid = ISBIDataset.from_challenge("data/isbi", year=2016, split="test")
test = ISBIDataset.from_challenge("data/isbi", year=2017, split="test")
clf = TransferClassifier.from_recipe("fast").fit(train)
clf.tune_threshold(valid, sensitivity=0.9)

# --8<-- [start:example]
report = MetricsReport.from_estimator(clf, test)
report.save(
    "report.html",
    card={
        "intended_use": "Research on triage of dermoscopic images.",
        "reference_standard": "Histology of melanomas; the benign images by "
        "histology or by agreement of experts.",
        "limitations": "One archive; few images of dark skin.",
        "ethics": "Published, anonymised images; no approval needed.",
    },
)
report.save("report.json")  # every number of the page, for tables

print(test.history)  # how the test images came to be chosen
print(report.provenance["operating_point"]["rule"])
print(report.to_frame()[["metric", "value", "low", "high", "n"]].head())
# --8<-- [end:example]
