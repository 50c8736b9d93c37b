"""Any text in any field is shown as it is: on the page, in Markdown, text, JSON, CSV and figures, and is never code."""

import csv
import html.parser
import io
import json
import re
import shutil
import subprocess
import warnings
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from matplotlib.figure import Figure

from melanoma_tl import ISBIDataset, MetricsReport
from melanoma_tl._escaping import fenced, in_csv, in_figure, in_html, in_markdown, shorten, visible
from melanoma_tl._tables import html_frame, html_list, html_table, markdown_list, markdown_table, text_table
from melanoma_tl.plots.contact_sheets import Example, Pair, draw_examples, draw_explanations, draw_pairs, draw_views
from melanoma_tl.plots.curves import draw_roc_curves
from melanoma_tl.plots.matrices import draw_class_matrix

SVG = "{http://www.w3.org/2000/svg}"
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])

NASTY = [
    r"cost $\foo{$ x",
    "$$",
    r"\$a$",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "&lt;b&gt; &amp; &#65;",
    "]]> --> ''' \"\"\"",
    "`code` ``more`` ```",
    "# heading",
    "a | b \\| c",
    "*bold* _it_ __x__ ~~gone~~",
    "[link](javascript:alert(1)) ![i](x)",
    "<http://example.org>",
    "- item",
    "1. item",
    "---",
    "> quoted",
    "    indented",
    "line\nbreak\r\nand\ttab",
    "\u202egnp.exe\u2066 \u200f",
    "nul\x00byte\x1b[31m",
    "half \ud800 a letter",
    "\u2028\u2029\ufeff",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "{{ 7 * 7 }} {% raw %}",
    "%s %(x)s {0}",
    "_hidden",
    "Überlänge \u0645\u064a\u0644 黒色腫 🩺",
    "",
    " ",
    "x" * 16_000,
    "1-1" * 5_000,
    "$" * 5_001,
]

anything = st.text(st.characters(exclude_categories=()), max_size=60) | st.text(
    "$\\{}_^`*#|<>&=+-@[]()~!\n\r\0 a1.", max_size=40
)


class Texts(html.parser.HTMLParser):
    """The elements of a page, and what stands in each."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag != "wbr":  # where a long word may be broken
            self.tags.append(tag)
            self.texts.append("")

    def handle_data(self, data):
        if self.texts:
            self.texts[-1] += data


def rendered(markdown):
    """Parse Markdown with other people's parser: the kinds of tokens, and the text of each inline one."""
    tokens = MARKDOWN.parse(markdown)
    inline = [token for token in tokens if token.type == "inline"]
    assert all({child.type for child in token.children} <= {"text", "text_special"} for token in inline), inline
    return [token.type for token in tokens], ["".join(child.content for child in token.children) for token in inline]


def with_examples(test):
    for text in NASTY:
        test = example(text)(test)
    return settings(max_examples=60)(given(anything)(test))


@with_examples
def test_a_text_is_one_line_that_a_file_can_hold(text):
    shown = visible(text)
    assert len(shown.encode().decode().splitlines()) <= 1
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)
    assert visible(shown) == shown
    if text.isascii() and text.isprintable():
        assert shown == text


@with_examples
def test_html_shows_it(text):
    frame = pd.DataFrame([[text]], columns=pd.Index([text], dtype=object), dtype=object)
    for page, tags in (
        (html_table([text], [[text]]), ["table", "thead", "tr", "th", "tbody", "tr", "th"]),
        (html_list([text]), ["ul", "li"]),
        (html_frame(frame), ["table", "thead", "tr", "th", "tbody", "tr", "th"]),
        (f'<a title="{in_html(text)}">', ["a"]),
    ):
        found = Texts(page)
        assert found.tags == tags
        assert tags == ["a"] or found.texts[-1] == visible(text)
    cells = Texts(html_table(["a", "b"], [["", text]])).texts
    assert "".join(cells).removeprefix("ab") == visible(text)


@with_examples
def test_markdown_shows_it(text):
    shown = visible(text).strip()
    kinds, texts = rendered(markdown_table([text, "b"], [["x", text], [text, "y"]]))
    assert kinds[0] == "table_open"
    assert texts == [shown, "b", "x", shown, shown, "y"]
    _, texts = rendered(markdown_list([text, "last"]))
    assert texts == ([shown, "last"] if shown else ["last"])
    kinds, texts = rendered(f"# a {in_markdown(text)}\n")
    assert kinds[0] == "heading_open"
    assert texts == [f"a {shown}".strip()]
    (block,) = MARKDOWN.parse(fenced(f"{text}\nlast"))
    assert block.type == "fence"
    assert block.content.endswith("\nlast\n")


@with_examples
def test_text_keeps_its_columns(text):
    lines = text_table(["figure", "value"], [[text, "1"], ["AUC", text], ["AP", "2"]]).split("\n")
    assert len(lines) == 4
    assert max(map(len, lines)) <= 2 + 2 * 1200  # a letter may be written with six


@with_examples
def test_spreadsheets_read_it_back_and_run_nothing(text):
    file = io.StringIO()
    pd.DataFrame({"image": [in_csv(text)], "x": [1]}).to_csv(file, index=False)
    file.getvalue().encode()
    (_, (cell, one)) = csv.reader(io.StringIO(file.getvalue(), newline=""))
    assert one == "1"
    assert not cell.lstrip().startswith(("=", "@", "+", "-")) or float(cell) is not None
    if text.isascii() and text.isprintable() and not text.lstrip().startswith(("=", "@", "+", "-")):
        assert cell == text


def test_figures_show_it():
    figure = Figure(figsize=(30, 30))
    for row, text in enumerate(NASTY):
        for place, shown in enumerate((in_figure(text), f"AUC {in_figure(text)}", in_figure(text).capitalize())):
            figure.text(0.3 * place, row / len(NASTY), shown)
    assert_shown(figure, [line for text in NASTY for line in (text, f"AUC {text}", text)])


@pytest.mark.slow
@settings(max_examples=20)
@given(st.lists(anything, min_size=10, max_size=20))
def test_figures_show_anything(texts):
    figure = Figure()
    for text in texts:
        figure.text(0, 0, f"{in_figure(text)} {in_figure(text)}")
    assert_shown(figure, texts)


def assert_shown(figure, texts):
    """Nothing is taken for a formula or a second line, and the file says every letter that there is room for."""
    lines = figure.texts
    assert len(lines) == len(texts)
    for line, text in zip(lines, texts, strict=True):
        shown, is_formula = line._preprocess_math(line.get_text())
        assert not is_formula, text
        assert "\n" not in shown
        assert len(visible(shown)) == len(shown), "what a file cannot hold was left in"
        if text.isascii() and text.isprintable() and len(text) < 50:
            assert text.lower().split() == shown.lower().split()[-len(text.split()) :] or not text.split()
    with plt.rc_context({"svg.fonttype": "none"}):
        svg = save(figure)
    said = ["".join(one.itertext()).split() for one in ElementTree.fromstring(svg).iter(f"{SVG}text")]
    drawn = [line.get_text().replace(r"\$", "$").split() for line in lines]
    assert [words for words in said if words] == [words for words in drawn if words]


def save(figure):
    """Write both kinds of files; the text of the second."""
    svg = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.savefig(io.BytesIO(), format="png", dpi=20)
        figure.savefig(svg, format="svg")
    return svg.getvalue().decode()


@pytest.mark.slow
def test_every_kind_of_drawing_shows_it():
    image = np.zeros((8, 8, 3), dtype=np.uint8)
    for text in (NASTY[0], "_hidden", "$" * 5_001):
        figures = [
            draw_examples({text: [Example(text, "", 0.5, text)]}, columns=1, title=text),
            draw_pairs([Pair((text, text), ("", ""), text)], title=text),
            draw_explanations([f"{text}: melanoma"], image[None], np.zeros((1, 8, 8)), np.zeros((1, 2, 2))),
            draw_views([image[None]], titles=["a"], names=[text]),
            draw_class_matrix(np.eye(2, dtype=np.int64), [f"{text}1", f"{text}2"]).figure_,
            (
                curves := draw_roc_curves(
                    {f"{text}{n}": (np.arange(4) % 2, np.linspace(0, 1, 4)) for n in "ab"}, notes=["AUC 0.5"] * 2
                )
            ).figure_,
        ]
        assert len(curves.ax_.get_legend().get_texts()) == 3, text
        for figure in figures:
            save(figure)


@pytest.mark.slow
def test_time_grows_with_the_letters_and_not_with_their_square():
    """With the square, 300,000 letters would take many minutes."""
    for letters in ("x", "1-1", "$", "`", "&", "_", "=", "\x00", "\\", " \n", "< 1", "to 1", "12.-"):
        text = letters * (300_000 // len(letters))
        for write in (in_html, in_markdown, in_csv, in_figure, fenced):
            assert write(text)
        assert html_table(["a", "b"], [["", text]])
        assert text_table(["a", "b"], [["", text]])
        assert markdown_table(["a", "b"], [["", text]])


def test_the_middle_of_long_texts_is_left_out():
    assert shorten("abcdefgh", 5) == "ab…gh"
    assert shorten("abcde", 5) == "abcde"
    assert len(in_figure("x" * 16_000)) == 60


# -- whole reports -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report with nasty texts in every field."""
    n = 4 * len(NASTY)
    truth = np.arange(n) % 2
    scores = np.clip(np.random.default_rng(0).normal(0.35 + 0.3 * truth, 0.2), 0.01, 0.99)
    everywhere = " ".join(NASTY[:31])
    made = MetricsReport.from_scores(
        truth,
        scores,
        name=everywhere,
        n_resamples=100,
        image_ids=[f"{text}{row}" for row, text in enumerate(NASTY * 4)],
        paths=[f"{text.replace(chr(0), '')}.jpg" for text in NASTY * 4],
        groups=[f"{text}{row % 2}" for row, text in enumerate(NASTY * 4)],
        skipped=[(text, text, text) for text in NASTY[:9]],
        provenance={"recipe": everywhere, everywhere: NASTY, "parameters": {"backbone": everywhere}},
    )
    column = everywhere.replace("\ud800", "")  # which a table of pandas cannot hold
    groups = made.subgroups({column: [NASTY[row % 8] for row in range(n)]})
    compared = made.compare(made, names=(everywhere, NASTY[0]))
    made = made.attach(everywhere, groups).attach("Compared", compared).attach("Words", "\n".join(NASTY))
    return made, dict.fromkeys(("ethics", "intended_use"), everywhere)


@pytest.fixture(scope="module")
def page(report, tmp_path_factory):
    made, card = report
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        return made.save(tmp_path_factory.mktemp("nasty") / "report.html", card=card)


def test_a_page_with_nasty_texts_has_the_elements_of_one_with_plain_ones(page):
    found = Texts(page.read_text(encoding="utf-8"))
    assert not set(found.tags) & {"script", "iframe", "link", "b"}
    assert found.tags.count("img") == found.tags.count("figure")
    assert "\x00" not in page.read_text(encoding="utf-8")


def test_markdown_text_and_json_hold_nasty_texts(report, tmp_path):
    made, _ = report
    kinds, _ = rendered(re.sub(r"\n\*Research.*\*\n", "\n", made.save(tmp_path / "r.md").read_text(encoding="utf-8")))
    assert kinds.count("heading_open") == 1 + 5 + 1 + 1 + 3 + 1  # title, tables, methods, skipped, attached, provenance
    assert not {"html_block", "hr", "blockquote_open"} & set(kinds)
    text = made.save(tmp_path / "r.txt").read_text(encoding="utf-8")
    assert "\u202e" not in text
    assert "\x1b" not in text
    document = json.loads(made.save(tmp_path / "r.json").read_text(encoding="utf-8"))
    assert document["name"] == made.name
    assert [row["image_id"] for row in document["skipped"]] == NASTY[:9]
    assert Texts(made._repr_html_()).tags.count("script") == 0


def test_datasets_and_what_is_found_in_them_show_nasty_texts():
    ids = [text for text in NASTY if text.strip() and not set(text) & {"\ud800", "\0"}]
    name = " ".join(NASTY[3:26]).replace("\ud800", "")
    table = pd.DataFrame({"site": ids, name: np.arange(len(ids)) % 3})
    dataset = ISBIDataset(ids, None, np.arange(len(ids)) % 2, name=name, metadata=table)
    overlap = dataset.overlap(dataset, verbose=0)
    assert len(overlap) == len(ids)
    bias = dataset.selection_bias(dataset[:12])
    for found in (dataset, overlap, bias):
        assert not set(Texts(found._repr_html_()).tags) & {"script", "img", "http:"}
    for text in (str(overlap), str(bias), repr(dataset)):
        assert not re.search("[\x00\x1b\u202e\u2066]", text)
        assert len(text) < 10_000


def test_a_submission_says_which_ids_it_could_not_write(tmp_path):
    ids = ["=1+1", "-7", "ISIC_0000000", 'a "quoted", one']
    made = MetricsReport.from_scores([0, 1, 0, 1], [0.1, 0.9, 0.2, 0.8], image_ids=ids, n_resamples=100)
    with pytest.warns(UserWarning, match=r"1 image ids .* such as '=1\+1'.* written as \"'=1\+1\""):
        path = made.to_submission(tmp_path / "s.csv")
    read = pd.read_csv(path, dtype={"image": str})
    assert read["image"].tolist() == ["'=1+1", *ids[1:]]
    assert read["melanoma"].tolist() == [0.1, 0.9, 0.2, 0.8]


@pytest.mark.skipif(BROWSER is None, reason="no Chromium")
def test_a_browser_shows_nasty_texts_and_runs_nothing(page, tmp_path):
    frame = tmp_path / "frame.html"
    frame.write_text(
        f"""<iframe id="f" style="width:360px;height:700px;border:0" src="{page.as_uri()}"></iframe><script>
        document.getElementById("f").onload = (e) => {{
          const d = e.target.contentDocument;
          const out = {{width: d.documentElement.scrollWidth, title: d.title, scripts: d.scripts.length,
            heading: d.querySelector("h1").textContent, sections: d.querySelectorAll("section").length,
            broken: [...d.images].filter((i) => !i.naturalWidth).length,
            skipped: [...d.querySelectorAll("#data li")].map((i) => i.textContent)}};
          document.body.append(Object.assign(document.createElement("pre"), {{textContent: JSON.stringify(out)}}));
        }};</script>"""
    )
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    options = [f"--user-data-dir={tmp_path}", "--virtual-time-budget=20000", "--enable-logging=stderr", "--dump-dom"]
    done = subprocess.run([*command, *options, frame.as_uri()], capture_output=True, text=True, timeout=180, check=True)
    found = json.loads(html.unescape(re.search(r"<pre>(\{.*?\})</pre>", done.stdout)[1]))
    assert found["width"] <= 360
    assert found["scripts"] == found["broken"] == 0
    assert found["sections"] == 7 + 3
    assert found["heading"] == visible("Test metrics: " + " ".join(NASTY[:31]))
    assert found["skipped"] == [visible(f"{text}: {text}") for text in NASTY[:9]]
    assert "CONSOLE" not in done.stderr
