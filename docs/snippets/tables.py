"""Tables of one's own, and sets put together: shown in "Data"."""

from pathlib import Path

from PIL import Image

from melanoma_tl.datasets import draw_lesion


def draw(path, number, *, melanoma=False):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    lesion = draw_lesion(melanoma, size=64, random_state=number)
    Image.fromarray(lesion).save(path)


draw("hospital/photos/2023/IMG_1.jpg", 1)
draw("hospital/photos/2024/IMG_2.jpg", 2, melanoma=True)
draw("hospital/more/IMG_3.jpg", 3, melanoma=True)
Path("hospital/clinic.csv").write_text(
    "Aufnahme;Einteilung;Fall;Herd;Histologie\n"
    "IMG_1.jpg;N;1;1-1;junktionaler Nävus\n"
    "IMG_2.jpg;MM;2;2-1;superfiziell spreitendes Melanom\n"
    "IMG_3.jpg;MIS;2;2-2;Melanoma in situ\n",
    encoding="cp1252",
)
draw("practice/1.jpg", 4)
draw("practice/2.jpg", 5, melanoma=True)

# --8<-- [start:csv]
from melanoma_tl import ISBIDataset

clinic = ISBIDataset.from_csv(
    "hospital/clinic.csv",
    sep=";",
    encoding="cp1252",
    image_dirs=["hospital/photos", "hospital/more"],
    id_column="Aufnahme",
    label_column="Einteilung",
    positive=["MM", "MIS"],
    patient_column="Fall",
    lesion_column="Herd",
    diagnosis_column="Histologie",
)
# --8<-- [end:csv]

# --8<-- [start:frame]
import pandas as pd

table = pd.DataFrame(
    {
        "photo": ["practice/1.jpg", "practice/2.jpg"],
        "grade": ["grade 1", "Grade  3"],
        "person": [1, 2],
    }
)
practice = ISBIDataset.from_frame(
    table,
    path_column="photo",
    label_column="grade",
    label_map={"Grade 1": "benign", "Grade 2": 0, "Grade 3": "melanoma"},
    patient_column="person",
    name="practice",
)
# --8<-- [end:frame]

# --8<-- [start:concat]
together = clinic + practice
# --8<-- [end:concat]


# --8<-- [start:prefix]
def with_prefix(dataset, prefix):
    table = dataset.to_frame()
    for column in ("image_id", "patient_id", "lesion_id"):
        if column in table:
            table[column] = prefix + table[column]
    return ISBIDataset.from_frame(table, name=dataset.name)


apart = ISBIDataset.concat(
    [with_prefix(clinic, "clinic-"), with_prefix(practice, "practice-")]
)
# --8<-- [end:prefix]
