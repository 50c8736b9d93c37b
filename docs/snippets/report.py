"""The example of the MetricsReport page."""

# --8<-- [start:example]
import numpy as np
from sklearn.linear_model import LogisticRegression

from melanoma_tl import ISBIDataset, MetricsReport
from melanoma_tl.datasets import write_isbi
from melanoma_tl.images import load_image

write_isbi("data", n_train=80, n_validation=10, n_test=100, size=48)
train = ISBIDataset.from_challenge("data", year=2016, split="train")
test = ISBIDataset.from_challenge("data", year=2017, split="test")


def thumbnails(dataset):
    return np.stack(
        [load_image(path, (16, 16)).ravel() / 255 for path in dataset.paths]
    )


model = LogisticRegression(
    C=0.01, class_weight="balanced", max_iter=1000
).fit(thumbnails(train), train.labels)
scores = model.predict_proba(thumbnails(test))[:, 1]

report = MetricsReport.from_scores(
    test.labels,
    scores,
    image_ids=test.image_ids,
    paths=test.paths,
    name=test.name,
)  # for a TransferClassifier: MetricsReport.from_estimator(clf, test)
print(report)
report.save("report.html")
report.save_figures("figures")
# --8<-- [end:example]

# --8<-- [start:claims]
published = MetricsReport.from_confusion(tn=72, fp=3, fn=17, tp=58)
claims = {
    "accuracy": "86.67 %",
    "precision": "95.08 %",
    "recall": "82.25 %",
    "iou": "78.26 %",
    "dice": "85.29 %",
}
print(published.check_claims(claims))
# --8<-- [end:claims]

# --8<-- [start:plots]
from melanoma_tl.plots import DecisionCurveDisplay

other = LogisticRegression(C=100, max_iter=1000).fit(
    thumbnails(train), train.labels
)

display = report.plot_decision_curve()
DecisionCurveDisplay.from_estimator(
    other,
    thumbnails(test),
    test.labels,
    ax=display.ax_,
    ref_line=False,
    label="less regularised",
    color="black",
)
display.figure_.savefig("decision_curve.png")
# --8<-- [end:plots]
