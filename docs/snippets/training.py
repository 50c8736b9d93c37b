"""The examples of the page on training."""

import numpy as np

from melanoma_tl import (
    Balancer,
    ISBIDataset,
    Optimizer,
    PooledHead,
    Probe,
    Stage,
    TransferClassifier,
)
from melanoma_tl.datasets import write_isbi

write_isbi("data", n_train=60, n_validation=30, n_test=40, size=64)
train = ISBIDataset.from_challenge("data", year=2016, split="train")
valid = ISBIDataset.from_challenge("data", year=2016, split="test")

# --8<-- [start:stages]
clf = TransferClassifier(
    "vgg19",
    weights=None,  # random, to keep this short; in earnest: "imagenet"
    input_size=(32, 32),
    stages=(
        Probe(C=0.01),  # the head alone, solved exactly
        Stage(
            trainable_from="block5_conv1",
            epochs=4,
            learning_rate=1e-4,
            schedule="cosine",
            warmup=0.1,
            layer_decay=0.4,
        ),
    ),
    head=PooledHead(pooling="avg_max"),
    optimizer=Optimizer("adamw", weight_decay=1e-2),
    dropout=0.2,
    balancer=Balancer(),
    random_state=0,
)
clf.fit(train, validation_data=valid)
# --8<-- [end:stages]

# --8<-- [start:rate]
frozen = TransferClassifier(
    weights=None, input_size=(32, 32), batch_size=8, random_state=0
)
found = frozen.find_learning_rate(train)
print(f"{found.suggestion:.1e}")
found.plot().figure_.savefig("rates.png")
# --8<-- [end:rate]

# --8<-- [start:own]
import keras


def brier(labels, scores):  # both of shape (n, 1)
    return keras.ops.mean(keras.ops.square(labels - scores))


decay = keras.optimizers.schedules.CosineDecay(1e-3, decay_steps=20)
own = TransferClassifier(
    weights=None,
    input_size=(32, 32),
    epochs=3,
    loss=keras.losses.BinaryFocalCrossentropy(gamma=2.0),
    optimizer=keras.optimizers.AdamW(decay, weight_decay=1e-4),
    metrics=[brier, keras.metrics.Precision(0.3, name="precision_30")],
    random_state=0,
)
own.fit(train, validation_data=valid)
print(*own.history_, sep="\n")
# --8<-- [end:own]

# --8<-- [start:weights]
# the last ten diagnoses were not confirmed by biopsy: they count half
certain = np.arange(len(train)) < 50
weighted = TransferClassifier(
    weights=None, input_size=(32, 32), stages=Probe(), random_state=0
)
weighted.fit(train, sample_weight=np.where(certain, 1.0, 0.5))
# --8<-- [end:weights]

# --8<-- [start:search]
from sklearn.model_selection import GridSearchCV

search = GridSearchCV(
    TransferClassifier.from_recipe("fast", input_size=(64, 64), verbose=0),
    {"stages__0__C": [2e-4, 2e-3, 2e-2]},
    scoring="roc_auc",
    cv=2,
)
search.fit(train.paths, train.labels)
tried = search.cv_results_
for parameters, auc in zip(
    tried["params"], tried["mean_test_score"], strict=True
):
    print(f"{auc:.2f}", parameters)
# --8<-- [end:search]

# --8<-- [start:resume]
long = TransferClassifier(
    weights=None, input_size=(32, 32), epochs=5, random_state=0
)
long.fit(train, validation_data=valid, resume=True)
# --8<-- [end:resume]
