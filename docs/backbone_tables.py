"""Print the tables of the page on backbones as the code has them; a test compares the page with them."""

import re

from melanoma_tl.backbones import get_backbone
from melanoma_tl.backbones.applications import FAMILIES
from melanoma_tl.testing import CONTRACT


def list_applications() -> str:
    """List the models of keras.applications."""
    rows = ["| name | parameters | size | paper | weights |", "| --- | ---: | ---: | --- | --- |"]
    for family in FAMILIES:
        for model in family.models:
            spec = get_backbone(model.constructor)
            authors, paper, weights = re.fullmatch(r"(.+), arXiv:(\S+); weights (.+)", spec.source).groups()
            rows.append(
                f"| `{spec.name}` | {spec.parameters / 1e6:.1f} M | {spec.input_size[0]} "
                f"| [{authors}](https://arxiv.org/abs/{paper}) | {weights}, {spec.license} |"
            )
    return "\n".join(rows)


def list_clauses() -> str:
    """List the clauses of the contract."""
    rows = ["| clause | what it requires |", "| --- | --- |"]
    return "\n".join(rows + [f"| {clause.name} | {clause.requirement} |" for clause in CONTRACT])


if __name__ == "__main__":
    print(list_applications(), list_clauses(), sep="\n\n")
