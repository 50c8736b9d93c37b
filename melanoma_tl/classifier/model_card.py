"""The model card of a classifier on the Hugging Face Hub: a README with metadata."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from melanoma_tl._escaping import in_markdown
from melanoma_tl._parameters import NONE, check, instance
from melanoma_tl._tables import markdown_table
from melanoma_tl.errors import ParameterError
from melanoma_tl.report import NOTICE, MetricsReport, MulticlassReport
from melanoma_tl.report.wording import one_line
from melanoma_tl.saving.hub import ORIGIN, Result, write_metadata

Report = MetricsReport | MulticlassReport

_METRICS = {
    "auc": ("roc_auc", "AUC", False),
    "average_precision": ("average_precision", "average precision", False),
    "sensitivity": ("sensitivity", "sensitivity", True),
    "specificity": ("specificity", "specificity", True),
}
"""For each metric of a report: what the Hub calls it, its name, and whether it depends on the threshold."""

_TAGS = ("melanoma", "dermoscopy", "medical-imaging", "keras")

_PROVENANCE = ("recipe", "ensemble", "training_data", "validation_data", "weights", "trained", "versions")
"""What a card says of a model beside its classes and its backbone."""

_USE = """\
## Use

After `pip install 'melanoma_tl[hub]'`:

```python
from melanoma_tl import {kind}

classifier = {kind}.from_pretrained(
    "hf://{repository}",
    sha256="{sha256}",
)
scores = classifier.predict_proba(paths_of_images)
```

The SHA-256 is that of `{file_name}`. It pins this model: when a later commit replaces it, the later one is refused.
Then add the commit of this card to the address, `hf://{repository}@COMMIT`.\
"""


def check_report(classifier: Any, report: Report | None) -> None:
    """Raise an error for a report that is not of a classifier as it is now, as far as the report knows.

    Parameters
    ----------
    classifier : TransferClassifier or Ensemble
        Fitted.
    report : MetricsReport, MulticlassReport or None
        What was given for its report.

    Raises
    ------
    ParameterError
        If it is no report, or one of another model or of other settings.
    """
    check({"report": report}, {"report": instance(MetricsReport, MulticlassReport) | NONE})
    if report is None:
        return
    tested, now = ({**known} for known in (report.provenance["model"], classifier.provenance_))
    for known in (tested, now):
        known.pop(ORIGIN, None)
    if tested and tested != now:
        raise ParameterError("the report is of another model than the one to upload: make a report of this model")
    if "seen_by_the_model" not in report.provenance:  # made of scores, by somebody who need not know how they are made
        return
    calibration = classifier._post.calibration
    settings = {"tta": getattr(classifier, "tta", None), "calibration": calibration and asdict(calibration)}
    for name, value in settings.items():
        if (then := report.provenance.get(name)) != value:
            raise ParameterError(f"the report was made with {name}={then}, and now it is {value}: make a new report")


def write_model_card(
    classifier: Any, repository: str, file_name: str, sha256: str, report: Report | None, license: str | None
) -> str:
    """Write a model card.

    Parameters
    ----------
    classifier : TransferClassifier or Ensemble
        Fitted.
    repository, file_name : str
        Where it will be.
    sha256 : str
        Of the file. The card cannot know the commit that it will be a part of.
    report : MetricsReport, MulticlassReport or None
        Of its test.
    license : str or None
        Of the model.

    Returns
    -------
    str
        Markdown, after metadata in YAML.
    """
    name = repository.partition("/")[2]
    results = [] if report is None else list(list_results(report))
    blocks = [
        f"# {in_markdown(name)}",
        "A classifier of dermoscopic images, made with melanoma_tl.",
        f"**{NOTICE}** No diagnosis, no advice to a patient, no decision about a lesion may rest on it.",
        _USE.format(kind=type(classifier).__name__, repository=repository, sha256=sha256, file_name=file_name),
        "## Model",
        markdown_table(["what", "value"], list(_describe(classifier))),
        *([] if report is None else [report.to_markdown()]),
    ]
    return write_metadata(name, tags=_TAGS, license=license, results=results) + "\n" + "\n\n".join(blocks) + "\n"


def list_results(report: Report) -> Iterator[Result]:
    """Return the metrics of a report that the Hub shows.

    Parameters
    ----------
    report : MetricsReport or MulticlassReport
        On two classes, or on several: then on each against the others.

    Yields
    ------
    Result
        AUC, average precision, sensitivity and specificity, as far as they are defined.
    """
    for title, of_two in report.two_class_reports.items():
        for key, (kind, name, at_threshold) in _METRICS.items():
            metric = of_two.metrics.get(key)
            if metric is not None and not np.isnan(metric.value):
                threshold = of_two.threshold if at_threshold else None
                yield Result(kind, f"{name}{title}", float(metric.value), report.name or "unnamed", threshold)


def _describe(classifier: Any) -> Iterator[list[str]]:
    """Describe the model, as rows of a table."""
    provenance = classifier.provenance_
    rows = {
        "classes": f"{', '.join(map(str, classifier.classes_))} (melanoma: {classifier.pos_label_})",
        "backbone": provenance.get("parameters", {}).get("backbone"),
        **({"threshold": f"{classifier.threshold_:g}"} if len(classifier.classes_) == 2 else {}),
        "calibrated": classifier._post.calibration is not None,
        **{name.replace("_", " "): provenance.get(name) for name in _PROVENANCE},
    }
    for what, value in rows.items():
        if value is not None:
            yield [what, one_line(value)]
