"""Photographs in DICOM files, written and read: shown in "Data"."""

from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    VLPhotographicImageStorage,
    generate_uid,
)

from melanoma_tl.datasets import draw_lesion


def write(path, pixels):
    file = Dataset()
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.SOPClassUID, file.SOPInstanceUID = (
        VLPhotographicImageStorage,
        generate_uid(),
    )
    file.file_meta.MediaStorageSOPClassUID = file.SOPClassUID
    file.file_meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID
    file.PatientID = "P1"
    file.Rows, file.Columns, file.SamplesPerPixel = pixels.shape
    file.PhotometricInterpretation, file.PlanarConfiguration = "RGB", 0
    file.BitsAllocated = file.BitsStored = 8
    file.HighBit, file.PixelRepresentation = 7, 0
    file.PixelData = pixels.tobytes()
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    file.save_as(path, enforce_file_format=True)


for label, name in enumerate(("benign", "melanoma")):
    lesion = draw_lesion(bool(label), size=64, random_state=label)
    write(f"dicom/{name}/IMG_{label}.dcm", lesion)
Path("dicom/labels.csv").write_text(
    "image_id,label,patient_id\nIMG_0,benign,P1\nIMG_1,melanoma,P1\n"
)

for number in (0, 1):
    lesion = draw_lesion(bool(number), size=64, random_state=number)
    write(f"siim/train/ISIC_{number}.dcm", lesion)
Path("siim/train.csv").write_text(
    "image_name,patient_id,diagnosis,benign_malignant,target\n"
    "ISIC_0,IP_1,unknown,benign,0\nISIC_1,IP_2,melanoma,malignant,1\n"
)

# --8<-- [start:example]
from melanoma_tl import ISBIDataset

by_folder = ISBIDataset.from_folder("dicom")
by_table = ISBIDataset.from_csv("dicom/labels.csv")
# --8<-- [end:example]

siim = ISBIDataset.from_challenge("siim", year=2020, split="train")
pixels = by_table.images((32, 32), verbose=0)[:]
