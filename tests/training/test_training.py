import numpy as np
import pytest
from conftest import training_plan

from melanoma_tl import Augmenter
from melanoma_tl.training.views import ImageViews


def batches_of(images, rows, *, augmenter=None, **changes):
    from melanoma_tl.training.batches import TrainingBatches

    contents = [bytes([number]) * 32 for number in range(len(images))]
    labels = np.arange(len(images)) % 2
    targets = labels[:, np.newaxis].astype("float32")
    return TrainingBatches(ImageViews(images, contents, augmenter), targets, np.asarray(rows), training_plan(**changes))


def fingerprints(x):
    return x.sum(axis=(1, 2, 3)).tolist()


def test_an_epoch_may_be_any_number_of_steps(images):
    batches = batches_of(images, range(24), steps_per_epoch=7)
    seen = [batches[step] for step in range(3 * 7)]
    sizes = [len(y) for _, y in seen]
    assert sizes == [10, 10, 4] * 7, "each pass ends with its small batch, wherever the epochs end"
    first_pass = np.concatenate([x for x, _ in seen[:3]])
    assert sorted(fingerprints(first_pass)) == sorted(fingerprints(images.astype("float32")))
    assert not np.array_equal(first_pass, np.concatenate([x for x, _ in seen[3:6]])), "each pass has its own order"


def test_fixed_views_come_round_again(images):
    batches = batches_of(images[:4], range(4), augmenter=Augmenter(rotation_range=30, views=2, random_state=0))
    passes = [sorted(fingerprints(batches[step][0])) for step in range(4)]
    assert passes[0] == passes[2] == sorted(fingerprints(images[:4].astype("float32")))
    assert passes[1] == passes[3] != passes[0]


def test_copies_of_an_image_are_shown_in_different_views(images):
    augmenter = Augmenter(rotation_range=30, views=4, random_state=0)
    batches = batches_of(images[:1], [0, 0], augmenter=augmenter)
    first, second, third = (fingerprints(batches[step][0]) for step in range(3))
    assert len({*first, *second}) == 4, "two passes of two copies go through all four views"
    assert sorted(third) == sorted(first)


def test_endless_views_never_come_round(images):
    batches = batches_of(images[:4], range(4), augmenter=Augmenter(rotation_range=30, random_state=0))
    seen = [tuple(sorted(fingerprints(batches[step][0]))) for step in range(6)]
    assert len(set(seen)) == 6


@pytest.mark.parametrize(
    ("rows", "epochs", "steps", "repeats"), [(24, 3, None, 3), (24, 3, 1, 1), (24, 1, 7, 3), ([0, 0, 0, 1], 2, None, 6)]
)
def test_repeats_are_counted(images, rows, epochs, steps, repeats):
    rows = np.arange(rows) if isinstance(rows, int) else np.array(rows)
    assert training_plan(epochs=epochs, steps_per_epoch=steps).count_repeats(rows) == repeats
