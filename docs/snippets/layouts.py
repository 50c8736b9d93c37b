"""Sets as they are published, drawn and read: shown in "Data"."""

import io
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from melanoma_tl.datasets import draw_lesion


def draw(number, *, melanoma=False, file="JPEG"):
    content = io.BytesIO()
    lesion = draw_lesion(melanoma, size=64, random_state=number)
    Image.fromarray(lesion).save(content, file)
    return content.getvalue()


def lay_out(root, tables, images):
    """Write tables and drawn images below a folder."""
    for name, text in tables.items():
        path = Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for number, name in enumerate(images):
        path = Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        file = {".png": "PNG", ".bmp": "BMP"}.get(path.suffix, "JPEG")
        path.write_bytes(draw(number, melanoma=number % 2 == 1, file=file))


lay_out(
    "archive",
    {
        "metadata.csv": "isic_id,diagnosis_1,diagnosis_2,diagnosis_3,"
        "patient_id\n"
        "ISIC_0000001,Benign,Benign melanocytic proliferations,Nevus,IP_1\n"
        "ISIC_0000002,Malignant,Malignant melanocytic proliferations "
        "(Melanoma),Melanoma Invasive,IP_2\n",
        "attribution.txt": "",
        "licenses/CC-0.txt": "",
    },
    ["ISIC_0000001.jpg", "ISIC_0000002.jpg"],
)
lay_out(
    "ham",
    {
        "HAM10000_metadata.csv": "lesion_id,image_id,dx,age,sex,"
        "localization\n"
        "HAM_0000001,ISIC_0024306,nv,45,male,back\n"
        "HAM_0000002,ISIC_0029306,mel,80,female,face\n"
    },
    [
        "HAM10000_images_part_1/ISIC_0024306.jpg",
        "HAM10000_images_part_2/ISIC_0029306.jpg",
    ],
)
lay_out(
    "siim",
    {
        "train.csv": "image_name,patient_id,diagnosis,benign_malignant,"
        "target\n"
        "ISIC_0015719,IP_1,unknown,benign,0\n"
        "ISIC_0052212,IP_2,melanoma,malignant,1\n",
        "train/ISIC_0015719.dcm": "is not opened",
    },
    ["jpeg/train/ISIC_0015719.jpg", "jpeg/train/ISIC_0052212.jpg"],
)
isic_2024 = (
    "isic_id,target,patient_id,lesion_id,iddx_1,iddx_2,iddx_3\n"
    "ISIC_0015670,0,IP_1,,Benign,,\n"
    "ISIC_0015671,1,IP_2,IL_1,Malignant,"
    "Malignant melanocytic proliferations (Melanoma),Melanoma in situ\n"
)
ids_2024 = ["ISIC_0015670", "ISIC_0015671"]
lay_out(
    "isic2024",
    {"train-metadata.csv": isic_2024},
    [f"train-image/image/{image_id}.jpg" for image_id in ids_2024],
)
with h5py.File("isic2024/train-image.hdf5", "w") as file:
    for number, image_id in enumerate(ids_2024):
        file[image_id] = np.void(draw(number, melanoma=number == 1))
lay_out(
    "pad",
    {
        "metadata.csv": "patient_id,lesion_id,age,gender,region,diagnostic,"
        "img_id\n"
        "PAT_1516,1765,8,,ARM,NEV,PAT_1516_1765_530.png\n"
        "PAT_46,881,55,FEMALE,NECK,MEL,PAT_46_881_939.png\n"
    },
    ["imgs_part_1/PAT_1516_1765_530.png", "imgs_part_2/PAT_46_881_939.png"],
)
lay_out(
    "derm7pt",
    {
        "meta/meta.csv": "diagnosis,location,sex,clinic,derm\n"
        "reed or spitz nevus,back,male,NEL/Nel046.jpg,NEL/Nel047.jpg\n"
        "melanoma (in situ),back,male,NEL/NEL027.jpg,NEL/NEL025.jpg\n",
        "meta/train_indexes.csv": "indexes\n0\n1\n",
        "meta/valid_indexes.csv": "indexes\n0\n",
        "meta/test_indexes.csv": "indexes\n1\n",
    },
    [
        f"images/NEL/{name}.jpg"
        for name in ("Nel047", "NEL025", "Nel046", "NEL027")
    ],
)
for part in ("train", "test"):
    lay_out(
        "bcn",
        {
            f"bcn_20k_{part}.csv": "bcn_filename,diagnosis,lesion_id\n"
            "BCN_0000000001.jpg,NV,BCN_0000019\n"
            "BCN_0000000003.jpg,MEL,BCN_0003884\n"
        },
        [
            f"BCN_20k_{part}/bcn_20k_{part}/BCN_000000000{row}.jpg"
            for row in (1, 3)
        ],
    )
lay_out(
    "milk",
    {
        "MILK10k_Training_GroundTruth.csv": "lesion_id,AKIEC,BCC,BEN_OTH,BKL,"
        "DF,INF,MAL_OTH,MEL,NV,SCCKA,VASC\n"
        "IL_0000001,0,0,0,0,0,0,0,0,1,0,0\n"
        "IL_0000002,0,0,0,0,0,0,0,1,0,0,0\n",
        "MILK10k_Training_Metadata.csv": "lesion_id,image_type,isic_id\n"
        "IL_0000001,dermoscopic,ISIC_0000011\n"
        "IL_0000001,clinical: close-up,ISIC_0000012\n"
        "IL_0000002,dermoscopic,ISIC_0000021\n"
        "IL_0000002,clinical: close-up,ISIC_0000022\n",
    },
    [
        f"MILK10k_Training_Input/IL_000000{image[0]}/ISIC_00000{image}.jpg"
        for image in ("11", "21", "12", "22")
    ],
)
lay_out(
    "ddi",
    {
        "ddi_metadata.csv": "DDI_file,skin_tone,malignant,disease\n"
        "000001.png,56,False,melanocytic-nevi\n"
        "000002.png,56,True,melanoma-in-situ\n"
    },
    ["images/000001.png", "images/000002.png"],
)
lay_out(
    "fitz",
    {
        "fitzpatrick17k.csv": "md5hash,label,three_partition_label\n"
        "5e82a45bc5d78bd24ae9202d194423f8,psoriasis,non-neoplastic\n"
        "fa2911a9b13b6f8af79cb700937cc14f,malignant melanoma,malignant\n"
    },
    [
        "images/5e82a45bc5d78bd24ae9202d194423f8.jpg",
        "images/fa2911a9b13b6f8af79cb700937cc14f.jpg",
    ],
)
lay_out(
    "kaggle",
    {},
    [
        f"{part}/{label}/{number}.jpg"
        for part in ("train", "test")
        for number in (1, 2)
        for label in ("benign", "malignant")
    ],
)

lay_out(
    "isic",
    {
        "ISBI2016_ISIC_Part3_Training_GroundTruth.csv": "ISIC_0000000,"
        "benign\nISIC_0000002,malignant\n",
        "ISIC-2017_Training_Part3_GroundTruth.csv": "image_id,melanoma,"
        "seborrheic_keratosis\nISIC_0000000,0,0\nISIC_0000002,1,0\n",
        "ISIC2018_Task3_Training_GroundTruth/"
        "ISIC2018_Task3_Training_GroundTruth.csv": "image,MEL,NV,BCC,AKIEC,"
        "BKL,DF,VASC\nISIC_0024306,0,1,0,0,0,0,0\n"
        "ISIC_0029306,1,0,0,0,0,0,0\n",
        "ISIC2018_Task3_Training_LesionGroupings.csv": "image,lesion_id\n"
        "ISIC_0024306,HAM_0000001\nISIC_0029306,HAM_0000002\n",
        "ISIC_2019_Training_GroundTruth.csv": "image,MEL,NV,BCC,AK,BKL,DF,"
        "VASC,SCC,UNK\nISIC_0000000,0,1,0,0,0,0,0,0,0\n"
        "ISIC_0000002,1,0,0,0,0,0,0,0,0\n",
        "ISIC_2019_Training_Metadata.csv": "image,age_approx,sex\n"
        "ISIC_0000000,55,female\nISIC_0000002,30,female\n",
        "ISIC_2020_Training_GroundTruth_v2.csv": "image_name,patient_id,"
        "lesion_id,diagnosis,target\nISIC_0015719,IP_1,IL_1,unknown,0\n"
        "ISIC_0052212,IP_2,IL_2,melanoma,1\n",
    },
    [
        f"{folder}/ISIC_{number}.jpg"
        for folder, numbers in {
            "ISBI2016_ISIC_Part3_Training_Data": ("0000000", "0000002"),
            "ISIC-2017_Training_Data": ("0000000", "0000002"),
            "ISIC2018_Task3_Training_Input": ("0024306", "0029306"),
            "ISIC_2019_Training_Input": ("0000000", "0000002"),
            "train": ("0015719", "0052212"),
        }.items()
        for number in numbers
    ],
)
lay_out(
    "PH2Dataset",
    {
        "PH2_dataset.txt": "|| Name || Clinical Diagnosis ||\n"
        "|| IMD003 || 0 ||\n|| IMD058 || 2 ||\n"
    },
    [
        f"PH2 Dataset images/{name}/{name}_Dermoscopic_Image/{name}.bmp"
        for name in ("IMD003", "IMD058")
    ],
)

# --8<-- [start:isic]
from melanoma_tl import ISBIDataset

isic = ISBIDataset.from_challenge("isic", year=2018, split="train")
# --8<-- [end:isic]

years = [
    ISBIDataset.from_challenge("isic", year=year, split="train")
    for year in (2016, 2017, 2018, 2019, 2020)
]

# --8<-- [start:ph2]
ph2 = ISBIDataset.from_challenge("PH2Dataset", year="PH2", split="all")
# --8<-- [end:ph2]

# --8<-- [start:archive]
mine = ISBIDataset.from_archive("archive")
# --8<-- [end:archive]

# --8<-- [start:ham]
ham = ISBIDataset.from_challenge("ham", year="HAM10000", split="train")
# --8<-- [end:ham]

# --8<-- [start:siim]
siim = ISBIDataset.from_challenge("siim", year=2020, split="train")
# --8<-- [end:siim]

# --8<-- [start:isic2024]
crops = ISBIDataset.from_challenge("isic2024", year=2024, split="train")
# --8<-- [end:isic2024]

# --8<-- [start:hdf5]
packed = ISBIDataset.from_challenge(
    "isic2024",
    year=2024,
    split="train",
    image_dirs=["isic2024/train-image.hdf5"],
)
# --8<-- [end:hdf5]

# --8<-- [start:pad]
pad = ISBIDataset.from_challenge("pad", year="PAD-UFES-20", split="all")
# --8<-- [end:pad]

# --8<-- [start:derm7pt]
derm = ISBIDataset.from_challenge("derm7pt", year="Derm7pt", split="train")
# --8<-- [end:derm7pt]

# --8<-- [start:bcn]
bcn = ISBIDataset.from_challenge("bcn", year="BCN20000", split="train")
# --8<-- [end:bcn]

# --8<-- [start:milk]
milk = ISBIDataset.from_challenge("milk", year="MILK10k", split="train")
# --8<-- [end:milk]

close_ups = ISBIDataset.from_challenge(
    "milk", year="MILK10k", split="train, close-up"
)

# --8<-- [start:ddi]
ddi = ISBIDataset.from_challenge("ddi", year="DDI", split="all")
# --8<-- [end:ddi]

# --8<-- [start:fitz]
fitz = ISBIDataset.from_challenge("fitz", year="Fitzpatrick17k", split="all")
# --8<-- [end:fitz]

# --8<-- [start:kaggle]
train = ISBIDataset.from_folder("kaggle/train", positive="malignant")
# --8<-- [end:kaggle]
