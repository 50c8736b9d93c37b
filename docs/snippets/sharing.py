"""The guide on sharing a model; its test has a hub of its own."""

from melanoma_tl import ISBIDataset
from melanoma_tl.datasets import write_isbi

write_isbi("data/isbi", n_train=20, n_validation=10, n_test=10, size=48)
train = ISBIDataset.from_challenge("data/isbi", year=2016, split="train")
test = ISBIDataset.from_challenge("data/isbi", year=2017, split="test")

# --8<-- [start:push]
from melanoma_tl import MetricsReport, TransferClassifier

clf = TransferClassifier.from_recipe("fast", random_state=0).fit(train)
report = MetricsReport.from_estimator(clf, test)
address = clf.push_to_hub("user/melanoma", report=report)
print(address)  # hf://user/melanoma@ and the commit
# --8<-- [end:push]

# --8<-- [start:pull]
again = TransferClassifier.from_pretrained(address)
print(again.provenance_["downloaded_from"]["sha256"])
# --8<-- [end:pull]
