"""The guide "My folder of images", on drawn lesions."""

from pathlib import Path

from PIL import Image

from melanoma_tl.datasets import draw_lesion

for label, name in enumerate(("nevus", "melanoma")):
    Path("photos", name).mkdir(parents=True)
    for number in range(20):
        lesion = draw_lesion(
            bool(label), size=64, random_state=40 * label + number
        )
        Image.fromarray(lesion).save(f"photos/{name}/{label}{number:02}.jpg")

# --8<-- [start:example]
from melanoma_tl import ISBIDataset, MetricsReport, TransferClassifier

dataset = ISBIDataset.from_folder("photos", on_error="skip")
print(dataset)
print(dataset.skipped)  # id, path and reason of what was left out
print(dataset.verify())  # unreadable files, duplicates, odd sizes

train, rest = dataset.split(0.5, random_state=0)
valid, test = rest.split(0.5, random_state=0)

clf = TransferClassifier.from_recipe("fast").fit(train)
clf.tune_threshold(valid, sensitivity=0.9)
report = MetricsReport.from_estimator(clf, test)
report.save("report.html")
# --8<-- [end:example]
