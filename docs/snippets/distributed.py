"""The examples of the page on backends, devices and hosts."""

from melanoma_tl import ISBIDataset, Resources, TransferClassifier
from melanoma_tl.datasets import write_isbi

write_isbi("data", n_train=30, n_validation=10, n_test=20, size=48)
train = ISBIDataset.from_challenge("data", year=2016, split="train")
valid = ISBIDataset.from_challenge("data", year=2016, split="test")

# --8<-- [start:devices]
clf = TransferClassifier(
    "vgg19",
    trainable_from="block5_conv1",
    batch_size=32,  # of all devices together
    epochs=5,
    resources=Resources(distribution="auto"),  # the default: all
    random_state=0,
)
clf.fit(train, validation_data=valid)
# --8<-- [end:devices]

# --8<-- [start:hosts]
clf = TransferClassifier(
    "vgg19",
    trainable_from="block4_conv1",
    batch_size=256,  # of all processes together
    epochs=5,
    random_state=0,  # must be given: all begin alike
)
clf.fit(train, validation_data=valid, resume=True)
clf.save("melanoma.keras")  # the first process writes, the others do not
# --8<-- [end:hosts]
