"""The ways to read one's own images, of the guide on a folder of images."""

from pathlib import Path

from PIL import Image

from melanoma_tl.datasets import draw_lesion

for label, name in enumerate(("benign", "melanoma")):
    Path("images", name).mkdir(parents=True)
    lesion = Image.fromarray(
        draw_lesion(bool(label), size=64, random_state=label)
    )
    lesion.save(Path("images", name, f"IMG_{label}.jpg"))
Path("labels.csv").write_text(
    "image_id,label\nIMG_0,benign\nIMG_1,melanoma\n"
)
Path("hospital.csv").write_text(
    "Datei;Befund;PatientID\nIMG_0.jpg;NV;P1\nIMG_1.jpg;MEL;P2\n",
    encoding="utf-16",
)

# --8<-- [start:example]
from melanoma_tl import ISBIDataset

# images/benign/*.jpg and images/melanoma/*.jpg
by_folder = ISBIDataset.from_folder("images")

# a table with the columns image_id and label
by_table = ISBIDataset.from_csv("labels.csv", image_dirs=["images"])

# a table of your own: other columns, another separator, "Unicode text"
# of Excel; what is not "MEL" is benign, patients are found by their column
by_other = ISBIDataset.from_csv(
    "hospital.csv",
    image_dirs=["images"],
    id_column="Datei",
    label_column="Befund",
    positive="MEL",
)

# a pandas.DataFrame with the paths of the files
table = by_table.to_frame()[["path", "label"]]
by_frame = ISBIDataset.from_frame(table, path_column="path")
# --8<-- [end:example]
