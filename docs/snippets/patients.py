"""The guide "My CSV with patients and three diagnoses", on drawn lesions."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from melanoma_tl.datasets import draw_lesion

Path("photos").mkdir()
rng = np.random.default_rng(0)
rows = []
for patient in range(150):
    for number in range(2):
        dx = ("nevus", "melanoma", "seborrheic keratosis")[patient % 3]
        name = f"P{patient}_{number}.jpg"
        lesion = draw_lesion(
            dx == "melanoma", size=64, random_state=2 * patient + number
        )
        Image.fromarray(lesion).save(f"photos/{name}")
        rows.append((name, dx, f"P{patient}", int(rng.integers(20, 90))))
pd.DataFrame(rows, columns=["image", "dx", "patient_id", "age"]).to_csv(
    "lesions.csv", index=False
)

# --8<-- [start:read]
from melanoma_tl import ISBIDataset

dataset = ISBIDataset.from_csv("lesions.csv", image_dirs=["photos"])
print(dataset.metadata["diagnosis"].value_counts())
train, test = dataset.split(0.3, random_state=0)
shared = set(train.metadata["patient_id"]) & set(test.metadata["patient_id"])
print(len(train), len(test), shared)  # no patient is on both sides
# --8<-- [end:read]

# --8<-- [start:melanoma]
from melanoma_tl import MetricsReport, TransferClassifier

rest, tuning = train.split(0.25, random_state=0)  # by patient again
clf = TransferClassifier.from_recipe("fast", random_state=0).fit(rest)
clf.calibrate(tuning)
print(clf.tune_threshold(tuning, sensitivity=0.9))
report = MetricsReport.from_estimator(clf, test)
groups = report.subgroups(test, by="age", bands={"age": (40, 60)})
report.attach("Subgroups", groups).save("melanoma.html")
# --8<-- [end:melanoma]

# --8<-- [start:diagnoses]
from melanoma_tl import MulticlassReport

three = TransferClassifier.from_recipe("fast")
three.fit(train, train.metadata["diagnosis"])
by_diagnosis = MulticlassReport.from_estimator(
    three, test, test.metadata["diagnosis"]
)
print(by_diagnosis)
by_diagnosis.save("diagnoses.html")
# --8<-- [end:diagnoses]

# --8<-- [start:folds]
import numpy as np
import pandas as pd

parts, scores = [], []
for rest, held_out in dataset.folds(5, random_state=0):
    three.fit(rest, rest.metadata["diagnosis"])
    scores.append(three.predict_proba(held_out))
    parts.append(held_out.metadata)
images = pd.concat(parts)
out_of_fold = MulticlassReport.from_scores(
    images["diagnosis"],
    np.concatenate(scores),
    classes=three.classes_,
    groups=images["patient_id"],
)
print(out_of_fold)
# --8<-- [end:folds]
