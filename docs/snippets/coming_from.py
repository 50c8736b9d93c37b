"""The page "Coming from Keras, fastai or scikit-learn", on drawn lesions."""

from melanoma_tl.datasets import write_isbi

write_isbi("data/isbi", n_train=40, n_validation=20, n_test=20, size=48)

from melanoma_tl import ISBIDataset

train = ISBIDataset.from_challenge("data/isbi", year=2016, split="train")
valid = ISBIDataset.from_challenge("data/isbi", year=2016, split="test")
test = ISBIDataset.from_challenge("data/isbi", year=2017, split="test")

# --8<-- [start:keras]
from melanoma_tl import Optimizer, Stage, TransferClassifier

clf = TransferClassifier(
    "vgg19",
    stages=[Stage(epochs=1), Stage(trainable_from="block5_conv1", epochs=1)],
    optimizer=Optimizer("adam"),
    learning_rate=1e-4,
    class_weight="balanced",
)
clf.fit(train, validation_data=valid)
clf.model_.summary()  # the network is a keras.Model
# --8<-- [end:keras]

# --8<-- [start:fastai]
from melanoma_tl import Augmenter, Probe

clf = TransferClassifier(
    "vgg19",
    stages=[Probe(), Stage(trainable_from="block5_conv1", schedule="cosine")],
    augmenter=Augmenter(horizontal_flip=True, views=2),
    epochs=1,
)
found = clf.find_learning_rate(train)
clf.set_params(learning_rate=found.suggestion)
clf.fit(train, validation_data=valid)
probabilities = clf.predict_proba(test, tta=4)
# --8<-- [end:fastai]

# --8<-- [start:sklearn]
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold

clf = TransferClassifier("vgg19", stages=[Probe()], verbose=0)
groups = train.image_ids  # of patients, where they are known
search = GridSearchCV(
    clf,
    {"class_weight": [None, "balanced"]},
    scoring="roc_auc",
    cv=StratifiedGroupKFold(2),
)
search.fit(train.paths, train.labels, groups=groups)
print(search.best_params_)
# --8<-- [end:sklearn]
