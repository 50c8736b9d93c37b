"""What words say about melanoma: never more than they do."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas._libs.parsers import STR_NA_VALUES

from melanoma_tl.datasets.diagnoses import read_class
from melanoma_tl.labels.cells import _DUMMY, is_no_id
from melanoma_tl.labels.meanings import (
    Meaning,
    _normalise_any,
    excludes_cancer,
    excludes_melanoma,
    is_answer,
    is_missing,
    is_undecided,
    names_melanoma,
    names_other_cancer,
    normalise,
    read_meaning,
    read_question,
)
from melanoma_tl.labels.vocabulary import MISSING, NOTHING, NUMBERED

WORDS = {
    Meaning.MELANOMA: """
        melanoma; Melanoma; MELANOMA ; malignant melanoma; malignant_melanoma; MEL; mm; MIS; 1; true; yes; ja; oui
        melanoma in situ; lentigo maligna; Lentigo maligna, extrafacial; lentigo malin; melanoma metastasis; melanomas
        Melanoma, NOS; melanoma not otherwise specified; amelanotic melanoma; micromelanoma; nevus-associated melanoma
        Melanoma Invasive, Associated with a nevus; Melanoma in situ, lentigo maligna type; melanoma arising in a nevus
        Melanoma Invasive, On chronically sun-exposed skin or lentigo maligna melanoma; melanoma (0.76 to 1.5 mm)
        Malignant::Malignant melanocytic proliferations (Melanoma)::Melanoma Invasive; melanoma-acral-lentiginous
        Malignes Melanom; schwarzer Hautkrebs; mélanome malin; MÉLANOME; melanoma maligno; melanomi; melanoma malignum
        superficial spreading melanoma ssm; nodular-melanoma-(nm); melanoma extensivo superficial
        melanoma (less than 0.76 mm); melanoma 0.8mm, Clark 3; melanoma of the back; cutaneous melanoma, stage II
        superfiziell spreitendes Melanom; superfiziell spreitendes malignes Melanom; Melanommetastase; SSM in situ
        in-transit metastasis of melanoma; melanoma stage IA; melanoma stage IIIb; melanoma pT1aN0M0; melanoma ≤ 1mm
        melanoma 1-2mm; melanoma Clark II, Breslow 0.4; melanoma with regression; melanoma without ulceration
        melanoma arising in blue nevus; MM arising in compound nevus; SSM auf dysplastischem Nävus; MM (SSM)
        melanoma, unspecified; desmoplastic/neurotropic melanoma; low-CSD melanoma; melanoma on left thigh
        spindle cell melanoma; mélanome de Dubreuilh; melanoma invasor; melanoma a diffusione superficiale
        C43; C43.5; c43.9; D03; D03.9; C43.5 G; malignes Melanom C43.5
        mélanome acrolentigineux; melanoma acrolentigginoso; melanoma della cute; melanoma disseminativo superficial
        Melanome; histologically confirmed melanoma; melanoma, superficial spreading type; Melanom der Haut
    """,
    Meaning.OTHER: """
        benign; nevus; naevus; nævus; NV; nev; bcc; SCC; akiec; ack; bkl; df; vasc; sek; BEN_OTH; MAL_OTH; SCCKA; 0; -1
        no; nein; false; common nevus; atypical nevus; Nevus, Atypical, Dysplastic, or Clark; reed or spitz nevus
        not melanoma; non-melanoma; nonmelanoma; NonMel; no evidence of melanoma; negative for melanoma; not malignant
        kein Melanom; nicht maligne; pas de mélanome; sin melanoma; sem melanoma; no cancer; non-melanoma skin cancer
        seborrheic keratosis; seborrhoische Keratose; kératose séborrhéique; queratosis seborreica; cheratosi attinica
        solar or actinic keratosis; basal cell carcinoma; Basalzellkarzinom; carcinome basocellulaire; Bowen's disease
        carcinoma espinocelular; squamous-cell-carcinoma-in-situ; kaposi-sarcoma; weißer Hautkrebs; Hämangiom; lentigo
        Malignant::Malignant epidermal proliferations::Squamous cell carcinoma in situ; dermatofibroma; melanosis
        lichen planus-like keratosis; pigmented benign keratosis; Benign melanocytic proliferations; cafe-au-lait macule
        gutartig; bénin; benigno; benigna; healthy; normal; gesund; Muttermal; Leberfleck; grain de beauté; lunar; nevo
        malignant epidermal; Basalzellkrebs; Plattenepithelkrebs; epithelial skin cancer; superficial BCC; invasive SCC
        Vascular lesions; keratoacanthoma; ceratose seborreica; Pigmentnävus; Histiozytom; Warze; healthy skin; mole
        atypical mole; subungual hematoma; Merkel cell; Nävus; Nävi; Nävuszellnävus; dysplastischer Nävus
        nevus (not melanoma); BCC (not melanoma); n'est pas un mélanome; non è melanoma; definitely no melanoma
        kein Anhalt für Melanom; ohne Hinweis auf ein Melanom; não é melanoma; no es melanoma
        C44; C44.3; D04.5; D22; D22.5; L82; L57.0; Nävus D22.5
        maladie de Bowen; enfermedad de Bowen; heller Hautkrebs; CBC; CEC; verruga; verrue; lunares; Ekzem; psoriasis
        non-neoplastic; other; rest; misc; pigmented-spindle-cell-nevus-of-reed; acral-melanotic-macule; scar
    """,
    Meaning.MALIGNANT: """
        malignant; malignancy; cancer; Krebs; Hautkrebs; cancro; maligno; maligna; malin; bösartig; mal; skin cancer
        cáncer de piel; cancer de la peau; cancro della pelle
    """,
    Meaning.UNKNOWN: """
        melanoma?; melanoma vs nevus; melanoma or nevus; nevus or melanoma; melanoma/nevus; nevus vs mm; melanoma y nevo
        suspected melanoma; possible melanoma; Verdacht auf Melanom; melanoma-like nevus; juvenile melanoma; mel?
        benign juvenile melanoma; melanoma negative; melanoma excluded; atypical nevus, exclude melanoma; melanoma: no
        clinically melanoma, histologically nevus; family history of melanoma; no melanoma or nevus; not benign
        not a nevus; pre-malignant; potentially malignant; benign/malignant; malignant blue nevus; indeterminate
        disease; M; class A; 2; 7; 0.5; xyz; n/a; unknown; missing; ?
        SSM (nevus); SSM, nevus; MM with keratosis; LMM lentigo; nevus -> MM; melanoma, margins free of melanoma
        Melanom, Schnittrand ohne Melanom; melanoma, SLN negative for malignancy; melanoma (not malignant blue nevus)
        ≠melanoma; melanoma & cancer; lesion in melanoma patient; pigmented lesion 5 mm to melanoma; less melanoma
        spitz > melanoma; benign=0; benign_0; benign: false; !benign; ≠benign; un-benign; nevus-; anything but nevus
        mel-; MEL+; MM -; -mel; melanoma -; melanoma (-); !melanoma; melanoma 0; melanoma_1; melanoma=0
        melanoma: false; absence of melanoma; nessun melanoma; ausencia de melanoma; lack of cancer
        absence of malignancy; all but melanoma; melanoma ruled out; rather than melanoma; Nävus statt Melanom
        pseudo-melanoma; melanoma neg.; not excluded melanoma; sospecha de melanoma; posible melanoma
        probabile melanoma; V.a. Melanom; fragliches Melanom; susp. melanoma; DD Melanom; Z.n. Melanom
        previous melanoma; melanoma or so they say; Melanom in der Familie
        n'exclut pas un mélanome; eher kein Melanom; wohl kein Melanom; vermutlich kein Melanom; a/e Melanom
        C43.5 V; C43.5 A; C43.5 Z; C45; C4; D48.5; C430; ICD
        not non-melanoma; nonnevus; unnevus; nonkeratosis; cancerophobia; not without melanoma; hardly no melanoma
    """,
}


@pytest.mark.parametrize("meaning", WORDS, ids=lambda meaning: meaning.name)
def test_what_words_say(meaning):
    words = [word for line in WORDS[meaning].strip().splitlines() for word in line.strip().split("; ")]
    assert {word: read_meaning(word) for word in words} == dict.fromkeys(words, meaning)


@pytest.mark.parametrize(
    ("label", "meaning"),
    [
        (1, Meaning.MELANOMA),
        (1.0, Meaning.MELANOMA),
        (np.float32(1), Meaning.MELANOMA),
        (np.True_, Meaning.MELANOMA),
        (b"mel", Meaning.MELANOMA),
        (np.str_("nv"), Meaning.OTHER),
        (False, Meaning.OTHER),
        (-1, Meaning.OTHER),
        (2, Meaning.UNKNOWN),
        (-5, Meaning.UNKNOWN),
        (None, Meaning.UNKNOWN),
        (float("nan"), Meaning.UNKNOWN),
    ],
)
def test_what_other_labels_say(label, meaning):
    assert read_meaning(label) is meaning


def test_the_codes_of_public_datasets_name_one_melanoma_each():
    datasets = {
        "HAM10000": "akiec bcc bkl df mel nv vasc",
        "ISIC 2019": "MEL NV BCC AK BKL DF VASC SCC",
        "MILK10k": "AKIEC BCC BEN_OTH BKL DF INF MAL_OTH MEL NV SCCKA VASC",
        "PAD-UFES-20": "ACK BCC MEL NEV SCC SEK",
        "Derm7pt": "BCC NEV MEL MISC SK",
    }
    for name, codes in datasets.items():
        meanings = [read_meaning(code) for code in codes.split()]
        assert meanings.count(Meaning.MELANOMA) == 1, name
        assert set(meanings) == {Meaning.MELANOMA, Meaning.OTHER}, name


def test_everything_that_pandas_takes_for_missing_is_missing():
    assert [word for word in STR_NA_VALUES if not is_missing(word)] == []
    assert all(map(is_missing, [None, np.nan, np.float32("nan"), pd.NA, pd.NaT, np.datetime64("NaT"), b"", "\t"]))
    assert not any(map(is_missing, [0, 0.0, False, "0", "no", "benign", "x", np.datetime64("2020-01-01"), [], ()]))


@pytest.mark.parametrize(
    "word",
    [
        "?",
        " ",
        "unk",
        "\u2013",
        "--",
        "#REF!",
        "not recorded",
        "nicht bekannt",
        "anonymous",
        "\u00a0",
        "N/A",
        "Unbekannt",
        "inconnu",
        "desconocido",
        "NOT AVAILABLE",
        "None",
        "#NV",
        "#N/D",
        "#WERT!",
        "#VALEUR!",
        "#NOMBRE?",
        "***",
        "//",
        "(blank)",
        "(Leer)",
        "<null>",
        "[None]",
        "not assessed",
        "Unlabeled",
        "de-identified",
        "REDACTED",
        "anonymisé",
        "nicht befundet",
        "No disponible",
    ],
)
def test_words_for_missing(word):
    assert is_missing(word)
    assert read_meaning(word) is Meaning.UNKNOWN


ICD_O = {
    Meaning.MELANOMA: """8720/3; M8720/3; M-8720/3; ICD-O-3: 8720/6; icd-o-3:8721/3; 8743/32; 8742/2; 8790/3; 8745/9;
        8720/3 Malignant melanoma, NOS; (8743/3) superficial spreading melanoma; C44.5 8720/3;
        8720/2 melanoma in situ""",
    Meaning.OTHER: """8720/0; 8770/0 Spitz naevus; 8727/0; 8090/3; M-8070/33; 8081/2; C44.3, 8090/3;
        9140/3; 8247/3; 8000/0;
        8090/3 Basal cell carcinoma; 8140/3; 9700/3; 8832/1; 8140/1""",
    Meaning.MALIGNANT: "8000/3; M-8001/3; 8000/6",
    Meaning.UNKNOWN: """8720; 87203; 8720/1; 8000/1; 8720/3 nevus; 8720/0 melanoma; 8720/3, 8090/3;
        8720/3?; no 8720/3; 8720/4;
        1/8720/3; 8720/3/1; 8720/0 or 8720/3; V.a. 8720/3; 8090/3 melanoma""",
}


@pytest.mark.parametrize("meaning", ICD_O, ids=lambda meaning: meaning.name)
def test_codes_of_morphology(meaning):
    """ICD-O-3, sections "neoplasms, NOS" and "nevi and melanomas", and its codes of behaviour."""
    words = [word.strip() for word in ICD_O[meaning].split(";")]
    assert {word: read_meaning(word) for word in words} == dict.fromkeys(words, meaning)


def test_what_codes_of_morphology_leave_room_for():
    assert [names_other_cancer(code) for code in ("8090/3", "8720/0", "8000/3")] == [True, False, False]
    assert names_melanoma("M-8720/3")
    assert [excludes_melanoma(code) for code in ("8720/0", "8070/3")] == [False, True]
    assert [is_undecided(code) for code in ("8720/1", "8720/3 nevus", "8720/0")] == [True, True, False]


# Terms of the ISIC Archive, spelling mistakes included, as its own checker has them: class DiagnosisEnum of the package
# isic-metadata 4.12.0 (Kitware, Apache 2.0). All of "Malignant" but melanomas, all that are open, and of "Benign" what
# is easily taken for something else. A line is the second level and what stands below it.
MELANOMAS = """
    Malignant melanocytic proliferations (Melanoma): Melanoma Invasive; Melanoma in situ; Melanoma metastasis;
        Melanoma, NOS; Melanoma Invasive, Acral or Acral-lentiginous; Melanoma Invasive, Arising in a congenital nevus;
        Melanoma Invasive, Associated with a nevus; Melanoma Invasive, Blue nevus-like; Melanoma Invasive, Nevoid;
        Melanoma Invasive, Desmoplastic; Melanoma Invasive, Heavily pigmented; Melanoma Invasive, Spitzoid;
        Melanoma Invasive, On chronically sun-exposed skin or lentigo maligna melanoma;
        Melanoma Invasive, Pigmented spindle cell nevus like; Melanoma Invasive, Recurrent or persistent;
        Melanoma in situ, Lentigo maligna type; Melanoma in situ, associated with a nevus;
        Melanoma Invasive, resembling blue nevus; Melanoma Invasive, originating from blue nevus
"""
OTHER_CANCERS = """
    Lymphocytic proliferations - B-Cell: EBV positive mucocutaneous ulcer; Intravascular large B-cell lymphoma;
        Lymphocytic proliferation, B-Cell, other; Primary cutaneous follicle center lymphoma
    Lymphocytic proliferations - T-Cell/NK: Adult T-cell leukemia or lymphoma; Chronic active EBV infection;
        Mycosis fungoides; Primary cutaneous CD30+ lymphoproliferative disease; Sezary syndrome; Lymphomatoid papulosis
    Malignant adnexal epithelial proliferations - Apocrine or Eccrine: Malignant mixed tumor; Porocarcinoma;
        Paget disease, Extra-mammary; Hidradenocarcinoma
    Malignant adnexal epithelial proliferations - Follicular: Basal cell carcinoma; Basal cell carcinoma, Nodular;
        Matrical or pilomatrical carcinoma
    Malignant adnexal epithelial proliferations - Sebaceous: Sebaceous carcinoma
    Malignant epidermal proliferations: Bowenoid papulosis; Keratoacanthoma; Squamous cell carcinoma, NOS;
        Squamous cell carcinoma in situ, Bowens disease; Squamous cell carcinoma, Invasive, Keratoacanthoma-type
    Malignant soft tissue proliferations - Adipocytic: Liposarcoma
    Malignant soft tissue proliferations - Fibro-histiocytic: Atypical fibroxanthoma; Fibrosarcoma
    Malignant soft tissue proliferations - Muscle tissue or myofibroblastic: Leiomyosarcoma, Cutaneous;
        Atypical intradermal smooth muscle tumor; Rhabdomyoscaroma, Cutaneous
    Malignant soft tissue proliferations - Neural: Malignant granular cell tumor;
        Malignant peripheral nerve sheath tumor
    Malignant soft tissue proliferations - Unknown or other histiogenesis: Ewing sarcoma, Primary cutaenous
    Malignant soft tissue proliferations - Vascular: Hemangioendothelioma; Kaposi sarcoma; Malignant glomus tumor
    Merkel cell proliferation: Merkel cell carcinoma
    Skin metastasis of internal solid cancer - non-hematological:
"""
OPEN = """
    Indeterminate epidermal proliferations: Solar or actinic cheilitis
    Indeterminate melanocytic proliferations: Atypical Spitz tumor; Atypical intraepithelial melanocytic proliferation;
        Atypical melanocytic neoplasm; Atypical pigmented spindle cell tumor; Atypical Spitz tumor, Compound;
        Melanocytic tumor of uncertain malignant potential;
        Superficial atypical melanocytic proliferation of uncertain significance
"""
BENIGN = """
    Benign adnexal epithelial proliferations - Apocrine or Eccrine: Hidradenoma, Apocrine; Mixed tumor, Eccrine type;
        Poroma; Supernumerary nipple; Syringoma
    Benign adnexal epithelial proliferations - Follicular: Folliculosebaceous cystic hamartoma; Nevus comedonicus;
        Panfolliculoma; Tricholemmoma; Trichoblastoma; Trichofolliculoma; Tumor of follicular infundibulum
    Benign adnexal epithelial proliferations - Sebaceous: Fibrofolliculoma; Fordyce spots; Sebaceoma; Trichodiscoma
    Benign epidermal proliferations: Acantholytic acanthoma; Melanoacanthoma; Porokeratosis; Solar lentigo
    Benign melanocytic proliferations: Nevus; Dermal melanocytosis; Lentigo simplex; Mongolian spot;
        Nevus, Congenital, by history; Nevus, Congenital, by history and histopathological pattern;
        Proliferative nodule in congenital melanocytic nevi without atypia
    Benign soft tissue proliferations - Cartilagenous and ossifying: Accessory tragus; Osteoma cutis
    Benign soft tissue proliferations - Fibro-histiocytic: Dermatofibroma; Cutaneous Myxoma; Scar, Hypertrophic;
        Giant cell tumor of the tendon sheath; Non-Langerhans histiocytosis
    Benign soft tissue proliferations - Muscle tissue or myofibroblastic: Nodular Fasciitis; Piloleiomyoma
    Benign soft tissue proliferations - Neural: Granular cell tumor, non-neural and s100 negative; Schwannoma
    Benign soft tissue proliferations - Vascular: Venous lake; Vascular spider; Capillary vascular malformation
    Collision - Only benign proliferations:
    Cysts: Comedo; Dilated pore; Milium; Steatocystoma; Trichilemmal or isthmic-catagen or pilar cyst
    Flat melanotic pigmentations - not melanocytic nevus: Ephelis; Lentigo NOS; Mucosal melanotic macule
    Langerhans cell proliferations: Indeterminate cell histiocytosis; Langerhans cell histiocytosis
    Mast cell proliferations: Mastocytosis; Telangiectasia macularis eruptiva perstans
"""


def levels_of(text, first):
    """List the diagnoses in some lines, each from coarse to fine."""
    for line in re.sub(r"\n {8}", " ", text).strip().split("\n"):
        second, _, finest = line.partition(":")
        yield [first, second.strip()]
        yield from ([first, second.strip(), word.strip()] for word in finest.split(";") if word.strip())


@pytest.mark.parametrize(
    ("text", "first", "expected"),
    [
        (MELANOMAS, "Malignant", "melanoma"),
        (OTHER_CANCERS, "Malignant", "benign"),
        (BENIGN, "Benign", "benign"),
        (OPEN, "Indeterminate", "melanoma or not"),
    ],
)
def test_diagnoses_of_the_archive_are_known(text, first, expected):
    found = {tuple(levels): read_class(levels).rpartition(": ")[2] for levels in levels_of(text, first)}
    assert found == dict.fromkeys(found, expected)


def test_finest_terms_of_the_archive_are_right_or_say_nothing():
    for text, first, wrong in [
        (MELANOMAS, "Malignant", {Meaning.OTHER, Meaning.MALIGNANT}),
        (OTHER_CANCERS, "Malignant", {Meaning.MELANOMA, Meaning.MALIGNANT}),
        (OPEN, "Indeterminate", {*Meaning} - {Meaning.UNKNOWN}),
    ]:
        words = [levels[-1] for levels in levels_of(text, first)]
        assert [word for word in words if read_meaning(word) in wrong and word != words[0]] == []
    words = [levels[-1] for levels in levels_of(BENIGN, "Benign")]
    assert [word for word in words if read_meaning(word) is not Meaning.OTHER] == []


def test_other_words_for_findings():
    """Words of the archive until 2024, of atlases, and of other languages."""
    words = """acrochordon; insect bite; angiokeratoma; trichilemmoma; pilomatrixoma; cylindroma; hidradenoma; keloid;
        folliculitis; fibrous papule; Malignant - Other; leukemia cutis; extramammary Paget disease; linfoma; Sarkom;
        Angiosarkom; linfoma cutaneo; Lymphocytic proliferations; leucemia; Leukämie; leucémie; epitelioma basocelular;
        épithélioma; queratoacantoma; cheratoacantoma; Morbo di Bowen; histiocitoma; istiocitoma"""
    assert [word for word in words.split(";") if read_meaning(word) is not Meaning.OTHER] == []
    assert read_meaning("Malignant melanocytic proliferations") is Meaning.MALIGNANT
    assert read_meaning("melanocytic hyperplasia") is read_meaning("polypoid") is Meaning.UNKNOWN


def test_what_is_never_called_malignant():
    never = "nevus; nv; benign; seborrheic keratosis; BKL; solar lentigo; dermatofibroma; 8720/0; hemangioma; gutartig"
    sometimes = """keratoacanthoma; Keratoakanthom; queratoacantoma; actinic keratosis; aktinische Keratose; AK;
        queratosis actinica; kératose actinique; cheratosi attinica; solar keratosis; porokeratosis actinic;
        atypical fibroxanthoma; bowenoid papulosis; BCC; AKIEC; melanoma; malignant; other; rest; 0; no; no melanoma;
        non-melanoma; xyz; hemangioendothelioma; nevus?; 8070/3"""
    assert [word for word in never.split("; ") if not excludes_cancer(word)] == []
    assert [word for word in sometimes.split(";") if excludes_cancer(word)] == []


def test_one_spelling_for_comparison():
    assert normalise("  Seborrheic_Keratosis ") == normalise("seborrheic-keratosis") == "seborrheic keratosis"
    assert normalise(1) == normalise(1.0) == normalise("1") == normalise("1.0") == normalise(np.int8(1)) == "1"
    assert normalise(True) != normalise(1)
    assert normalise(-5) != normalise(5)
    assert normalise("Clark\u2019s nevus") == normalise("clarks NEVUS")
    assert normalise(normalise("Évolué -- X")) == normalise("Évolué -- X")


def test_answers():
    assert all(map(is_answer, [0, 1, -1, "0", "Yes", "nein", True, np.False_, "pos", "Negative"]))
    assert not any(map(is_answer, [2, "mel", "benign", "malignant", "M"]))


def test_what_names_a_melanoma_and_is_not_clear():
    named = ["melanoma (collision)", "Melanom mit Satelliten", "SSM with a twist", "melanoma"]
    assert all(map(names_melanoma, named))
    assert not any(
        map(names_melanoma, ["melanoma?", "no melanoma", "nevus", "suspected melanoma", "melanoma or nevus"])
    )


def test_what_names_another_cancer():
    named = "BCC; scc; akiec; Basalzellkarzinom; superficial BCC; Kaposi sarcoma; mal_oth; maladie de Bowen; Spinaliom"
    others = (
        "nevus; melanoma; malignant; no carcinoma; melanoma and bcc; history of BCC; clear cell acanthoma; 1; cancer"
    )
    assert all(map(names_other_cancer, named.split("; ")))
    assert not any(map(names_other_cancer, others.split("; ")))


def test_what_leaves_no_room_for_a_melanoma():
    assert all(map(excludes_melanoma, ["benign", "gutartig", "bénin", "BCC", "no melanoma", "non-melanoma", "benigna"]))
    assert not any(
        map(excludes_melanoma, ["nevus", "freckle", "moles", "melanoma", "malignant", "0", "no", "not benign"])
    )


def test_what_is_left_open():
    left_open = "melanoma?; lentigo maligna?; mel?; V.a. MM; SSM vs nevus; AIMP; STUMP; MELTUMP; suspicious; not benign"
    settled = "melanoma; nevus; malignant; psoriasis; xyz; 1; no; unknown; malignant fibrous histiocytoma"
    assert all(map(is_undecided, left_open.split("; ")))
    assert not any(map(is_undecided, settled.split("; ")))


@pytest.mark.parametrize(
    ("meaning", "names"),
    [
        (
            Meaning.MELANOMA,
            "melanoma; is_melanoma; has melanoma; Melanom; Mélanome; MEL; malignant melanoma; Melanoma?",
        ),
        (Meaning.MALIGNANT, "malignant; isMalignant; benign_malignant; target; diagnosis_1; bösartig; Krebs; cancro"),
        (Meaning.OTHER, "benign; keine Auffälligkeit; unauffällig; sans mélanome; nevus vs melanoma; ohne Befund; BCC"),
        (Meaning.UNKNOWN, "label; y; class; outcome; 1; biopsied"),
    ],
)
def test_what_a_yes_in_a_column_says(meaning, names):
    expected = dict.fromkeys(names.split("; "), meaning)
    assert {name: read_question(name) for name in expected} == expected


@pytest.mark.parametrize(
    "word",
    [
        *("nevo sospechoso", "nevo sospetto", "nevo suspeito", "naevus douteux", "Nävus, verdächtig", "Nävus fraglich"),
        *("sospecha de nevus", "wahrscheinlich gutartig", "kératose suspecte", "nevus, pending histology"),
        *("entarteter Nävus", "nevo degenerado", "indeterminate/benign", "indeterminate/malignant"),
    ],
)
def test_a_doubt_in_any_language_is_no_benign_finding(word):
    assert read_meaning(word) is Meaning.UNKNOWN
    assert is_undecided(word)


@pytest.mark.parametrize("code", ["8100/23", "9101/22", "8720/33/1", "8720/4"])
def test_a_number_and_a_year_are_no_code_of_morphology(code):
    assert read_meaning(code) is Meaning.UNKNOWN


@pytest.mark.parametrize(
    "column",
    [
        *("Ausschluss_Melanom", "melanoma_excluido", "melanoma_descartado", "mélanome_exclu", "melanoma_escluso"),
        *("Kontrolle", "control", "Melanom_ausgeschlossen"),
    ],
)
def test_a_column_that_excludes_melanoma_does_not_ask_for_it(column):
    assert read_question(column) is Meaning.OTHER


PLAIN = st.from_regex(r"[A-Za-z0-9]{1,4}([ _-][A-Za-z0-9]{1,4}){0,3}", fullmatch=True)


@given(PLAIN | st.text("aZ0 _-'.(", max_size=8))
def test_the_short_way_of_plain_words_leads_where_the_long_one_does(text):
    assert normalise(text) == _normalise_any(text)


def test_no_word_that_says_nothing_is_letters_and_a_number():
    """Ids are not compared with these words if they are."""
    assert not [word for word in MISSING if NUMBERED.fullmatch(word)]
    assert is_no_id("dummy")
    assert not is_no_id("dummy0001")
    assert not re.search(r"\d", _DUMMY.pattern.replace("{3,}", ""))
    assert not NOTHING.fullmatch("ISIC_0012345")
