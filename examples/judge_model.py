"""Judge a saved model: calibrate it and tune its threshold on one test set, report on another.

    python examples/judge_model.py out/model.keras --data data/isbi --out judged

The 379 test images of ISBI 2016 serve for calibration and threshold, the 600 of
ISIC 2017 for the report, without those that the model has seen. Writes the page,
the JSON report and the model with calibration and threshold into the folder.
Research use only; not a medical device.
"""

import argparse
import logging
from pathlib import Path

from melanoma_tl import ISBIDataset, MetricsReport, TransferClassifier
from melanoma_tl.explain import check_shortcuts, explain_errors

logger = logging.getLogger("judge_model")


def main(arguments: list[str] | None = None) -> None:
    """Run the example."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="file that TransferClassifier.save wrote")
    parser.add_argument("--data", type=Path, required=True, help="folder with the ISBI 2016 and ISIC 2017 test images")
    parser.add_argument("--out", type=Path, default=Path("judged"), help="where to write (default: ./judged)")
    parser.add_argument("--sensitivity", type=float, default=0.9, help="sensitivity to tune for (default: 0.9)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    classifier = TransferClassifier.load(options.model)
    valid = ISBIDataset.from_challenge(options.data, year=2016, split="test")
    test = ISBIDataset.from_challenge(options.data, year=2017, split="test")
    valid = classifier.seen_images(valid).remove_from(valid)
    overlap = classifier.seen_images(test)
    test = overlap.remove_from(test)
    shared = test.overlap(valid)
    test = shared.remove_from(test)

    # 1. What its scores mean, and where melanoma starts: on validation images only.
    print(classifier.calibrate(valid))
    print(classifier.tune_threshold(valid, sensitivity=options.sensitivity))

    # 2. What it is worth, on images that it never saw and that nothing was chosen on.
    report = MetricsReport.from_estimator(classifier, test)
    report = report.attach("Overlap with what the model was fitted with, left out", overlap)
    report = report.attach("Overlap with the images of calibration and threshold, left out", shared)

    # 3. What it looks at.
    report = report.attach("Lesions covered", check_shortcuts(classifier, test))
    if report.counts.fn + report.counts.fp:
        report = report.attach("The most confident errors, explained", explain_errors(classifier, report))
    print(report)
    for name in ("report.html", "report.json"):
        report.save(options.out / name)
    classifier.save(options.out / "model.keras")
    logger.info("written: %s", ", ".join(str(path) for path in sorted(options.out.iterdir())))


if __name__ == "__main__":
    main()
