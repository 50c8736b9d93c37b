"""The examples of the page on prediction."""

from melanoma_tl.datasets import write_isbi

write_isbi("data", n_train=60, n_validation=30, n_test=40, size=64)

# --8<-- [start:cross_validate]
from melanoma_tl import (
    Ensemble,
    ISBIDataset,
    MetricsReport,
    TransferClassifier,
    cross_validate,
)

train = ISBIDataset.from_challenge("data", year=2016, split="train")
test = ISBIDataset.from_challenge("data", year=2017, split="test")

clf = TransferClassifier(
    "vgg19",
    weights=None,  # random, to keep this short; in earnest: "imagenet"
    input_size=(32, 32),
    epochs=2,
    tta=8,
    random_state=0,
)
ensemble = cross_validate(clf, train, folds=3)

folds = ensemble.fold_metrics()  # a row for each fold
print(folds[["images", "auc", "auc_low", "auc_high"]].round(2))
print(ensemble.out_of_fold_report())  # each image by a member new to it
print(MetricsReport.from_estimator(ensemble, test))

ensemble.save("ensemble.zip")
again = Ensemble.load("ensemble.zip")
# --8<-- [end:cross_validate]

valid = ISBIDataset.from_challenge("data", year=2016, split="test")

# --8<-- [start:ensemble]
members = [
    TransferClassifier(
        "vgg19", weights=None, input_size=(side, side), epochs=1
    ).fit(train)
    for side in (32, 48)
]
ranked = Ensemble(members, combine="rank").set_reference(valid)
scores = ranked.predict_proba(test)[:, 1]
# --8<-- [end:ensemble]

# --8<-- [start:scikit_learn]
from imblearn.pipeline import make_pipeline
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV

from melanoma_tl import Balancer

pipeline = make_pipeline(Balancer(random_state=0), clf)
search = GridSearchCV(
    pipeline,
    {"transferclassifier__learning_rate": [1e-3, 1e-2]},
    scoring="roc_auc",
    cv=2,
)
search.fit(train.paths, train.labels)

calibrated = CalibratedClassifierCV(FrozenEstimator(ranked))
calibrated.fit(valid.paths, valid.labels)
probabilities = calibrated.predict_proba(test.paths)
# --8<-- [end:scikit_learn]
