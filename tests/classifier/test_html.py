"""What notebooks show of classifiers, datasets and reports, whatever their classes and data are named."""

import html.parser
import re

import numpy as np
import pandas as pd
import pytest

from melanoma_tl import ISBIDataset, MetricsReport, Probe, TransferClassifier
from melanoma_tl._escaping import visible
from melanoma_tl.report import MulticlassReport

HOSTILE = {
    "script": "<script>alert(1)</script>",
    "attribute": "\" onmouseover='alert(1)' x=\"",
    "direction": "\u202egnp.exe\u2066 \u200f",
    "long": "melanoma" * 38,
    "emoji": "\U0001fa7a \U0001f469\U0001f3fd\u200d\u2695\ufe0f \u05de\u05dc\u05e0\u05d5\u05de\u05d4",
    "line break": "line\nbreak\r\nand\ttab",
}

pytestmark = pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)


class Shown(html.parser.HTMLParser):
    """What a page shows, and the elements and attributes that it has."""

    def __init__(self, page):
        super().__init__()
        self.text, self.tags, self.attributes = "", set(), set()
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {key for key, _ in attrs}

    def handle_data(self, data):
        self.text += data


OURS = {
    "b",
    "caption",
    "div",
    "em",
    "h3",
    "h4",
    "li",
    "p",
    "span",
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "tr",
    "ul",
    "wbr",
}


def check(page, name):
    """The name stands on the page, letter by letter, and nothing of it is markup."""
    shown = Shown(page)
    assert visible(name) in shown.text
    assert shown.tags <= OURS
    assert shown.attributes <= {"scope", "style", "class", "role", "data-column"}
    assert not re.search("[\u202e\u2066\u200f\r\t]", page)


@pytest.mark.slow
def test_a_classifier_shows_it(name, tiny_backbone, dataset):
    labels = np.where(dataset.labels == 1, name, "other")
    named = ISBIDataset(dataset.image_ids, dataset.paths, dataset.labels, name=f"{name} set")
    clf = TransferClassifier(tiny_backbone, weights=None, stages=[Probe()], pos_label=name, verbose=0)
    clf.fit(named, labels)
    page = clf._repr_html_() if hasattr(clf, "_repr_html_") else clf._html_repr()
    ours = page[page.rindex('<div style="margin-top: .6em">') :]
    check(ours, name)
    assert visible(f"{name} set") in Shown(ours).text
    assert HOSTILE["script"] not in page


def test_a_dataset_shows_it(name):
    table = pd.DataFrame({"site": [name] * 4, name: range(4)})
    made = ISBIDataset([f"{name}{row}" for row in range(4)], None, [0, 1, 0, 1], name=f"{name} set", metadata=table)
    page = made._repr_html_()
    check(page, name)
    assert Shown(page).text.count(visible(name)) >= 2 + 2 * 4, "the name, the column, and in each row id and site"


def test_a_report_shows_it(name):
    truth, scores = np.arange(40) % 2, np.linspace(0.1, 0.9, 40)
    made = MetricsReport.from_scores(truth, scores, name=name, class_names=("other", name), n_resamples=100)
    check(made._repr_html_(), name)


def test_a_report_of_several_diagnoses_shows_it(name, tmp_path):
    truth = np.arange(60) % 3
    scores = np.random.default_rng(0).dirichlet(np.ones(3), 60)
    classes = [name, "nevus", f"{name} 2"]
    labels = [classes[number] for number in truth]
    made = MulticlassReport.from_scores(labels, scores, classes=classes, name=name, n_resamples=100)
    check(made._repr_html_(), name)
    made.plot_each("roc").canvas.draw()
    made.plot_classes().figure_.canvas.draw()
    assert len(made.plot_roc().line_) == 3
