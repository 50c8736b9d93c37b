"""Score an archive of any size with a saved model, on one machine or on a Ray cluster.

    python examples/score_archive.py out/melanoma.keras 'archive/**/*.jpg' --out scores
    python examples/score_archive.py out/melanoma.keras 's3://bucket/archive/**/*.jpg' --out s3://bucket/scores

Writes Parquet files with the columns id, path, score and error into the folder of --out. A call that was
interrupted goes on where it was if it is made again. Needs ``pip install '.[ray]'``. Research use only;
not a medical device.
"""

import argparse
import sys

from melanoma_tl.errors import MelanomaTLError
from melanoma_tl.scale import score

_SHOWN = 20
"""Bad images that are printed; all of them stand in the files."""


def main(arguments: list[str] | None = None) -> int:
    """Run the example.

    Returns
    -------
    int
        0, 1 if the job stopped, or 130 if it was interrupted.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="file that save of a classifier or of an ensemble wrote")
    parser.add_argument("images", nargs="+", help="glob (quoted), folder or files; paths or a URI")
    parser.add_argument("--out", required=True, help="folder for the scores, a path or a URI")
    parser.add_argument("--actors", type=int, help="processes that score (default: one each GPU or machine)")
    parser.add_argument("--cpus", type=int, help="processors of each (default: all)")
    parser.add_argument("--gpus", type=float, help="GPUs of each (default: 1 where there are any)")
    parser.add_argument("--tta", type=int, help="views to average, 1, 2, 4 or 8 (default: the model's)")
    parser.add_argument("--batch-size", type=int, help="images at once (default: 16 of 224x224, 64 on a GPU)")
    parser.add_argument("--shard-size", type=int, default=512, help="images a file (default: %(default)s)")
    options = vars(parser.parse_args(arguments))
    try:
        images = options.pop("images")
        result = score(images[0] if len(images) == 1 else images, options.pop("model"), options.pop("out"), **options)
    except MelanomaTLError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped: the same call goes on with what is left", file=sys.stderr)
        return 130  # as a shell says of what Ctrl-C ended
    print(result)
    for row in result.errors.head(_SHOWN).itertuples():
        print(f"not scored: {row.path}: {row.error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
