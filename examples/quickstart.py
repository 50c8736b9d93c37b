"""A first run from nothing: draw lesions, train, choose a threshold, report, save.

    python examples/quickstart.py

Needs no data and no argument. It draws 750 lesions in the layout of the ISBI challenges, trains the recommended
recipe on most of them (a frozen VGG19, with ImageNet weights where they can be had, else with random ones, which it
says), calibrates it and chooses a threshold on validation images, and writes the report, its figures and the model
into ./out. Eighty seconds on two cores.
"""

import argparse
import logging
import time
from pathlib import Path

from melanoma_tl import ISBIDataset, MetricsReport, TransferClassifier
from melanoma_tl.datasets import write_isbi
from melanoma_tl.errors import DatasetError, WeightsUnavailableError

logger = logging.getLogger("quickstart")


def main(arguments: list[str] | None = None) -> None:
    """Run the example."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out"), help="where to write (default: ./out)")
    parser.add_argument("--images", type=int, default=750, help="how many lesions to draw (default: 750)")
    parser.add_argument("--input-size", type=int, default=96, help="side of the images in pixels (default: 96)")
    parser.add_argument("--seed", type=int, default=0, help="seed of drawing and of random weights (default: 0)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")

    # 1. The data: drawn here, but read as the real challenges are.
    n_test = options.images // 6
    sizes = {"n_train": options.images - 2 * n_test, "n_validation": n_test, "n_test": n_test}
    write_isbi(options.out / "data", **sizes, size=128, random_state=options.seed)
    train, valid, test = (
        ISBIDataset.concat(
            [ISBIDataset.from_challenge(options.out / "data", year=year, split=split)],
            name=f"drawn lesions in the layout of ISIC {year} {split}",
        )
        for year, split in ((2016, "train"), (2016, "test"), (2017, "test"))
    )
    train.overlap(valid).raise_if_any()
    train.overlap(test).raise_if_any()

    # 2. The classifier; what its scores mean and where it says melanoma are settled on validation images.
    started = time.monotonic()
    size = (options.input_size, options.input_size)
    classifier = TransferClassifier.from_recipe("fast", input_size=size, random_state=options.seed)
    weights = "ImageNet weights"
    try:
        classifier.fit(train)
    except WeightsUnavailableError as error:
        reason = str(error).partition("; or pass")[0]
        logger.warning("%s. Going on with random weights: a VGG19 that has seen no photograph.", reason)
        weights = "random weights"
        classifier.set_params(weights=None).fit(train)
    try:
        classifier.calibrate(valid)
    except DatasetError as error:  # where the scores tell nothing
        logger.warning("Not calibrated: %s", error)
    classifier.tune_threshold(valid, sensitivity=0.9)
    seconds = time.monotonic() - started

    # 3. What it is worth, on images it never saw, from another source than those of training.
    report = MetricsReport.from_estimator(classifier, test, name=f"{test.name}, scored with {weights}")
    for name in ("report.html", "report.json"):
        report.save(options.out / name)
    report.save_figures(options.out / "figures")
    model = options.out / "melanoma.keras"
    classifier.save(model)
    worth = (f"{name} {one.value:.2f} ({one.low:.2f}-{one.high:.2f})" for name, one in report.headlines.items())

    print(f"Drawn    {len(train)} lesions to train on, {len(valid)} to choose a threshold, {len(test)} to test")
    told = f'recipe "fast" at {size[0]} pixels, frozen VGG19 with {weights} and logistic regression'
    print(f"Trained  {told}, in {seconds:.0f} s")
    print(f"Worth    {', '.join(worth)}, with 95 % intervals")
    print(f"Beware   {report.concerns()[0].partition('; looked at')[0]}")
    print(f"Written  {options.out / 'report.html'} (open it in a browser), report.json, figures/, {model.name}")
    print(f"Next     python examples/classify.py {model} {test.paths[0]}")


if __name__ == "__main__":
    main()
