"""A first run from nothing: draw lesions, train, report, save.

    python examples/quickstart.py

Needs no data and no argument. It draws 440 lesions in the layout of the ISBI
challenges, trains a small head on a frozen VGG19 (with ImageNet weights where
they can be had, else with random ones, which it says), and writes the report,
its figures and the model into ./out. Under three minutes on two cores.
"""

import argparse
import logging
from pathlib import Path

from melanoma_tl import Augmenter, Balancer, ISBIDataset, MetricsReport, TransferClassifier
from melanoma_tl.datasets import write_isbi
from melanoma_tl.errors import WeightsUnavailableError

logger = logging.getLogger("quickstart")


def main(arguments: list[str] | None = None) -> None:
    """Run the example."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out"), help="where to write (default: ./out)")
    parser.add_argument("--images", type=int, default=440, help="how many lesions to draw (default: 440)")
    parser.add_argument("--epochs", type=int, default=8, help="epochs to train (default: 8)")
    parser.add_argument("--input-size", type=int, default=64, help="side of the images in pixels (default: 64)")
    parser.add_argument("--seed", type=int, default=0, help="seed of drawing and training (default: 0)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    # 1. The data: drawn here, but read as the real challenges are (whose sizes differ, as the library says).
    n_test = options.images // 4
    write_isbi(
        options.out / "data",
        n_train=options.images - 2 * n_test,
        n_validation=n_test,
        n_test=n_test,
        size=128,
        random_state=options.seed,
    )
    train = ISBIDataset.from_challenge(options.out / "data", year=2016, split="train")
    valid = ISBIDataset.from_challenge(options.out / "data", year=2016, split="test")
    test = ISBIDataset.from_challenge(options.out / "data", year=2017, split="test")
    train.overlap(valid).raise_if_any()
    train.overlap(test).raise_if_any()

    # 2. The classifier: twice as many benign images as melanomas, then as many; each is shown as it is and flipped.
    classifier = TransferClassifier(
        "vgg19",
        balancer=Balancer(),
        augmenter=Augmenter(horizontal_flip=True, vertical_flip=True, views=4),
        input_size=(options.input_size, options.input_size),
        learning_rate=3e-3,
        epochs=options.epochs,
        random_state=options.seed,
    )
    try:
        classifier.fit(train, validation_data=valid)
    except WeightsUnavailableError as error:
        logger.warning("%s\nGoing on with random weights: the figures below are those of an untrained VGG19.", error)
        classifier.set_params(weights=None).fit(train, validation_data=valid)

    # 3. What it is worth, on images it never saw.
    report = MetricsReport.from_estimator(classifier, test)
    print(report)
    for name in ("report.html", "report.json"):
        report.save(options.out / name)
    report.save_figures(options.out / "figures")
    classifier.save(options.out / "melanoma.keras")
    logger.info(
        "Written: %s. Try: python examples/classify.py %s %s",
        ", ".join(str(options.out / name) for name in ("report.html", "report.json", "figures/", "melanoma.keras")),
        options.out / "melanoma.keras",
        test.paths[0],
    )


if __name__ == "__main__":
    main()
