"""Labels and scores that tests draw."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp


@st.composite
def labelled_scores(draw, above_zero=False):
    """Labels of both classes with scores, sometimes of few values so that most are tied."""
    n = draw(st.integers(2, 60))
    y_true = draw(hnp.arrays(np.int64, n, elements=st.integers(0, 1)))
    y_true[:2] = 0, 1
    steps = draw(st.sampled_from([1, 2, 5, 1000]))
    lowest = int(above_zero)
    return y_true, draw(hnp.arrays(np.int64, n, elements=st.integers(lowest, steps))) / (steps + lowest)


def simulate(n_melanoma=117, n_benign=483, seed=0):
    """Scores that tell the classes apart fairly well; as many as the test images of 2017."""
    rng = np.random.default_rng(seed)
    y_true = np.repeat([1, 0], [n_melanoma, n_benign])
    return y_true, 1 / (1 + np.exp(-rng.normal(2 * y_true - 1.5, 1.2)))
