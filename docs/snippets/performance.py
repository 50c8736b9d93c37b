"""The example of the performance page, on drawn lesions."""

from melanoma_tl.datasets import write_isbi

write_isbi("data/isbi", n_train=30, n_validation=10, n_test=20, size=48)

# --8<-- [start:example]
from melanoma_tl import Augmenter, ISBIDataset, TransferClassifier, cache

train = ISBIDataset.from_challenge("data/isbi", year=2016, split="train")
valid = ISBIDataset.from_challenge("data/isbi", year=2016, split="test")

for learning_rate in (1e-2, 1e-3, 1e-4):  # the first run fills the store
    clf = TransferClassifier(
        "vgg19",
        augmenter=Augmenter(horizontal_flip=True, rotation_range=20, views=4),
        learning_rate=learning_rate,
        epochs=4,
        random_state=0,
    )
    clf.fit(train, validation_data=valid)

print(f"{cache.size('features'):,} bytes in {cache.folder()}")
cache.clear("features")  # when the experiments are over
# --8<-- [end:example]
