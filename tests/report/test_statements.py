"""Every sentence of a report is checked against what was done, whatever the model, the images and the threshold."""

import itertools
import json
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import draw_images
from markupsafe import escape
from PIL import Image
from sklearn.metrics import confusion_matrix, roc_auc_score

from melanoma_tl import Ensemble, ISBIDataset, MetricsReport, TransferClassifier
from melanoma_tl.report import CARD
from melanoma_tl.report.card import fill_card
from melanoma_tl.report.text import list_facts

pytestmark = pytest.mark.filterwarnings("ignore::melanoma_tl.errors.LeakageWarning")

N_TRAIN, N_VALID, N_TEST = 24, 30, 60
SENSITIVITY = 0.8


# -- what is done ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Images of training, validation and test, of which nobody has seen another's."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    parts = {}
    for seed, (name, n) in enumerate({"train": N_TRAIN, "valid": N_VALID, "test": N_TEST}.items()):
        labels = np.arange(n) % 2
        pictures = draw_images(n, seed=seed)
        hidden = rng.random(n) < 0.25  # some cannot be told from the other class
        pictures[hidden] = draw_images(n, seed=90 + seed)[::-1][hidden]
        paths = [folder / f"{name}_{row}.png" for row in range(n)]
        for path, picture in zip(paths, pictures, strict=True):
            Image.fromarray(picture).save(path)
        parts[name] = ISBIDataset([path.stem for path in paths], [str(path) for path in paths], labels, name=name)
    return SimpleNamespace(**parts, folder=folder)


def with_patients(dataset, patients):
    return ISBIDataset(
        dataset.image_ids,
        dataset.paths,
        dataset.labels,
        name=dataset.name,
        metadata=pd.DataFrame({"patient_id": patients}),
    )


@pytest.fixture(scope="module")
def kinds_of_data(made):
    """Each with what is true of it: how it was chosen, what of it the models have seen."""
    (made.folder / "broken.jpg").write_bytes(b"no image")
    broken = ISBIDataset(["broken"], [str(made.folder / "broken.jpg")], [1], name="broken")
    whole = f"read test: {N_TEST} of {N_TEST}"
    return {
        "whole": (made.test, [whole], None, 0),
        "part": (made.test[:40], [whole, f"[:40]: 40 of {N_TEST}"], None, 0),
        "by class": (
            made.test.sample(per_class={"melanoma": 24, "benign": 12}, random_state=0),
            [whole, f"sample(per_class={{'melanoma': 24, 'benign': 12}}, random_state=0): 36 of {N_TEST}"],
            "sample(per_class={'melanoma': 24, 'benign': 12}, random_state=0)",
            0,
        ),
        "patients": (
            with_patients(made.test, [f"p{row // 3}" for row in range(N_TEST)]),
            [whole],
            None,
            0,
        ),
        "seen": (
            made.test + made.train[:5],
            [
                whole,
                f"read train: {N_TRAIN} of {N_TRAIN}",
                f"[:5]: 5 of {N_TRAIN}",
                f"put together as test + train: {N_TEST + 5} of {N_TEST + 5}",
            ],
            None,
            5,
        ),
        "tuned on": (
            made.test + made.valid[:4],
            [
                whole,
                f"read valid: {N_VALID} of {N_VALID}",
                f"[:4]: 4 of {N_VALID}",
                f"put together as test + valid: {N_TEST + 4} of {N_TEST + 4}",
            ],
            None,
            -4,  # by those that were tuned
        ),
        "unreadable": (
            made.test + broken,
            [
                whole,
                "read broken: 1 of 1",
                f"put together as test + broken: {N_TEST + 1} of {N_TEST + 1}",
            ],
            None,
            0,
        ),
    }


@pytest.fixture(scope="module")
def models(made, tmp_path_factory):
    """Each with what is true of it: where its threshold is from, how it was calibrated."""

    def train(seed=0):
        options = {"weights": None, "epochs": 4, "learning_rate": 0.02, "trainable_from": "conv1", "on_error": "skip"}
        return TransferClassifier("tiny", **options, random_state=seed, verbose=0).fit(made.train)

    plain, tuned, warmed = train(), train(), train()
    tuned.calibrate(made.valid)
    tuned.tune_threshold(made.valid, sensitivity=SENSITIVITY)
    warmed.calibrate(made.valid, method="temperature", prevalence=0.2)
    together = Ensemble([train(1), train(2)], verbose=0)
    together.tune_threshold(made.valid, youden=True)
    path = tmp_path_factory.mktemp("models") / "tuned.keras"
    tuned.save(path)
    rule = f"sensitivity at least {SENSITIVITY:g}"
    return {
        "plain": (plain, None, None),
        "tuned": (tuned, rule, "Platt's sigmoid"),
        "loaded": (TransferClassifier.load(path), rule, "Platt's sigmoid"),
        "warmed": (warmed, None, "temperature"),
        "together": (together, "highest Youden index", None),
    }


# -- what is said ------------------------------------------------------------------------------------------------------


def is_off(t, how):
    """Tell whether the calibration metrics that a sentence names are not those of probabilities."""
    return not ("intercept" in how and t.holds("intercept", 0)) and not ("slope" in how and t.holds("slope", 1))


class Truth(SimpleNamespace):
    """What was really done, found without the report, but for the ends of its intervals."""

    @property
    def share(self):
        return 100 * self.y_true.mean()

    def interval(self, name, low, high):
        metric = self.report.metrics[name]
        return (low, high) == (f"{metric.low:.3f}", f"{metric.high:.3f}")

    def metric(self, name):
        tn, fp, fn, tp = self.counts
        values = {"sensitivity": lambda: tp / (tp + fn), "specificity": lambda: tn / (tn + fp)}
        values["AUC"] = lambda: roc_auc_score(self.y_true, self.y_score)
        return values[name]()


def number(text):
    return pytest.approx(float(text), abs=10.0 ** -len(text.partition(".")[2]))


def are_few(t, named, more):
    """Return whether metrics that are named, and the number of others, are those whose intervals are marked."""
    few = {name for name, metric in t.report.named_metrics.items() if metric.few}
    return set(named) <= few and len(named) == min(5, len(few)) and len(named) + more == len(few)


FACTS = {
    r"LEAKAGE: the model was (.*) with a counterpart of (\d+) images \((.*); (.*)\)": lambda t, done, n, by, role: (
        int(n) == t.n_seen > 0
        and f"{n} by id" in by
        and f"{n} by bytes" in by
        and (done, role) == (("tuned", f"{n} of tuning") if t.only_tuned else ("fitted", f"{n} of training"))
    ),
    r"EVERY IMAGE IS PREDICTED (MELANOMA|BENIGN): .*": lambda t, called: t.called == {called == "MELANOMA"},
    r"(TARGET MISSED|Target not reached, which may be chance): the threshold was chosen for a sensitivity of at "
    r"least (\S+); here it is (\S+) \(95 % CI (\S+)-(\S+), n = (\d+)(?:, few)?\)": (
        lambda t, start, aim, value, low, high, n: (
            t.rule == f"sensitivity at least {aim}"
            and t.metric("sensitivity") == number(value)
            and t.metric("sensitivity") < float(aim)
            and (start == "TARGET MISSED") == (float(high) < float(aim))
            and t.interval("sensitivity", low, high)
            and int(n) == t.y_true.sum()
        )
    ),
    r"The scores may be no better than chance: the AUC is (\S+) \(95 % CI (\S+)-(\S+), n = (\d+)(?:, few)?\)": (
        lambda t, *said: t.metric("AUC") == number(said[0]) and float(said[1]) <= 0.5 and int(said[3]) == len(t.y_true)
    ),
    r"The predictions (are worse than|may be no better than) chance: the balanced accuracy is (\S+) "
    r"\(95 % CI (\S+)-(\S+), n = (\d+)(?:, few)?\)(; the AUC is above chance, .*)?": (
        lambda t, verdict, value, low, high, n, _: (
            (t.metric("sensitivity") + t.metric("specificity")) / 2 == number(value)
            and t.interval("balanced_accuracy", low, high)
            and (verdict == "are worse than") == (float(high) < 0.5)
            and float(low) <= 0.5
            and len(t.called) == 2
            and int(n) == len(t.y_true)
        )
    ),
    r"Too few to judge by: only (.*); each single image .*": lambda t, few: (
        re.findall(r"\d+", few) == [str(n) for n in (t.y_true.sum(), (1 - t.y_true).sum()) if n <= 20]
    ),
    r"The scores are no probabilities here: they are (.*); calibrate on validation images": lambda t, how: (
        not t.report.provenance.get("calibration") and is_off(t, how)
    ),
    r"The scores are no probabilities here: they are (.*); the calibration that was found on other images does not "
    r"hold here; find it on more images like these": lambda t, how: (
        bool(t.report.provenance["calibration"]) and is_off(t, how)
    ),
    r"The share of melanomas was set by how the images were chosen, and is not that of the source: (.*)": (
        lambda t, how: how == t.chosen_by
    ),
    r"An interval without width does not mean certainty: .* \((.*)\)": lambda t, _: any(
        metric.low == metric.high for metric in t.report.metrics.values()
    ),
    r"Intervals marked few are based on at most 20 images of a class, or on images of at most 20 patients; their "
    r"coverage is below the nominal level \((.*?)(?:; and (\d+) more)?\)": lambda t, marked, more: (
        are_few(t, marked.split("; "), int(more or 0)) and min(t.units[0], t.units[1] / 5) <= 20
    ),
    r"Nothing was found that speaks against these metrics; looked at: (.*)": lambda t, _: (
        not (t.n_seen or t.chosen_by or len(t.called) == 1)
    ),
    r"(\d+) images: (\d+) melanoma, (\d+) benign; (\d+) skipped; predicted melanoma when the score is above (\S+)": (
        lambda t, n, melanoma, benign, skipped, threshold: (
            (int(n), int(melanoma), int(benign)) == (len(t.y_true), t.y_true.sum(), (1 - t.y_true).sum())
            and int(skipped) == t.n_skipped
            and float(threshold) == pytest.approx(t.threshold, rel=1e-5)
        )
    ),
    r"Melanoma prevalence (\S+) %: .* hold at this prevalence only": lambda t, share: t.share == number(share),
    r"The images are of (\d+) patients or lesions: intervals take these as units, not images": lambda t, n: (
        int(n) == t.n_patients
    ),
}

ENTRIES = {
    "test_images": r"(\w.*): (\d+) images, (\d+) melanoma and (\d+) benign\.",
    "missing_data": r"How the images were chosen \(kept of what there was before\): (.*)\. "
    r"(Each has a score|1 that could not be used are listed under Data)\.",
    "threshold_and_calibration": r"An image is predicted melanoma when its score is above (\S+), (.*?)\."
    r"(?: Calibrated: (.*)\.| The scores were not calibrated\.)",
    "independence": r"(?:No test image has|(\d+) test images have) a counterpart among those the model was (.*) with"
    r"(?:; compared by (.*))?\.",
    "sample_size": r"\d+ images \((\d+) melanoma and (\d+) benign\) give .*Sensitivity \(recall\) (\S+) \(.*\), "
    r"Specificity (\S+) \(.*\)\.",
    "model": r"Recipe: (.*)\. Network: (.*?)\.(?: Ensemble: (.*)\.)?",
}


def check_card(truth, card):
    said = {key: re.fullmatch(pattern, card[key]) for key, pattern in ENTRIES.items()}
    assert all(said.values()), {key: card[key] for key, found in said.items() if not found}
    name, *counts = said["test_images"].groups()
    assert (name, *map(int, counts)) == (truth.name, len(truth.y_true), truth.y_true.sum(), (1 - truth.y_true).sum())
    history, left_out = said["missing_data"].groups()
    assert history == "; ".join(truth.history)
    assert (left_out == "Each has a score") == (truth.n_skipped == 0)
    threshold, origin, calibration = said["threshold_and_calibration"].groups()
    assert truth.threshold == pytest.approx(float(threshold), rel=1e-3)
    assert origin == truth.origin
    if truth.calibrated:
        assert calibration.startswith(truth.calibrated)
        assert f"fitted on {N_VALID} images ({N_VALID // 2} melanomas)" in calibration
    else:
        assert calibration is None
    n_seen, done, compared = said["independence"].groups()
    assert int(n_seen or 0) == truth.n_seen
    assert done == ("fitted or tuned" if not truth.n_seen else "tuned" if truth.only_tuned else "fitted")
    if compared is not None:
        assert compared.split(", ") == ["id", "bytes", "near-duplicate"], "there was nothing else to compare by"
    n_melanoma, n_benign, sensitivity, specificity = said["sample_size"].groups()
    assert [int(n_melanoma), int(n_benign)] == [truth.y_true.sum(), (1 - truth.y_true).sum()]
    assert truth.metric("sensitivity") == number(sensitivity)
    assert truth.metric("specificity") == number(specificity)
    recipe, network, ensemble = said["model"].groups()
    assert recipe == "none", "it is none of the named ones"
    assert "backbone: tiny" in network
    assert (ensemble is not None) == truth.is_ensemble


def check_document(truth, document):
    tn, fp, fn, tp = truth.counts
    assert document["confusion_matrix"] == {"tn": tn, "fp": fp, "fn": fn, "tp": tp}
    assert document["auc"]["value"] == pytest.approx(truth.metric("AUC"), abs=1e-12)
    assert document["threshold"] == truth.threshold
    known = document["provenance"]
    assert known["test_data"]["history"] == truth.history
    assert known["test_data"]["prevalence_set_by"] == truth.chosen_by
    assert known["test_data"]["skipped"] == len(document["skipped"]) == truth.n_skipped
    assert known["seen_by_the_model"]["images"] == truth.n_seen
    assert (known.get("operating_point") or {}).get("rule") == truth.rule
    assert (known["calibration"] is not None) == (truth.calibrated is not None)


COMBINATIONS = list(
    itertools.product(
        ["plain", "tuned", "loaded", "warmed", "together"],
        ["whole", "part", "by class", "patients", "seen", "tuned on", "unreadable"],
        [None, 0.77],
    )
)


@pytest.fixture(scope="module")
def told(models, kinds_of_data):
    """Make the report of each combination once, with what is true of it."""

    def tell(model, data, threshold):
        estimator, rule, calibrated = models[model]
        X, history, chosen_by, seen = kinds_of_data[data]
        report = MetricsReport.from_estimator(estimator, X, threshold=threshold, n_resamples=100)
        patients = X.metadata["patient_id"].to_numpy() if data == "patients" else np.arange(len(X))
        usable = np.array([image_id != "broken" for image_id in X.image_ids])
        used = estimator.threshold_ if threshold is None else threshold
        scores = estimator.predict_proba(X)[:, 1][usable]
        if threshold is not None:
            origin = "given to the report, which does not know how it was chosen"
        elif rule:
            origin = f"chosen on {N_VALID} images with tune_threshold, by the rule: {rule}"
        else:
            origin = "the classifier's parameter, which was not tuned"
        calibration = report.calibration
        return Truth(
            report=report,
            name=X.name,
            y_true=X.labels[usable],
            y_score=scores,
            counts=confusion_matrix(X.labels[usable], scores > used, labels=[0, 1]).ravel(),
            called=set((scores > used).tolist()),
            threshold=used,
            n_seen=seen if seen >= 0 else (-seen if rule or calibrated else 0),
            units=[len(set(patients[(X.labels == label) & usable])) for label in (0, 1)],
            only_tuned=seen < 0,
            n_skipped=int((~usable).sum()),
            n_patients=len(set(X.metadata["patient_id"])) if data == "patients" else None,
            rule=rule if threshold is None else None,
            origin=origin,
            calibrated=calibrated,
            chosen_by=chosen_by,
            history=history,
            is_ensemble=model == "together",
            holds=lambda which, value: (
                calibration[f"calibration_{which}"].low <= value <= calibration[f"calibration_{which}"].high
            ),
        )

    return tell


@pytest.mark.parametrize(("model", "data", "threshold"), COMBINATIONS)
def test_every_sentence_is_true(told, model, data, threshold):
    truth = told(model, data, threshold)
    facts = list_facts(truth.report)
    for fact in facts:
        found = [(check, match) for start, check in FACTS.items() if (match := re.fullmatch(start, fact))]
        assert len(found) == 1, f"a sentence that nobody checks: {fact}"
        (check, match), *_ = found
        assert check(truth, *match.groups()), fact
    told_of = "\n".join(facts)
    assert ("LEAKAGE" in told_of) == (truth.n_seen > 0)
    assert ("EVERY IMAGE" in told_of) == (len(truth.called) == 1)
    assert ("was set by" in told_of) == (truth.chosen_by is not None)
    assert ("patients or lesions" in told_of) == (truth.n_patients is not None)
    assert ("marked few" in told_of) == (min(truth.units[0], truth.units[1] / 5) <= 20), (
        "the partial AUC rests on a fifth of the melanomas"
    )
    assert ("Too few" in told_of) == (min(truth.y_true.sum(), (1 - truth.y_true).sum()) <= 20)
    if truth.rule and truth.rule.startswith("sens"):
        assert ("TARGET MISSED" in told_of or "Target not" in told_of) == (truth.metric("sensitivity") < SENSITIVITY)
    check_card(truth, {key: entry.text for key, entry in zip(CARD, fill_card(truth.report, {}), strict=True)})
    assert facts == str(truth.report).split("\n\n")[0].splitlines()[1:]
    assert all(f"- {fact}\n" in truth.report.to_markdown() for fact in facts)
    check_document(truth, json.loads(truth.report.to_json()))


@pytest.mark.slow
@pytest.mark.parametrize(("model", "data"), [("tuned", "seen"), ("together", "by class")])
def test_the_page_says_the_same(told, model, data, tmp_path):
    report = told(model, data, None).report
    page = report.save(tmp_path / "page.html").read_text()
    entries = [entry.text for entry in fill_card(report, {})]
    for sentence in [*list_facts(report), *entries]:
        assert str(escape(sentence)) in page
