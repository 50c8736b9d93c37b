"""A `tf.data.Dataset` in place of a table: shown in "Data"."""

from pathlib import Path

from PIL import Image

from melanoma_tl.datasets import draw_lesion

for number in range(24):
    folder = Path("pictures", ("nevus", "melanoma")[number % 2])
    folder.mkdir(parents=True, exist_ok=True)
    lesion = draw_lesion(number % 2 == 1, size=64, random_state=number)
    Image.fromarray(lesion).save(folder / f"{number}.jpg")

# --8<-- [start:example]
import keras
import tensorflow as tf

from melanoma_tl import MetricsReport, TransferClassifier

train, test = keras.utils.image_dataset_from_directory(
    "pictures",
    class_names=["nevus", "melanoma"],  # 0 and 1: melanoma comes last
    image_size=(64, 64),
    validation_split=0.25,
    subset="both",
    seed=0,
)
train, test = (
    part.map(lambda image, label: (tf.cast(image, tf.uint8), label))
    for part in (train, test)
)

clf = TransferClassifier(
    "vgg19",
    weights=None,  # random, to keep this short; in earnest: "imagenet"
    input_size=(32, 32),
    epochs=2,
    random_state=0,
)
clf.fit(train)
report = MetricsReport.from_estimator(clf, test)
# --8<-- [end:example]
