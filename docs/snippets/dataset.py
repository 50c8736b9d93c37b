"""The example of the ISBIDataset page."""

# --8<-- [start:example]
from melanoma_tl import ISBIDataset
from melanoma_tl.datasets.synthetic import write_isbi

write_isbi("data", n_train=60, n_validation=20, n_test=40, size=128)  # or unpack the real files there

train = ISBIDataset.from_challenge("data", year=2016, split="train")
test = ISBIDataset.from_challenge("data", year=2017, split="test")

print(train)  # ISBIDataset('ISBI 2016 train', 60 images: 48 benign, 12 melanoma)
print(train[0])  # one row: its id, file and label
melanomas = train[train.labels == 1]  # slices, masks and positions give datasets
some = train.sample({"benign": 12, "melanoma": 12}, random_state=0)
train.overlap(test).raise_if_any()  # an error that names the images, were any shared
# --8<-- [end:example]

from matplotlib.figure import Figure

from melanoma_tl.images import load_image

figure = Figure(figsize=(9, 3.4), layout="constrained")
for row, (name, members) in enumerate((("benign", some[some.labels == 0]), ("melanoma", melanomas))):
    for column, image in enumerate(members[:6]):
        ax = figure.add_subplot(2, 6, 6 * row + column + 1, xticks=[], yticks=[])
        ax.imshow(load_image(image.path))
        ax.set_title(image.image_id, fontsize=8)
        if column == 0:
            ax.set_ylabel(name)
figure.savefig("dataset.png", dpi=75)
