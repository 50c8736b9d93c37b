"""Callbacks of Keras in a training of several stages, and in one that was killed."""

import csv
import functools
import logging

import keras
import numpy as np
import pytest
from conftest import only_tensorflow
from test_checkpoints import Kill, Killed, make, same_weights

from melanoma_tl import Probe, Stage, cache
from melanoma_tl.errors import ParameterError

pytestmark = pytest.mark.filterwarnings("ignore::melanoma_tl.errors.LeakageWarning")

STAGES = {"trainable_from": None, "stages": (Probe(), Stage(epochs=2), Stage("conv2", epochs=3))}


def wrong(images, labels):
    """Validation data by which a network gets worse the longer it learns."""
    return {"validation_data": (images[:10], 1 - labels[:10])}


def read_rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


# -- what was killed --


class Patient(keras.callbacks.EarlyStopping):
    """A user's own, made of one of Keras's."""


STATEFUL = {
    "plateau": lambda: [keras.callbacks.ReduceLROnPlateau(factor=0.3, patience=1, cooldown=1, min_delta=0)],
    "plateau of the loss": lambda: [keras.callbacks.ReduceLROnPlateau("loss", factor=0.3, patience=1, min_delta=1.0)],
    "early stopping": lambda: [keras.callbacks.EarlyStopping(patience=3)],
    "the best weights": lambda: [keras.callbacks.EarlyStopping(patience=20, restore_best_weights=True)],
    "made of Keras's": lambda: [Patient(patience=3, restore_best_weights=True)],
    "a schedule by epochs": lambda: [keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.8)],
    "two": lambda: [
        keras.callbacks.EarlyStopping(patience=4),
        keras.callbacks.ReduceLROnPlateau(factor=0.3, patience=1, min_delta=0),
    ],
}


REMEMBERING = {"epochs": 6, "restore_best": False}


@pytest.fixture(scope="module")
def unbroken_runs(images, labels):
    """What is never killed, trained once for all the ways to kill it."""
    data = wrong(images, labels)
    return functools.cache(lambda kind: make(**REMEMBERING).fit(images, labels, **data, callbacks=STATEFUL[kind]()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "batch"), [*((kind, None) for kind in STATEFUL), *((kind, 1) for kind in ("the best weights", "two"))]
)
def test_what_callbacks_remember_survives(images, labels, unbroken_runs, kind, batch):
    options, make_callbacks = REMEMBERING, STATEFUL[kind]
    data = wrong(images, labels)
    unbroken, others = unbroken_runs(kind), cache.size("runs")
    for epoch in (1, 3):
        with pytest.raises(Killed):
            make(**options).fit(
                images, labels, **data, resume=True, callbacks=[*make_callbacks(), Kill(epoch=epoch, batch=batch)]
            )
    resumed = make(**options).fit(images, labels, **data, resume=True, callbacks=make_callbacks())
    assert same_weights(resumed, unbroken)
    assert resumed.history_.keys() == unbroken.history_.keys()
    for name, values in unbroken.history_.items():
        assert np.allclose(resumed.history_[name], values, atol=1e-5)
    assert cache.size("runs") == others


@pytest.mark.slow
def test_what_had_been_stopped_is_not_trained_on(images, labels):
    def stopping():
        return keras.callbacks.EarlyStopping(patience=2)

    options = {"epochs": 20, "restore_best": False}
    unbroken = make(**options).fit(images, labels, **wrong(images, labels), callbacks=stopping())
    last = len(unbroken.history_["loss"]) - 1
    assert last < 19
    with pytest.raises(Killed):
        make(**options).fit(
            images, labels, **wrong(images, labels), resume=True, callbacks=[stopping(), Kill(epoch=last)]
        )
    watcher = Kill(epoch=-9)
    resumed = make(**options).fit(images, labels, **wrong(images, labels), resume=True, callbacks=[stopping(), watcher])
    assert not watcher.begun
    assert same_weights(resumed, unbroken)


@pytest.mark.slow
def test_the_best_checkpoint_is_remembered(images, labels, tmp_path):
    """A worse epoch after the kill does not write over the best one of before."""

    def checkpoint(name):
        return keras.callbacks.ModelCheckpoint(tmp_path / name, save_best_only=True)

    data = wrong(images, labels)
    make().fit(images, labels, **data, callbacks=checkpoint("unbroken.keras"))
    with pytest.raises(Killed):
        make().fit(images, labels, **data, resume=True, callbacks=[checkpoint("killed.keras"), Kill(epoch=2)])
    make().fit(images, labels, **data, resume=True, callbacks=checkpoint("killed.keras"))
    pair = [keras.saving.load_model(tmp_path / f"{name}.keras").get_weights() for name in ("unbroken", "killed")]
    assert all(np.allclose(*weights, atol=1e-5) for weights in zip(*pair, strict=True))


@pytest.mark.slow
def test_each_epoch_is_one_row_after_a_kill(images, labels, tmp_path):
    logs = [keras.callbacks.CSVLogger(tmp_path / "log.csv") for _ in range(3)]
    for log, kill in zip(logs, (Kill(epoch=1), Kill(epoch=2, batch=1)), strict=False):
        with pytest.raises(Killed):
            make().fit(images, labels, resume=True, callbacks=[log, kill])
    # A row of an epoch that was never declared finished: killed between the two.
    with (tmp_path / "log.csv").open("a") as file:
        file.write("2,0.5,0.5,0.5,NA,NA,NA\n")
    resumed = make().fit(images, labels, resume=True, callbacks=logs[2])
    rows = read_rows(tmp_path / "log.csv")
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2, 3, 4]
    assert np.allclose([float(row["loss"]) for row in rows], resumed.history_["loss"], atol=1e-5)


@pytest.mark.slow
def test_what_is_not_kept_is_said(images, labels, caplog):
    class Counts(keras.callbacks.Callback):
        pass

    with caplog.at_level(logging.WARNING):
        make(epochs=1).fit(images, labels, callbacks=[Counts()])
        assert "does not keep" not in caplog.text
        make(epochs=1).fit(images, labels, resume=True, callbacks=[Counts(), keras.callbacks.TerminateOnNaN()])
    assert "resume=True does not restore the state of Counts, only of Keras's own callbacks" in caplog.text


@pytest.mark.parametrize("resume", [True, False])
def test_what_cannot_work_names_what_does(images, labels, tmp_path, resume):
    refused = {
        "BackupAndRestore": (keras.callbacks.BackupAndRestore(tmp_path), r"fit\(resume=True\)"),
        "SwapEMAWeights": (keras.callbacks.SwapEMAWeights(), "ema_momentum"),
    }
    for name, (callback, instead) in refused.items():
        with pytest.raises(ParameterError, match=f"the callback {name} cannot be used: .*{instead}"):
            make().fit(["no such image.png"], [0], callbacks=callback, resume=resume)


# -- several stages --


@pytest.mark.slow
def test_rows_of_all_stages_are_in_one_file(images, labels, tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("of another run\n")
    log = keras.callbacks.CSVLogger(path)
    for _ in range(2):  # the same callback again writes over its file, as in Keras
        fitted = make(**STAGES).fit(images, labels, **wrong(images, labels), callbacks=[log])
        rows = read_rows(path)
        assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4, 5], "the probe was epoch 0"
        for name in ("loss", "val_auc"):
            assert np.allclose([float(row[name]) for row in rows], fitted.history_[name][1:], atol=1e-6)


@pytest.mark.slow
def test_rows_are_appended_where_that_is_asked_for(images, labels, tmp_path):
    for _ in range(2):
        log = keras.callbacks.CSVLogger(tmp_path / "log.csv", append=True, separator=";")
        make(**STAGES).fit(images, labels, callbacks=[log])
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert [line.split(";")[0] for line in lines] == ["epoch", *"12345", *"12345"]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("trainable_from", [None, "conv1"], ids=["frozen", "all"])
def test_a_checkpoint_is_the_whole_network(images, labels, tmp_path, precision, trainable_from):
    """Plain Keras opens it, and it maps images to scores."""
    stages = (Probe(), Stage(epochs=1), Stage(trainable_from, epochs=2))
    callbacks = [
        keras.callbacks.ModelCheckpoint(tmp_path / "{epoch:02d}.keras"),
        keras.callbacks.ModelCheckpoint(tmp_path / "{epoch:02d}.weights.h5", save_weights_only=True),
        keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", monitor="val_auc", save_best_only=True),
        keras.callbacks.ModelCheckpoint(tmp_path / "batch.keras", save_freq=2),
    ]
    fitted = make(trainable_from=None, stages=stages, precision=precision, restore_best=False)
    fitted.fit(images, labels, **wrong(images, labels), callbacks=callbacks)
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == sorted(
        [f"{epoch:02d}.{suffix}" for epoch in (2, 3, 4) for suffix in ("keras", "weights.h5")]
        + ["batch.keras", "best.keras"]
    )
    last = keras.saving.load_model(tmp_path / "04.keras")
    small = np.ascontiguousarray(images[:3, :32, :32]).astype("float32")
    expected = fitted.model_.predict_on_batch(small)
    np.testing.assert_allclose(last.predict_on_batch(small), expected, atol=1e-6)
    last.load_weights(tmp_path / "02.weights.h5")
    assert np.abs(last.predict_on_batch(small) - expected).max() > 1e-6
    last.load_weights(tmp_path / "04.weights.h5")
    np.testing.assert_allclose(last.predict_on_batch(small), expected, atol=1e-6)


@pytest.mark.slow
def test_a_callback_of_ones_own_saves_the_whole_too(images, labels, tmp_path):
    class Saves(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            self.model.save(tmp_path / "own.keras")

    fitted = make(**STAGES, restore_best=False).fit(images, labels, callbacks=[Saves()])
    assert keras.saving.load_model(tmp_path / "own.keras").input_shape == (None, 32, 32, 3)
    assert "save" not in vars(fitted.model_)


@only_tensorflow
def test_tensorboard_has_each_epoch_once(images, labels, tmp_path):
    pytest.importorskip("tensorboard")
    import tensorflow as tf

    make(**STAGES).fit(images, labels, callbacks=[keras.callbacks.TensorBoard(tmp_path)])
    steps = [
        event.step
        for path in (tmp_path / "train").glob("events*")
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
        if value.tag == "epoch_loss"
    ]
    assert sorted(steps) == [1, 2, 3, 4, 5]


@pytest.mark.slow
def test_epochs_are_counted_on(images, labels):
    seen = Kill(epoch=-9)
    fitted = make(**STAGES).fit(images, labels, callbacks=[seen])
    assert seen.begun == [1, 2, 3, 4, 5]
    assert len(fitted.history_["loss"]) == 6


@pytest.mark.slow
def test_callbacks_change_no_weights(images, labels, tmp_path):
    """What writes files, or is asked to resume, leaves the training as it is."""
    plain = make(**STAGES).fit(images, labels, **wrong(images, labels))
    callbacks = [keras.callbacks.ModelCheckpoint(tmp_path / "x.keras"), keras.callbacks.CSVLogger(tmp_path / "x.csv")]
    watched = make(**STAGES).fit(images, labels, **wrong(images, labels), callbacks=callbacks, resume=True)
    for one, other in zip(plain.model_.get_weights(), watched.model_.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
