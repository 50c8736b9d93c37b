"""The page: one file without network or script, readable for everyone, with everything in it."""

import base64
import html
import html.parser
import json
import re
import shutil
import subprocess
import time
from dataclasses import replace
from importlib.resources import files
from importlib.util import find_spec
from itertools import pairwise

import jsonschema
import numpy as np
import pandas as pd
import pytest
from contrasts import contrast
from isic_challenge_scoring.classification import ClassificationMetric, ClassificationScore
from matplotlib.figure import Figure

from melanoma_tl import MetricsReport
from melanoma_tl.errors import ParameterError, UnknownNameError
from melanoma_tl.metrics.metric import INTERVAL_METHODS
from melanoma_tl.plots import HistoryDisplay
from melanoma_tl.report import CARD, MulticlassReport
from melanoma_tl.report.concerns import list_concerns
from melanoma_tl.report.page import _in_words

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
AXE = files("axe_playwright_python") / "axe.min.js" if find_spec("axe_playwright_python") else None
TRUTH = np.arange(60) % 2
SCORES = np.clip(np.random.default_rng(0).normal(0.35 + 0.3 * TRUTH, 0.2), 0.01, 0.99)
NASTY = '<script>alert("x")</script>'


@pytest.fixture(scope="module")
def report():
    return MetricsReport.from_scores(
        TRUTH,
        SCORES,
        name=f"sixty {NASTY}",
        history={"loss": [0.7, 0.5], "accuracy": [0.5, 0.8]},
        skipped=[(f"ISIC_{NASTY}", "", "no such file")],
        provenance={
            "recipe": "fast",
            "seed": 7,
            "training_data": {"name": "ISBI 2016", "counts": {"0": 727, "1": 173}},
            "parameters": {"backbone": "vgg19", "input_size": [224, 224], "balancer": None},
        },
    )


@pytest.fixture(scope="module")
def attached(report):
    groups = report.subgroups({"sex": np.where(np.arange(60) < 30, "female", "male")})
    return report.attach("Subgroups", groups).attach("A drawing", Figure(figsize=(1, 1)))


@pytest.fixture(scope="module")
def page(attached, tmp_path_factory):
    return attached.save(tmp_path_factory.mktemp("page") / "report.html", card={"ethics": "Approved by nobody."})


class Elements(html.parser.HTMLParser):
    """Every element with its attributes, and the headings in their order."""

    def __init__(self, text):
        super().__init__()
        self.found, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_the_page_is_one_file_that_asks_for_nothing(page):
    text = page.read_text(encoding="utf-8")
    elements = Elements(text).found
    assert not {tag for tag, _ in elements} & {"script", "link", "iframe", "object", "embed"}
    for _, attributes in elements:
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("#", "data:image/")), attributes
    assert "default-src 'none'" in text
    assert not re.search(r"url\(|@import", text)


def test_what_users_name_is_text_and_never_code(page):
    text = page.read_text(encoding="utf-8")
    assert NASTY not in text
    assert text.count("&lt;script&gt;") >= 3


def test_every_picture_says_what_it_shows_and_can_be_decoded(page):
    pictures = [attributes for tag, attributes in Elements(page.read_text(encoding="utf-8")).found if tag == "img"]
    assert len(pictures) == 11
    for picture in pictures:
        kind, _, content = picture["src"].partition(";base64,")
        start = base64.b64decode(content)[:5]
        assert start.startswith(b"<?xml" if kind.endswith("svg+xml") else b"\xff\xd8\xff")
    assert all(len(picture["alt"]) > 30 for picture in pictures[:-1])
    assert f"AUC {MetricsReport.from_scores(TRUTH, SCORES).metrics['auc'].value:.3f}" in pictures[0]["alt"]


@pytest.mark.slow
def test_displays_and_figures_are_attached_as_pictures(report, tmp_path):
    drawings = {"Curve": report.plot_roc(), "Not drawn yet": HistoryDisplay(report.history), "Mine": Figure()}
    for title, drawing in drawings.items():
        report = report.attach(title, drawing)
    text = report.save(tmp_path / "report.html").read_text(encoding="utf-8")
    sections = re.findall(r'<section id="finding-\d.*?</section>', text, re.S)
    assert [section.count("<img") for section in sections] == [1, 1, 1]
    for form in (text, str(report), report.to_markdown(), report.to_json()):
        assert "object at 0x" not in form
        assert "Figure(" not in form


def test_wide_pictures_keep_a_width_at_which_they_can_be_read(page):
    """Their letters have 8 points and more, and are not to shrink below as many pixels."""
    text = page.read_text(encoding="utf-8")
    widths = {
        match[1]: int(match[2])
        for match in re.finditer(r'aria-label="([^"]*)">\s*<img [^>]*style="min-width: (\d+)px"', text)
    }
    assert widths["All metrics"] == round(72 * report_width("metrics"))
    assert widths["Training history"] > 600
    assert "ROC curve" not in widths


def report_width(name):
    drawn = MetricsReport.from_scores(TRUTH, SCORES, n_resamples=100).draw_all()
    return next(figure.figure.get_figwidth() for figure in drawn if figure.name == name)


def test_headings_go_down_one_level_at_a_time(page):
    levels = [int(tag[1]) for tag, _ in Elements(page.read_text(encoding="utf-8")).found if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))


def test_the_page_opens_with_verdict_concern_six_numbers_and_four_plots(page, report):
    """A reader who stops after the first section has read what the classifier is worth, and what speaks against it."""
    opening = re.search(r'<section id="summary".*?</section>', page.read_text(encoding="utf-8"), re.S)[0]
    tn, fp, fn, tp = report.counts
    assert "A classifier (recipe fast, backbone vgg19) was tested on 60 images of sixty" in opening
    assert f"found {tp} of {tp + fn} melanoma images ({100 * tp / 30:.0f} %)" in opening
    assert f"with {fp} false positives among {tn + fp} benign images ({100 * fp / 30:.0f} %)" in opening
    assert f"higher in {100 * report.metrics['auc'].value:.0f} % of pairs" in opening
    assert html.escape(list_concerns(report)[0]) in opening
    names = re.findall(r"<dt>(.*?)</dt>", opening)
    assert names[:1] + names[-2:] == ["AUC", "PPV at 50.0 % melanoma", "NPV at 50.0 % melanoma"]
    values = re.findall(r'class="value">(.*?)<', opening)
    keys = ("auc", "average_precision", "sensitivity", "specificity", "precision", "npv")
    assert values == [f"{report.metrics[key].value:.3f}" for key in keys]
    titles = re.findall(r'<img alt="(.*?)\.', opening)
    assert titles == ["ROC curve", "Precision-recall curve", "Reliability diagram", "Decision curve"]


def test_the_month_is_english_whatever_the_language_of_the_process(monkeypatch):
    there = time.strftime
    monkeypatch.setattr(time, "strftime", lambda form, *when: there(form.replace("%B", "Monat"), *when))
    written = [_in_words(f"2026-{month:02}-09T01:02:03+00:00") for month in (1, 3, 5, 8, 12)]
    assert [words.split(" 2026")[0] for words in written] == ["9 January", "9 March", "9 May", "9 August", "9 December"]
    assert _in_words("2026-01-01T00:30:00+01:00") == "31 December 2025, 23:30 UTC"


def test_what_is_known_is_written_in_words(page):
    text = page.read_text(encoding="utf-8")
    assert "ISBI 2016: 900 images (727 class 0, 173 class 1)" in text
    assert "backbone: vgg19; input size: 224, 224; balancer: none" in text
    assert not re.search(r"\w=[\w(\[]", re.sub(r"<style.*?</style>|<[^>]*>", "", text, flags=re.S))


def test_every_table_has_a_caption_or_a_heading_and_numbers_end_flush_right(page):
    tables = re.findall(r"<table>.*?</table>", page.read_text(encoding="utf-8"))
    captions = [re.findall("<caption>(.*?)</caption>", table) for table in tables]
    assert captions[:2] == [["All metrics"], ["Confusion matrix"]]
    rows = re.findall(r"<tr>.*?</tr>", tables[0])
    for row in rows[1:]:
        assert [bool(style) for style in re.findall("<td( style=[^>]*)?>", row)] == [True, True, True, False]


def test_the_methods_of_the_intervals_are_explained_with_their_sources(page, report):
    text = html.unescape(page.read_text(encoding="utf-8"))
    for name in {metric.method for metric in (*report.metrics.values(), *report.calibration.values())}:
        assert f"<dt>{name}</dt><dd>{INTERVAL_METHODS[name]}</dd>" in text
        assert f"{name}: {INTERVAL_METHODS[name]}" in report.to_markdown()
    assert "<dt>fiducial</dt>" in text
    assert "<dt>clustered" not in text


@pytest.mark.parametrize("groups", [None, np.arange(60) // 3])
@pytest.mark.parametrize("scores", [SCORES, TRUTH.astype(float)])
def test_no_method_is_without_an_explanation(scores, groups):
    made = MetricsReport.from_scores(TRUTH, scores, groups=groups, n_resamples=100)
    at = [one.interpolated for one in (*made.specificity_at_sensitivity, *made.sensitivity_at_specificity)]
    used = {metric.method for metric in (*made.metrics.values(), *made.calibration.values(), *at)}
    assert used - {"undefined"} <= set(INTERVAL_METHODS)


def test_the_time_of_writing_is_written_for_people(page, report):
    written = re.search(r'<time datetime="(.*?)">(.*?)</time>', page.read_text(encoding="utf-8"))
    assert written[1] == report.provenance["created"]
    assert re.fullmatch(r"\d{1,2} [A-Z][a-z]+ \d{4}, \d\d:\d\d UTC", written[2])


def test_links_lead_somewhere(page):
    elements = Elements(page.read_text(encoding="utf-8")).found
    names = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(names) == len(set(names))
    targets = {attributes["href"][1:] for tag, attributes in elements if tag == "a"}
    assert {"facts", "metrics", "plots", "finding-1", "finding-2", "data", "card", "provenance"} == targets
    assert targets <= set(names)


def test_the_card_has_every_heading_and_says_what_is_not_stated(page):
    text = page.read_text(encoding="utf-8")
    for heading in CARD.values():
        assert f"<dt>{heading}</dt>" in text
    for stated in ("Approved by nobody.", "See Subgroups.", "not a medical device", "ISBI 2016", "backbone: vgg19"):
        assert stated in text
    assert text.count("Not stated.") == 5  # use, reference standard, explainability, limitations, availability


def test_a_card_with_a_typing_error_is_refused(report, tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean 'intended_use'"):
        report.save(tmp_path / "report.html", card={"intended_usage": "x"})
    with pytest.raises(ParameterError, match="Only a page"):
        report.save(tmp_path / "report.md", card={})
    assert not list(tmp_path.iterdir())


def test_a_matrix_alone_gives_a_page(tmp_path):
    page = MetricsReport.from_confusion(tn=72, fp=3, fn=17, tp=58).save(tmp_path / "published.html")
    pictures = [tag for tag, _ in Elements(page.read_text(encoding="utf-8")).found if tag == "img"]
    assert len(pictures) == 3


def test_text_meets_the_contrast_of_wcag_aa(page):
    """4.5 to 1 for every colour of text on every background, in light, dark and print."""
    schemes = re.findall(r":root \{([^}]*)\}", page.read_text(encoding="utf-8"))
    assert len(schemes) == 3
    for scheme in schemes:
        colours = dict(re.findall(r"--(\w+): (#\w+)", scheme))
        for text in ("text", "soft", "accent", "warn"):
            for back in ("back", "panel"):
                assert contrast(colours[text], colours[back]) >= 4.5, (text, back, scheme)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium")
def test_a_browser_shows_it_on_a_phone_without_errors_or_overflow(page, tmp_path):
    """The page is framed at 360 pixels by another one, which measures it and writes down what it found."""
    frame = tmp_path / "frame.html"
    frame.write_text(
        f"""<iframe id="f" style="width:360px;height:700px;border:0" src="{page.as_uri()}"></iframe><script>
        document.getElementById("f").onload = (e) => {{
          const d = e.target.contentDocument, root = d.documentElement;
          const out = {{width: root.scrollWidth, requests: e.target.contentWindow.performance
            .getEntriesByType("resource").filter((r) => !r.name.startsWith("data:")).length,
            unseen: [...d.querySelectorAll(".scroll")].filter((box) => box.scrollWidth > box.clientWidth + 1 &&
              !box.querySelector("img") && !getComputedStyle(box).backgroundImage.includes("gradient")).length,
            hints: [...d.querySelectorAll("figure.wide")].filter((f) => !getComputedStyle(f, "::after").content
              .includes("scrolls sideways")).length,
            broken: [...d.images].filter((i) => !i.naturalWidth).length, images: d.images.length}};
          document.body.append(Object.assign(document.createElement("pre"), {{textContent: JSON.stringify(out)}}));
        }};</script>"""
    )
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    options = [f"--user-data-dir={tmp_path}", "--virtual-time-budget=20000", "--enable-logging=stderr", "--dump-dom"]
    done = subprocess.run([*command, *options, frame.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    found = json.loads(re.search(r"<pre>(\{.*?\})</pre>", done.stdout)[1].replace("&quot;", '"'))
    assert found["width"] <= 360
    assert found["unseen"] == found["hints"] == 0
    assert found["requests"] == 0
    assert found["broken"] == 0
    assert found["images"] == 11
    assert "CONSOLE" not in done.stderr


@pytest.fixture(scope="module")
def page_of_several(tmp_path_factory):
    """The page of a report with names as nobody should choose them, one of 304 letters."""
    rng = np.random.default_rng(0)
    names = ["akiec", NASTY, "melanoma" * 38, "\u202e\u05de\u05dc \U0001fa7a", "line\nbreak", "$\\frac{$"]
    truth = rng.permutation(np.arange(240) % 6)
    scores = rng.dirichlet(np.ones(6), 240) + np.eye(6)[truth]
    labels = [names[number] for number in truth]
    made = MulticlassReport.from_scores(labels, scores / 2, classes=names, name=" ".join(names), n_resamples=100)
    return made.save(tmp_path_factory.mktemp("several") / "report.html")


@pytest.mark.filterwarnings("ignore:Glyph .* missing")
@pytest.mark.skipif(BROWSER is None, reason="no Chromium")
@pytest.mark.slow
def test_tables_of_many_columns_fit_a_phone(page_of_several, tmp_path):
    frame = tmp_path / "frame.html"
    frame.write_text(
        f"""<iframe id="f" style="width:390px;height:844px;border:0" src="{page_of_several.as_uri()}"></iframe><script>
        document.getElementById("f").onload = (e) => {{
          const d = e.target.contentDocument, tables = [...d.querySelectorAll("table.many")];
          const out = {{width: d.documentElement.scrollWidth, tables: tables.length,
            beyond: tables.filter((table) => table.parentElement.scrollWidth > table.parentElement.clientWidth).length,
            untitled: [...d.querySelectorAll(".many td")].filter((cell) => {{
              const title = getComputedStyle(cell, "::before").content;
              return title === "none" || title === '""';
            }}).length}};
          document.body.append(Object.assign(document.createElement("pre"), {{textContent: JSON.stringify(out)}}));
        }};</script>"""
    )
    found = json.loads(html.unescape(re.search(r"<pre>(\{.*?\})</pre>", browse(frame, tmp_path))[1]))
    assert found.pop("width") <= 390  # less by a scroll bar
    assert found == {"tables": 2, "beyond": 0, "untitled": 0}


@pytest.mark.filterwarnings("ignore:Glyph .* missing")
@pytest.mark.skipif(BROWSER is None or AXE is None, reason="needs Chromium and axe-playwright-python")
@pytest.mark.slow
@pytest.mark.parametrize(
    "look", [["--window-size=1280,900"], ["--window-size=500,900"], ["--blink-settings=preferredColorScheme=0"]]
)
@pytest.mark.parametrize("kind", ["page", "page_of_several"])
def test_axe_finds_nothing_that_keeps_people_out(kind, look, request, tmp_path):
    """The rules of axe-core on accessibility, run in a copy of the page that lets a script run."""
    text = request.getfixturevalue(kind).read_text(encoding="utf-8")
    runner = """axe.run(document, {resultTypes: ["violations"]}).then((found) => document.body.append(Object.assign(
        document.createElement("pre"), {id: "found", textContent: JSON.stringify({rules: found.passes.length,
        violations: found.violations.map((one) => [one.id, one.nodes[0].html])})})))"""
    copy = tmp_path / "copy.html"
    script = f"<script>{AXE.read_text(encoding='utf-8')}</script><script>{runner}</script></body>"
    opened = re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    copy.write_text(opened.replace("</body>", script), encoding="utf-8")
    found = json.loads(html.unescape(re.search(r'<pre id="found">(.*?)</pre>', browse(copy, tmp_path, *look), re.S)[1]))
    assert found["violations"] == []
    assert found["rules"] > 20


def browse(page, folder, *options):
    """Open a page in Chromium, and return its elements after its scripts have run."""
    always = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--allow-file-access-from-files",
        f"--user-data-dir={folder}",
    ]
    command = [BROWSER, *always, "--virtual-time-budget=20000", *options, "--dump-dom", page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=True).stdout


# -- beside the page ---------------------------------------------------------------------------------------------------


def test_json_follows_its_schema(attached, report):
    schema = json.loads(files("melanoma_tl.report").joinpath("report.schema.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    undefined = MetricsReport.from_scores([0, 0, 1], [0.1, 0.2, 0.3])
    matrix = MetricsReport.from_confusion(tn=72, fp=3, fn=17, tp=58)
    for one in (attached, report, undefined, matrix):
        validator.validate(json.loads(one.to_json()))
    spoiled = json.loads(report.to_json()) | {"auc": 0.8}
    assert not validator.is_valid(spoiled)


def test_what_is_attached_is_in_every_format(attached, report):
    assert not report.findings
    assert "sex: female" in attached.to_markdown()
    assert "## Subgroups" in attached.to_markdown()
    assert "sex: female" in str(attached)
    assert "sex: female" in attached.to_dict()["findings"]["Subgroups"]
    with pytest.raises(ParameterError, match="attached already"):
        attached.attach("Subgroups", 1)


def test_a_notebook_shows_facts_and_tables(report):
    text = report._repr_html_()
    assert NASTY not in text
    assert text.count("<table>") == 5
    assert "60 images" in text


@pytest.mark.filterwarnings("ignore:A single label was found")  # scikit-learn's, of a threshold that the scorer tries
def test_the_official_scorer_reads_a_submission(tmp_path, monkeypatch):
    # The scorer calls a method of pandas by the name that it had before version 3.
    monkeypatch.setattr(pd.DataFrame, "applymap", pd.DataFrame.map, raising=False)
    ids = [f"ISIC_{row:07}" for row in range(60)]
    report = MetricsReport.from_scores(TRUTH, SCORES, image_ids=ids)
    path = report.to_submission(tmp_path / "submission.csv", category="MEL")
    truth = tmp_path / "truth.csv"
    truth.write_text("image,MEL\n" + "".join(f"{one},{label}.0\n" for one, label in zip(ids, TRUTH, strict=True)))
    score = ClassificationScore.from_file(truth, path, ClassificationMetric.AUC)
    assert score.macro_average["auc"] == pytest.approx(report.metrics["auc"].value, abs=1e-12)
    assert score.macro_average["ap"] == pytest.approx(report.metrics["average_precision"].value, abs=1e-12)


def test_a_submission_is_complete_or_refused(report, tmp_path):
    with pytest.raises(ParameterError, match="complete files only"):
        report.to_submission(tmp_path / "submission.csv")
    twice = replace(MetricsReport.from_scores([0, 1], [0.1, 0.9]), image_ids=("a", "a"))
    with pytest.raises(ParameterError, match="twice"):
        twice.to_submission(tmp_path / "submission.csv")
    with pytest.raises(ParameterError, match=r"ends in \.csv"):
        twice.to_submission(tmp_path / "submission.txt")
    with pytest.raises(ParameterError, match="needs scores"):
        MetricsReport.from_confusion(tn=1, fp=1, fn=1, tp=1).to_submission(tmp_path / "submission.csv")
