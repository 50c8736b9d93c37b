"""The examples of the gallery, on drawn scores where there are no others."""

from pathlib import Path

import numpy as np
import pandas as pd

if not Path("scores.csv").exists():
    rng = np.random.default_rng(0)
    drawn = np.repeat([0, 1], [160, 40])
    odds = rng.normal(1.5 * drawn - 2, 1)
    pd.DataFrame({"label": drawn, "score": 1 / (1 + np.exp(-odds))}).to_csv(
        "scores.csv", index=False
    )

# --8<-- [start:report]
from melanoma_tl import MetricsReport

table = pd.read_csv("scores.csv")
report = MetricsReport.from_scores(
    table["label"], table["score"], threshold=0.166
)
# --8<-- [end:report]

# --8<-- [start:roc]
report.plot_roc().figure_.savefig("roc.png")
# --8<-- [end:roc]

# --8<-- [start:precision_recall]
report.plot_precision_recall().figure_.savefig("precision_recall.png")
# --8<-- [end:precision_recall]

# --8<-- [start:calibration]
report.plot_calibration().figure_.savefig("calibration.png")
# --8<-- [end:calibration]

# --8<-- [start:decision_curve]
report.plot_decision_curve().figure_.savefig("decision_curve.png")
# --8<-- [end:decision_curve]

# --8<-- [start:gain]
report.plot_gain().figure_.savefig("gain.png")
# --8<-- [end:gain]

# --8<-- [start:scores]
report.plot_scores().figure_.savefig("scores.png")
# --8<-- [end:scores]

# --8<-- [start:confusion_matrix]
report.plot_confusion_matrix().figure_.savefig("confusion_matrix.png")
# --8<-- [end:confusion_matrix]

# --8<-- [start:metrics]
report.plot_metrics().figure_.savefig("metrics.png")
# --8<-- [end:metrics]

# --8<-- [start:predictive_values]
report.plot_predictive_values().figure_.savefig("predictive_values.png")
# --8<-- [end:predictive_values]

from melanoma_tl.datasets import write_isbi

write_isbi("data", n_train=120, n_validation=40, n_test=40, size=96)

# --8<-- [start:explain]
from melanoma_tl import ISBIDataset, TransferClassifier
from melanoma_tl.explain import explain

train = ISBIDataset.from_challenge("data", year=2016, split="train")
test = ISBIDataset.from_challenge("data", year=2017, split="test")
clf = TransferClassifier.from_recipe("fast", input_size=(96, 96))
clf.fit(train)

melanomas = test[np.flatnonzero(test.labels == 1)[:2]]
explain(clf, melanomas).plot().savefig("explanations.png")
# --8<-- [end:explain]

# --8<-- [start:examples]
scored = MetricsReport.from_estimator(clf, test)
scored.plot_examples(n=2).savefig("examples.png")
# --8<-- [end:examples]

rng = np.random.default_rng(0)

# --8<-- [start:sites]
from melanoma_tl.metrics import combine_sites
from melanoma_tl.plots import ForestDisplay

clinics = {}
for name, n, shift in [
    ("Clinic A", 150, 1.8),
    ("Clinic B", 300, 1.2),
    ("Clinic C", 90, 2.0),
    ("Clinic D", 220, 1.6),
    ("Clinic E", 500, 1.4),
]:
    labels = np.arange(n) % 5 == 0  # a fifth are melanomas
    drawn_scores = 1 / (1 + np.exp(1 - rng.normal(shift * labels, 1)))
    clinics[name] = MetricsReport.from_scores(labels, drawn_scores)
forest = ForestDisplay(combine_sites(clinics, "auc")).plot()
forest.figure_.savefig("sites.png")
# --8<-- [end:sites]

# --8<-- [start:diagnoses]
from melanoma_tl import MulticlassReport

classes = ["melanoma", "naevus", "seborrheic keratosis"]
of = rng.choice(3, 600, p=[0.2, 0.65, 0.15])
odds = rng.normal(1.6 * np.eye(3)[of], 1)
likely = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
several = MulticlassReport.from_scores(
    np.array(classes)[of], likely, classes=classes
)
several.plot_roc().figure_.savefig("diagnoses_roc.png")
several.plot_confusion_matrix().figure_.savefig("diagnoses_matrix.png")
several.plot_classes().figure_.savefig("diagnoses_classes.png")
# --8<-- [end:diagnoses]
