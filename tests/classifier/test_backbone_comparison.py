"""Backbones compared on the same folds."""

import numpy as np
import pytest
from conftest import terminal

from melanoma_tl import Probe, TransferClassifier, compare_backbones, cross_validate
from melanoma_tl.errors import DatasetError, ParameterError, UnknownNameError
from melanoma_tl.plots import BackbonesDisplay


def make(**parameters):
    settings = {"stages": Probe(C=0.1), "precision": "float32", "weights": None, "random_state": 3, "verbose": 0}
    return TransferClassifier("tiny").set_params(**(settings | parameters))


@pytest.fixture(scope="module")
def found(dataset):
    # By its name alone, "tiny" is asked for weights of ImageNet, which it has not: one row fails.
    given = {"broken": "tiny", "mean": make(), "largest": make(head__pooling="max")}
    return compare_backbones(given, dataset, folds=3, random_state=7, verbose=0)


def numbers(of):
    return {name: metric.to_dict() for name, metric in of.metrics.items()}


@pytest.mark.slow
def test_each_backbone_is_cross_validated_on_the_same_folds(found, dataset):
    ensemble = cross_validate(make(head__pooling="max"), dataset, folds=3, random_state=7, verbose=0)
    _, mean, largest = found.results
    alone = ensemble.out_of_fold_report()
    np.testing.assert_equal(numbers(largest), numbers(alone))
    assert largest.differences["auc"] == alone.compare(mean.report).differences["auc"]
    assert mean.differences == {}
    assert mean.feature_bytes == largest.feature_bytes == 24 * 8 * 4
    assert min(mean.seconds, largest.seconds) > 0


def test_a_backbone_that_fails_is_a_row_with_its_reason(found):
    broken = found.results[0]
    assert broken.error.startswith("ParameterError: the backbone 'tiny' has no ImageNet weights")
    assert broken.report is None
    assert not broken.metrics
    told = str(found)
    assert "broken failed: ParameterError: the backbone" in told
    assert "Differences are of the AUC to mean" in told
    assert "24 images, 12 melanoma, out of fold: the same 3 folds for each (seed 7)" in told
    assert found._repr_html_().count("<table") == 1
    assert repr(found).startswith("BackboneComparison(3 backbones on drawn, AUC: mean ")


def test_the_table_has_a_row_for_each(found):
    frame = found.to_frame().set_index("backbone")
    assert frame.index.tolist() == ["broken", "mean", "largest"]
    assert frame.loc["broken"].drop(["error", "seconds"]).isna().all()
    largest = found.results[2]
    assert frame.loc["largest", "auc_low"] == largest.metrics["auc"].low
    assert frame.loc["largest", "average_precision_difference_high"] == largest.differences["average_precision"].high
    assert frame.loc["largest", "p_value"] == largest.differences["auc"].p_value
    assert frame.loc["mean", ["auc_difference", "p_value"]].isna().all()


def test_it_is_drawn(found):
    ax = BackbonesDisplay(found).plot("average_precision").ax_
    assert [label.get_text() for label in ax.get_yticklabels()] == ["broken", "mean", "largest"]
    values = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "o"]
    assert values == [one.metrics["average_precision"].value for one in found.results[1:]]
    with pytest.raises(UnknownNameError, match="average_precision"):
        BackbonesDisplay(found).plot("ap")


@pytest.mark.parametrize(
    ("backbones", "error", "message"),
    [
        (["vgg91"], UnknownNameError, "Did you mean 'vgg19'"),
        ([], ParameterError, "backbones must be"),
        ({}, ParameterError, "got none"),
        ([make(), make()], ParameterError, "differ, got tiny: give a mapping"),
        ([3], ParameterError, "backbones must be"),
        ("tiny", ParameterError, "has no ImageNet weights"),
    ],
)
def test_what_cannot_be_compared_is_refused(backbones, error, message, dataset):
    with pytest.raises(error, match=message):
        compare_backbones(backbones, dataset, folds=2, verbose=0)


def test_where_all_fail_the_error_is_raised(dataset):
    with pytest.raises(DatasetError, match="at least as many groups"):
        compare_backbones([make()], dataset, folds=20, verbose=0)


@pytest.mark.slow
def test_progress_is_one_line(dataset):
    with terminal() as shown:
        compare_backbones({"one": make(verbose=1), "two": make(head__pooling="max")}, dataset, folds=2)
    lines = [line.strip("\r").split("\r")[-1] for line in shown[0].split("\n") if line.strip()]
    assert len(lines) == 1
    assert lines[0].startswith("Compare backbones: 2 backbones")


@pytest.mark.slow
def test_a_seed_is_drawn_where_none_is_given(dataset):
    one = compare_backbones([make()], dataset, folds=2, random_state=None, verbose=0)
    again = compare_backbones([make()], dataset, folds=2, random_state=one.random_state, verbose=0)
    assert np.array_equal(one.results[0].report.y_score, again.results[0].report.y_score)
