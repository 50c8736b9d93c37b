"""What pre-training corpora are known to hold of the images that classifiers of melanoma are tested on.

A test set whose images, or whose source, a backbone was pre-trained on says less about new images. What stands here was
published by those who made the corpus, or by those who looked for duplicates; what nobody has published is not here.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

_ARCHIVE = "ISIC Archive"


class Source(NamedTuple):
    """Where test images come from.

    Attributes
    ----------
    name : str
        What it is called here.
    also : tuple of str
        What else it is called.
    in_archive : bool
        Whether its images are in the ISIC Archive.
    """

    name: str
    also: tuple[str, ...] = ()
    in_archive: bool = False


@dataclass(frozen=True)
class Corpus:
    """Images that backbones were pre-trained on.

    Attributes
    ----------
    name : str
        As `pretrained_on` of a backbone names it, in any spelling and among other words.
    holds : tuple of str
        Of what sources it is known to hold images.
    citation : str
        Where that is said.
    """

    name: str
    holds: tuple[str, ...]
    citation: str


SOURCES = (
    Source(_ARCHIVE, ("ISIC",)),
    Source("ISIC 2016", ("ISBI 2016",), in_archive=True),
    Source("ISIC 2017", ("ISBI 2017",), in_archive=True),
    Source("HAM10000", ("ISIC 2018",), in_archive=True),  # the training images of that year, under another name
    Source("ISIC 2019", in_archive=True),
    Source("ISIC 2020", in_archive=True),
    Source("ISIC 2024", ("SLICE 3D",), in_archive=True),
    Source("BCN20000", in_archive=True),
    Source("MILK10k", in_archive=True),
    Source("PAD-UFES-20", ("PAD-UFES",)),
    Source("PH2", ("PH\N{SUPERSCRIPT TWO}",)),
    Source("Derm7pt"),
    Source("DDI"),
    Source("Fitzpatrick17k"),
    Source("SCIN"),
    Source("DermNet"),
)

_PANDERM = "Yan et al., 2025, Nat Med 31:2691, doi:10.1038/s41591-025-03747-y"

CORPORA = (
    Corpus(
        "MedSigLIP",
        ("PAD-UFES-20", "SCIN"),
        "its model card, https://developers.google.com/health-ai-developer-foundations/medsiglip/model-card",
    ),
    Corpus("PanDerm", ("ISIC 2024",), f"{_PANDERM}, Methods"),
    Corpus("SwAVDerm", (_ARCHIVE, "DermNet"), f"{_PANDERM}, Discussion"),
    Corpus("WhyLesionCLIP", (_ARCHIVE,), "its model card, https://huggingface.co/yyupenn/whylesionclip"),
    Corpus(
        "ISIC 2017",
        ("ISIC 2016",),
        "Cassidy et al., 2022, Med Image Anal 75:102305, doi:10.1016/j.media.2021.102305",
    ),
    Corpus("ISIC 2019", ("HAM10000", "BCN20000", "ISIC 2017"), "https://challenge.isic-archive.com/data/#2019"),
)
"""What is known. A backbone that was trained on one of the sources themselves needs no entry."""

NOTHING = "nothing"
"""What random weights were trained on."""

_ARCHIVE_ID = re.compile(r"ISIC_\d{7}")

# ImageNet was collected from 2008 to 2011, before any of the sources was published.
_LISTED = re.compile(rf"(?:ImageNet(?:-\d+k)?|\(ILSVRC[\s-]*2012\)|then|and|{NOTHING}|[\s,;+])*", re.IGNORECASE)


class Contamination(NamedTuple):
    """A source of test images that is known to be in a pre-training corpus.

    Attributes
    ----------
    corpus : str
        What the backbone was pre-trained on.
    source : str
        Of what it holds images.
    tested : str
        What the test images are of: the same, or a part of it.
    citation : str
        Where that is said; empty where the backbone itself states it.
    """

    corpus: str
    source: str
    tested: str
    citation: str


def find_contamination(pretrained_on: str, named: Iterable[str], image_ids: Sequence[str] = ()) -> list[Contamination]:
    """Find what a backbone was pre-trained on of the source of test images.

    Parameters
    ----------
    pretrained_on : str
        As the backbone states it.
    named : iterable of str
        What the test images are called, and how they were read.
    image_ids : sequence of str, default=()
        Their ids: those of the ISIC Archive tell where they are from.

    Returns
    -------
    list of Contamination
        One for each corpus and source; empty where none is known.

    Examples
    --------
    >>> [(found.source, found.citation[:6]) for found in find_contamination("PanDerm", ["ISIC 2024 train"])]
    [('ISIC 2024', 'Yan et')]
    >>> find_contamination("ImageNet-1k (ILSVRC 2012)", ["ISIC 2024 train"])
    []
    """
    tested = _find_names(" ; ".join(named), _SPELLINGS)
    if not tested and any(_ARCHIVE_ID.fullmatch(image) for image in image_ids):
        tested = [_ARCHIVE]
    known = _find_names(pretrained_on, _SPELLINGS | {corpus.name: corpus.name for corpus in CORPORA})
    held = [(name, name, "") for name in known if name in _SPELLINGS]
    held += [
        (corpus.name, source, corpus.citation) for corpus in CORPORA if corpus.name in known for source in corpus.holds
    ]
    return [
        Contamination(corpus, source, one, citation)
        for corpus, source, citation in held
        for one in tested
        if one == source or (source == _ARCHIVE and one in _OF_ARCHIVE)
    ]


def is_listed(pretrained_on: str) -> bool:
    """Return whether the images that a backbone was pre-trained on are known to be none of a test set.

    Parameters
    ----------
    pretrained_on : str
        As the backbone states it.

    Returns
    -------
    bool
        True of ImageNet and of random weights; False of anything else, and where nothing is stated.

    Examples
    --------
    >>> is_listed("ImageNet-21k, then ImageNet-1k (ILSVRC 2012)"), is_listed("ImageNet-1k, then WebLI"), is_listed("")
    (True, False, False)
    """
    return bool(pretrained_on.strip()) and _LISTED.fullmatch(pretrained_on) is not None


_SPELLINGS = {spelling: source.name for source in SOURCES for spelling in (source.name, *source.also)}
_OF_ARCHIVE = {source.name for source in SOURCES if source.in_archive}


def _find_names(text: str, spellings: dict[str, str]) -> list[str]:
    """Find names in a text, the longest where one is a part of another, whatever stands between their parts."""
    longest_first = sorted(spellings, key=len, reverse=True)
    either = "|".join(f"(?P<n{number}>{_pattern(name)})" for number, name in enumerate(longest_first))
    found = (longest_first[int(match.lastgroup[1:])] for match in re.finditer(either, text, re.I) if match.lastgroup)
    return list(dict.fromkeys(spellings[name] for name in found))


def _pattern(name: str) -> str:
    """Write a name as a pattern: "ISIC-2019", "isic_2019" and "ISIC2019" are one; "PanDerm-2" is not "PanDerm"."""
    parts = re.findall(r"[^\W\d_]+|\d+|[^\w\s-]", name)
    version = "" if name[-1].isdigit() else r"(?![-_]?v?\d)"
    return r"(?<![^\W_])" + r"[\s_-]*".join(map(re.escape, parts)) + r"(?![^\W_])" + version
