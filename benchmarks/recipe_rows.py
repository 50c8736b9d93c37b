"""The rows of the table that `recipes.py` measures: each changes one thing of the recipe `fast`, or joins others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from frozen_features import DEPTHS, FeatureFiles, Rows, View
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from melanoma_tl import Augmenter, Balancer, PooledHead, Probe, Stage, TransferClassifier

DIVISIONS = 3
SEEDS = 3


@dataclass(frozen=True)
class Frozen:
    """A logistic regression on features of the frozen network."""

    depths: Sequence[str] = DEPTHS
    statistics: Sequence[str] = ("center",)
    logarithm: bool = True
    size: int = 224
    constant_colours: bool = False
    training_views: int = 1
    scoring_views: int = 1
    C: float = 2e-3
    balancer: Balancer | None = None

    divisions = DIVISIONS

    @property
    def seeds(self) -> int:
        """A logistic regression is exact: only what is drawn at random differs between seeds."""
        return 1 if self.balancer is None or self.balancer.selection == "first" else SEEDS

    def score(self, features: FeatureFiles, rows: NDArray[np.intp], others: Sequence[Rows], seed: int) -> Any:
        """Train on some training images, and score others."""
        training = features.sets["train"]
        if self.balancer is not None:
            drawn = Balancer(**self.balancer.get_params() | {"random_state": seed})
            rows = rows[drawn.fit_resample(np.arange(len(rows))[:, np.newaxis], training.labels[rows])[0].ravel()]
        seen = np.concatenate([self._take(features, Rows("train", rows), view) for view in range(self.training_views)])
        model = make_pipeline(StandardScaler(), LogisticRegression(C=self.C, class_weight="balanced", max_iter=3000))
        model.fit(seen, np.tile(training.labels[rows], self.training_views))
        return [
            np.mean(
                [model.predict_proba(self._take(features, other, view))[:, 1] for view in range(self.scoring_views)],
                axis=0,
            )
            for other in others
        ]

    def _take(self, features: FeatureFiles, rows: Rows, view: int) -> NDArray[np.float32]:
        pixels = View(self.size, view, self.constant_colours)
        taken = features.read(rows, pixels, self.depths, self.statistics)
        return np.log1p(np.maximum(taken, 0)) if self.logarithm else taken


@dataclass(frozen=True)
class Tuned:
    """A network whose last layers learn, trained by the library."""

    parameters: dict[str, Any]

    divisions = 1  # each takes five trainings
    seeds = SEEDS

    def score(self, features: FeatureFiles, rows: NDArray[np.intp], others: Sequence[Rows], seed: int) -> Any:
        """Train on some training images, and score others."""
        training = features.sets["train"]
        classifier = TransferClassifier(**self.parameters, weights=features.weights, random_state=seed, verbose=0)
        classifier.fit([training.paths[row] for row in rows], training.labels[rows])
        return [
            classifier.predict_proba([features.sets[other.name].paths[row] for row in other.rows])[:, 1]
            for other in others
        ]


@dataclass(frozen=True)
class Together:
    """The mean of the probabilities of other rows."""

    members: Sequence[str]


BLOCK_5 = ("block5_conv1", "block5_conv2", "block5_conv3", "block5_conv4")

ROWS: dict[str, Frozen | Tuned | Together] = {
    "fast": Frozen(),
    "mean over the whole image": Frozen(statistics=("mean",)),
    "no logarithm": Frozen(logarithm=False),
    "mean over the whole image, no logarithm, C = 1e-3": Frozen(statistics=("mean",), logarithm=False, C=1e-3),
    "both means": Frozen(statistics=("center", "mean")),
    "maximum": Frozen(statistics=("maximum",)),
    "weighted mean and standard deviation": Frozen(statistics=("center", "deviation")),
    "the last map alone": Frozen(("block5_pool",)),
    "block 5 alone": Frozen((*BLOCK_5, "block5_pool")),
    "block 5 alone, then fine-tuned": Tuned(
        {
            "head": PooledHead(pooling="log_center", feature_layers=BLOCK_5),
            "stages": (
                Probe(C=2e-3),
                Stage("block5_conv1", epochs=6, learning_rate=3e-5, schedule="cosine", warmup=0.1),
            ),
            "augmenter": Augmenter(horizontal_flip=True, views=2),
            "class_weight": "balanced",
            "precision": "mixed_bfloat16",
        }
    ),
    "C = 2e-4": Frozen(C=2e-4),
    "C = 2e-2": Frozen(C=2e-2),
    "160 pixels a side": Frozen(size=160),
    "320 pixels a side": Frozen(size=320),
    "constant colours": Frozen(constant_colours=True),
    "two benign images a melanoma, the first": Frozen(balancer=Balancer(undersample=2.0, selection="first")),
    "two benign images a melanoma, drawn": Frozen(balancer=Balancer(undersample=2.0, selection="random")),
    "four views in scoring": Frozen(scoring_views=4),
    "four views in training": Frozen(training_views=4),
    "four views in both": Frozen(training_views=4, scoring_views=4),
    "best": Frozen(size=320, training_views=4, scoring_views=4),
    "fast and constant colours": Together(("fast", "constant colours")),
    "best and four views in both": Together(("best", "four views in both")),
}
