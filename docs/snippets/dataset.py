"""The example of the ISBIDataset page."""

# --8<-- [start:example]
from melanoma_tl import ISBIDataset
from melanoma_tl.datasets import write_isbi

# drawn lesions; or unpack the real files there
write_isbi("data", n_train=60, n_validation=20, n_test=40, size=128)

train = ISBIDataset.from_challenge("data", year=2016, split="train")
test = ISBIDataset.from_challenge("data", year=2017, split="test")
print(train)
print(train.class_counts)

# slices, masks and positions give datasets; so do first and sample
melanomas = train[train.labels == 1]
some = train.sample(per_class=12, random_state=0)

# ids, files, labels and metadata as a table
print(some.to_frame()[["image_id", "label"]].head())

# an error, if any image is in both
train.overlap(test).raise_if_any()
# --8<-- [end:example]

from matplotlib.figure import Figure

from melanoma_tl.images import load_image

figure = Figure(figsize=(9, 3.4), layout="constrained")
for row, (name, members) in enumerate(
    (("benign", some[some.labels == 0]), ("melanoma", melanomas))
):
    for column, image in enumerate(members[:6]):
        ax = figure.add_subplot(
            2, 6, 6 * row + column + 1, xticks=[], yticks=[]
        )
        ax.imshow(load_image(image.path))
        ax.set_title(image.image_id, fontsize=8)
        if column == 0:
            ax.set_ylabel(name)
figure.savefig("dataset.png", dpi=95)
