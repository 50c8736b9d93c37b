"""Columns of pandas with one index in two orders are refused, wherever rows of images are read by position."""

import numpy as np
import pandas as pd
import pytest

from melanoma_tl import Balancer, ISBIDataset, MetricsReport, MulticlassReport, TransferClassifier
from melanoma_tl.errors import ParameterError
from melanoma_tl.metrics import binary
from melanoma_tl.metrics.comparisons import compare
from melanoma_tl.metrics.thresholds import choose_threshold
from melanoma_tl.plots import DecisionCurveDisplay

Y = pd.Series([0, 1] * 6)
S = pd.Series(np.linspace(0.1, 0.9, 12))
PATHS = pd.Series([f"{row}.png" for row in range(12)])


def mixed(column):
    return column.sample(frac=1, random_state=1)


def fitted():
    return TransferClassifier(backbone="VGG16")


CALLS = {
    "scores": lambda: MetricsReport.from_scores(Y, mixed(S)),
    "predictions": lambda: MetricsReport.from_scores(Y, S, y_pred=mixed(Y)),
    "groups": lambda: MetricsReport.from_scores(Y.to_numpy(), S, groups=mixed(PATHS)),
    "ids": lambda: MetricsReport.from_scores(Y, S, image_ids=mixed(PATHS)),
    "classes": lambda: MulticlassReport.from_scores(
        mixed(Y), pd.DataFrame({"a": S, "b": 1 - S}), classes=["nevus", "melanoma"]
    ),
    "auc": lambda: binary.roc_auc(Y, mixed(S)),
    "compare": lambda: compare(Y, S, mixed(S)),
    "threshold": lambda: choose_threshold(Y, mixed(S), youden=True),
    "curve": lambda: DecisionCurveDisplay.from_predictions(Y, mixed(S)),
    "dataset": lambda: ISBIDataset(PATHS, PATHS, mixed(Y)),
    "balancer": lambda: Balancer().fit_resample(S.to_frame(), mixed(Y)),
    "fit": lambda: fitted().fit(PATHS, mixed(Y)),
    "weights": lambda: fitted().fit(PATHS, Y, sample_weight=mixed(S)),
    "validation": lambda: fitted().fit(["a.png"], [0], validation_data=(PATHS, mixed(Y))),
    "score": lambda: fitted().score(PATHS, mixed(Y)),
    "calibrate": lambda: fitted().calibrate(PATHS, mixed(Y)),
    "tune": lambda: fitted().tune_threshold(PATHS, mixed(Y), youden=True),
    "report": lambda: MetricsReport.from_estimator(fitted(), PATHS, mixed(Y)),
}


@pytest.mark.parametrize("call", CALLS)
def test_one_index_in_two_orders_is_refused(call):
    with pytest.raises(ParameterError, match=r"same index in different orders.*\.loc\[\w+\.index\].*to_numpy\(\)"):
        CALLS[call]()


def test_what_is_in_order_or_of_other_rows_is_taken():
    expected = binary.roc_auc(Y, S)
    assert binary.roc_auc(Y, S.set_axis(range(100, 112))) == expected
    assert binary.roc_auc(Y, mixed(S).loc[Y.index]) == expected
    assert binary.roc_auc(Y[::-1], S[::-1]) == expected
    assert binary.roc_auc(Y, mixed(S).to_numpy()) != expected
