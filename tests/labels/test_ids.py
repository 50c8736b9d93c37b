import logging

import numpy as np
import pandas as pd
import pytest

from melanoma_tl.datasets.splitting import number_own_groups
from melanoma_tl.errors import ParameterError
from melanoma_tl.labels.ids import as_first_written, fold_id, read_id
from melanoma_tl.metrics.resampling import number_groups


@pytest.mark.parametrize(
    "spelling",
    ["p030", " P030", "P030\u00a0", "P 030", "P030\t", "\ufeffP030", "P\u200b030", "\uff30\uff10\uff13\uff10"],
)
def test_case_blanks_and_unicode_form_do_not_tell_ids_apart(spelling):
    assert fold_id(spelling) == fold_id("P030")
    assert number_groups([spelling, "P030", "P031"], 3).tolist() == [0, 0, 1]


@pytest.mark.parametrize(("one", "other"), [("1", "01"), ("1", "P1"), ("P-1", "P1"), ("P_1", "P1"), ("e", "\u00e9")])
def test_what_else_differs_does(one, other):
    assert fold_id(one) != fold_id(other)


@pytest.mark.parametrize(
    "word",
    ["nan", "None", "?", "", " ", "-1", -1, -1.0, "--", "dummy", "N.A", "n/a.", "n/k", "EMPTY", "blank", "unknown.",
     "k.A", "P_nan", "patient_nan", "P-None", "pat null", "Pnan", "lesion_<NA>", None, np.nan, pd.NA],
)  # fmt: skip
def test_what_names_nobody_is_nobody_in_splits_and_in_metrics(word):
    assert read_id(word) is None
    groups = ["P1", word, "P1", word, "P2"]
    assert number_groups(groups, 5).tolist() == [0, 2, 0, 3, 1]
    assert number_own_groups(groups, 5)[[1, 3]].tolist() == [0, 0]


@pytest.mark.parametrize(
    "word", ["P1", "0", 0, "Nanny", "nana", "P_nancy", "Ann", "x1", "P.", "blanka", "1.5", "Nullo"]
)
def test_what_names_somebody_stays(word):
    assert read_id(word) is not None
    assert number_groups([word, "other person", word], 3).tolist() == [0, 1, 0]


def test_a_list_with_nan_and_numbers_of_any_type_are_read_alike():
    assert number_groups(["P1", float("nan"), "P1", float("nan")], 4).tolist() == [0, 1, 0, 2]
    assert number_groups(np.array([7, 7, -1, -1, 8]), 5).tolist() == [0, 0, 2, 3, 1]
    assert number_groups(np.array([7, 7.0, "7", np.int64(7), 8], dtype=object), 5).tolist() == [0, 0, 0, 0, 1]
    assert number_groups(pd.Series(["a", pd.NA, "b"], dtype="string"), 3).tolist() == [0, 2, 1]
    with pytest.raises(ParameterError, match="more than one patient, got 'P1' for all 2 images"):
        number_groups(["P1", "p1 "], 2)


def test_accents_are_one_in_both_forms_and_folding_twice_changes_nothing():
    for word in ("Mu\u0308ller", "M\u00dcLLER", "STRASSE", "stra\u00dfe", "\u0130x", "\ufb01g 1"):
        assert fold_id(fold_id(word)) == fold_id(word)
    assert fold_id("Mu\u0308ller") == fold_id("M\u00dcLLER")
    assert fold_id("stra\u00dfe") == fold_id("STRASSE")


def test_the_first_spelling_stands_for_all_and_the_log_names_them(caplog):
    with caplog.at_level(logging.WARNING):
        assert as_first_written(["b", None, "B", "a", "b "], name="mine", what="lesion") == ["b", None, "b", "a", "b"]
    said = "mine: 1 lesion id is written in several ways that differ in case, blanks or Unicode form alone "
    assert caplog.messages == [said + "('b' = 'B' = 'b '); each is taken for one lesion"]
    caplog.clear()
    as_first_written(pd.Series(["a", "b", "a"]), name="mine", what="lesion")
    assert not caplog.messages


def test_numbers_are_groups_as_they_stand():
    assert number_groups([7, 8, 7, None, None], 5).tolist() == [0, 1, 0, 2, 3]
