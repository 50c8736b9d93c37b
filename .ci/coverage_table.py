"""Say how many of each package's lines and branches no test has reached, and in which files most."""

import json
import sys
from pathlib import Path

import pandas as pd

N_FILES = 10


def main() -> None:
    """Print two tables from what ``coverage json`` wrote."""
    files = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["files"]
    table = pd.DataFrame(
        {
            "file": name,
            "package": (*Path(name).parts[1:-1], "(beside them)")[0],
            "lines": file["summary"]["num_statements"],
            "lines missed": file["summary"]["missing_lines"],
            "branches": file["summary"]["num_branches"],
            "branches missed": file["summary"]["missing_branches"],
        }
        for name, file in files.items()
    )
    by_package = table.drop(columns="file").groupby("package").sum()
    by_package.loc["all"] = by_package.sum()
    print(_with_share(by_package).to_string(), "\n")
    print(_with_share(table.set_index("file")).sort_values("reached").head(N_FILES).to_string())


def _with_share(table: pd.DataFrame) -> pd.DataFrame:
    """Add which share of lines and branches together was reached."""
    missed = table["lines missed"] + table["branches missed"]
    return table.assign(reached=(1 - missed / (table["lines"] + table["branches"])).fillna(1).map("{:7.1%}".format))


main()
