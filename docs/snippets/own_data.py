"""The ways to read one's own images, shown in "Getting started"."""

from pathlib import Path

from PIL import Image

from melanoma_tl.datasets.synthetic import draw_lesion

for label, name in enumerate(("benign", "melanoma")):
    Path("images", name).mkdir(parents=True)
    lesion = Image.fromarray(
        draw_lesion(bool(label), size=64, random_state=label)
    )
    lesion.save(Path("images", name, f"IMG_{label}.jpg"))
    lesion.save(Path("images", f"IMG_{label}.jpg"))
Path("labels.csv").write_text(
    "image_id,label\nIMG_0,benign\nIMG_1,melanoma\n"
)
Path("hospital.csv").write_text("name,dx\nIMG_0.jpg,NV\nIMG_1.jpg,MEL\n")

# --8<-- [start:example]
from melanoma_tl import ISBIDataset

# images/benign/*.jpg and images/melanoma/*.jpg
by_folder = ISBIDataset.from_folder("images")

# a table with the columns image_id and label
by_table = ISBIDataset.from_csv("labels.csv", image_dirs=["images"])

# another table, with names and words of its own
own_words = {"NV": 0, "MEL": 1}
by_other = ISBIDataset.from_csv(
    "hospital.csv",
    image_dirs=["images"],
    id_column="name",
    label_column="dx",
    label_map=own_words,
)
# --8<-- [end:example]
