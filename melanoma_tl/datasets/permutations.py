"""Compare a subset with random subsets of the same size."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

N_DRAWS = 9_999
"""Random subsets that each p-value is counted from."""

_MANY, _FEWER_DRAWS = 2_000, 999
"""With more patients than this in a class, fewer random subsets bound time and memory."""
_STEPS = 50  # numbers are compared at these quantiles, so that the time does not grow with the images
N_TENTHS = 10


def n_values(values: pd.Series) -> int:
    """Count different values; unknown is one of them."""
    return int(values.nunique(dropna=False))


def is_number(values: pd.Series) -> bool:
    """Return whether values are numbers, and not flags."""
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def format_value(value: Any) -> str:
    """Write a value for people."""
    if pd.isna(value):
        return "unknown"
    if isinstance(value, str | bool | np.bool_):
        return str(value)
    number = float(value)
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.3g}"


class _Choices(NamedTuple):
    """As many random patients as were chosen, some thousand times.

    Attributes
    ----------
    patients : ndarray of int of shape (n_images,)
        Which patient each image of the class is of.
    chosen : ndarray of bool of shape (n_draws, n_patients)
        Who was chosen in each draw.
    """

    patients: NDArray[np.intp]
    chosen: NDArray[np.bool_]


def choose_patients(patients: pd.Series, in_subset: pd.Series, rng: np.random.Generator) -> _Choices:
    """Choose as many random patients as were chosen, some thousand times."""
    numbers = np.unique(patients, return_inverse=True)[1]
    n_patients, n_chosen = int(numbers.max()) + 1, len(np.unique(numbers[in_subset.to_numpy()]))
    n_draws = N_DRAWS if n_patients <= _MANY else _FEWER_DRAWS
    ranks = rng.permuted(np.tile(np.arange(n_patients), (n_draws, 1)), axis=1)
    return _Choices(numbers, ranks < n_chosen)


def compare_sides(
    values: pd.Series, in_subset: pd.Series, choices: _Choices | None, rng: np.random.Generator
) -> dict[str, Any]:
    """Compare the images of the subset with the others of their class in one characteristic."""
    chosen, ordered = in_subset.to_numpy(), is_number(values)
    codes, words = (_number_bins(values), None) if ordered else pd.factorize(as_words(values), sort=True)
    sides = [np.bincount(codes[side], minlength=codes.max() + 1) / side.sum() for side in (chosen, ~chosen)]
    shares = np.cumsum(sides, axis=1) if ordered else np.array(sides)
    most = int(np.abs(shares[0] - shares[1]).argmax())
    where = f"up to {format_value(values[codes <= most].max())}" if words is None else words[most]
    in_subset_text, in_rest_text = (f"{100 * share:.0f} % {where}" for share in shares[:, most])
    effect, p_value = _measure_difference(codes, chosen, ordered=ordered, rng=rng, choices=choices)
    return {"in_subset": in_subset_text, "in_rest": in_rest_text, "effect": effect, "p_value": p_value}


def compare_order(classes: pd.Series, rng: np.random.Generator) -> dict[str, Any]:
    """Compare the places of the melanomas in the file with random places."""
    is_melanoma = (classes == "melanoma").to_numpy()
    effect, p_value = _measure_difference(number_tenths(len(classes)), is_melanoma, ordered=True, rng=rng)
    return {"in_subset": "", "in_rest": "", "effect": effect, "p_value": p_value}


def as_words(values: pd.Series) -> pd.Series:
    """Return values as words; missing ones are "unknown"."""
    return values.astype(object).where(values.notna(), "unknown").astype(str)


def _number_bins(values: pd.Series) -> NDArray[np.intp]:
    """Return which step each value falls into; unknown ones come last, as a step of their own."""
    numbers = values.to_numpy(dtype=float, na_value=np.nan)
    edges = np.nanquantile(numbers, np.linspace(0, 1, _STEPS + 1), method="inverted_cdf")
    return np.searchsorted(np.append(np.unique(edges), np.inf), numbers, side="right") - 1


def number_tenths(n: int) -> NDArray[np.intp]:
    """Return which tenth of the file order each of n images is in."""
    return np.arange(n) * N_TENTHS // n


def _measure_difference(
    values: NDArray[np.intp],
    chosen: NDArray[np.bool_],
    *,
    ordered: bool,
    rng: np.random.Generator,
    choices: _Choices | None = None,
) -> tuple[float, float]:
    """Return the distance of the chosen from the others, and the share of random choices that are as far or further."""
    counts = np.bincount(values)
    total = len(values)
    observed = np.bincount(values[chosen], minlength=len(counts))
    if choices is None:
        drawn = rng.multivariate_hypergeometric(counts, int(chosen.sum()), size=N_DRAWS)
    else:
        of_patient = np.zeros((choices.chosen.shape[1], len(counts)))
        np.add.at(of_patient, (choices.patients, values), 1)
        drawn = (choices.chosen @ of_patient).astype(np.int64)
    draws = np.vstack([observed, drawn])
    n = draws.sum(axis=1, keepdims=True)
    # share among the chosen minus share among the others, times n (total - n): whole numbers, so that ties are exact
    surplus = draws * total - counts * n
    moved = np.abs(surplus.cumsum(axis=1)).max(axis=1) if ordered else np.abs(surplus).sum(axis=1) // 2
    distances = moved / (n * (total - n))[:, 0]
    return float(distances[0]), float(np.mean(distances >= distances[0]))
