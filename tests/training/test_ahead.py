"""Batches that are made ahead are those that would be made one after the other, and end with the training."""

import threading
import time
from concurrent.futures import CancelledError

import numpy as np
import pytest

from melanoma_tl import Augmenter, TransferClassifier
from melanoma_tl.training.ahead import Ahead
from melanoma_tl.training.waiting import WaitingTime

MOMENT = 5.0
"""Seconds within which something that takes milliseconds has to end."""


@pytest.fixture
def made():
    """Collect the numbers that `square` was called with."""
    return []


def square_into(made):
    def square(number):
        made.append(number)
        return number**2

    return square


def wait_until(condition):
    end = time.monotonic() + MOMENT
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


@pytest.mark.parametrize("count", [None, 10])
def test_things_come_in_order_and_two_ahead(made, count):
    ahead = Ahead(square_into(made), count)
    assert [ahead.take(number) for number in range(8)] == [number**2 for number in range(8)]
    wait_until(lambda: made == list(range(10)))
    ahead.close()


def test_nothing_is_made_beyond_the_end(made):
    ahead = Ahead(square_into(made), 3)
    for _ in range(2):  # each epoch begins anew
        assert [ahead.take(number) for number in range(3)] == [0, 1, 4]
    wait_until(lambda: made == [0, 1, 2] * 2)
    ahead.close()


def test_an_error_comes_at_its_number_and_no_later_one_is_lost():
    def make(number):
        if number == 2:
            raise OSError("the disk is gone")
        return number

    ahead = Ahead(make, None)
    assert ahead.take(0) == 0
    assert ahead.take(1) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        ahead.take(2)
    assert ahead.take(3) == 3
    ahead.close()


def test_closing_does_not_wait_for_a_slow_disk():
    disk = threading.Event()
    ahead = Ahead(lambda number: number or not disk.wait(4 * MOMENT), None)
    ended = []

    def take():
        with pytest.raises(CancelledError):
            ahead.take(0)
        ended.append(time.monotonic())

    waiting = threading.Thread(target=take, daemon=True)
    waiting.start()
    wait_until(lambda: len(ahead._coming) == 2)  # the first is waited for, and two lie behind it
    begun = time.monotonic()
    ahead.close()
    assert time.monotonic() - begun < MOMENT
    waiting.join(MOMENT)  # while the disk still hangs
    assert ended
    disk.set()


def end_thread(ahead):
    """End the thread outside of what it makes, as packages do with what takes too long.

    They use `PyThreadState_SetAsyncExc`. Under coverage Python 3.11 would not come back from that: until the thread is
    woken, each call of a traced function is begun again without end.
    """

    def leave(_):
        raise SystemExit

    go_on = threading.Event()
    ahead._pool.submit(go_on.wait).add_done_callback(leave)
    go_on.set()
    ahead._thread.join(MOMENT)
    assert not ahead._thread.is_alive()


def test_a_thread_that_was_ended_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("melanoma_tl.training.ahead._LOOK", 0.05)
    ahead = Ahead(lambda number: number, 1)
    assert ahead.take(0) == 0
    end_thread(ahead)
    begun = time.monotonic()
    with pytest.raises(RuntimeError, match="the thread that makes batches has ended"):
        ahead.take(0)
    assert time.monotonic() - begun < MOMENT
    ahead.close()


def test_it_is_noted_when_a_thing_was_asked_for_and_given():
    made = []

    def make(number):
        time.sleep(0.01)
        made.append(time.perf_counter())

    ahead = Ahead(make, 1)
    before = time.perf_counter()
    ahead.take(0)
    after = time.perf_counter()
    asked, given = ahead.times[0]
    assert before <= asked < made[0] <= given <= after
    ahead.close()


def seconds_of(waiting):
    """The time so far, of all steps that have ended."""
    waiting._steps.submit(lambda: None).result(MOMENT)
    return waiting.seconds


def two_moments():
    """Return the time now, and a little later."""
    first = time.perf_counter()
    time.sleep(0.01)
    return first, time.perf_counter()


def test_only_time_in_which_the_network_could_have_computed_is_waiting():
    """What is given in an hour makes the sum exact, however busy the machine is."""
    times, hour = {}, time.perf_counter() + 3600
    waiting = WaitingTime(times)
    times[0] = two_moments()  # before the network is ready
    waiting.on_epoch_begin(0)
    waiting.on_train_batch_end(0)
    assert seconds_of(waiting) == 0
    times[1] = (hour + 2, hour + 5)
    waiting.on_train_batch_end(1)
    assert seconds_of(waiting) == pytest.approx(3)
    times[2] = two_moments()  # validation, of which the next epoch knows nothing
    waiting.on_epoch_begin(1)
    waiting.on_train_batch_end(0)
    assert seconds_of(waiting) == pytest.approx(3)
    begun = time.perf_counter()
    waiting.on_epoch_begin(2)
    times[3] = (0.0, hour)  # as a backend does that asks before it needs the batch
    waiting.on_train_batch_end(0)
    assert hour - time.perf_counter() <= seconds_of(waiting) - 3 <= hour - begun
    assert not times, "nothing is kept of steps that have ended"
    waiting.close()


def test_a_step_ends_when_the_device_is_done_and_not_when_it_was_begun():
    device = threading.Event()

    class Loss:
        """What a backend returns before it is computed."""

        def __array__(self, *_, **__):
            assert device.wait(MOMENT)
            return np.zeros(())

    times = {0: (0.0, 0.0)}
    waiting = WaitingTime(times)
    waiting.on_epoch_begin(0)
    waiting.on_train_batch_end(0, {"loss": Loss()})
    times[1] = two_moments()  # the second batch comes late, and the device still computes the first step
    device.set()
    waiting.on_train_batch_end(1, {"loss": Loss()})
    assert seconds_of(waiting) == 0
    waiting.close()


@pytest.mark.parametrize("loss", ["hangs", "fails"])
def test_a_device_that_fails_is_not_waited_for(monkeypatch, loss):
    monkeypatch.setattr("melanoma_tl.training.waiting._PATIENCE", 0.05)
    device = threading.Event()

    class Lost:
        def __array__(self, *_, **__):
            if loss == "fails":
                raise RuntimeError("the device is gone")
            device.wait(4 * MOMENT)
            return np.zeros(())

    waiting = WaitingTime({})
    begun = time.monotonic()
    for number in range(3):
        waiting.on_train_batch_end(number, {"loss": Lost()})
    waiting.close()
    assert time.monotonic() - begun < MOMENT
    device.set()


@pytest.mark.slow
def test_training_is_the_same_with_and_without(images, labels, monkeypatch, caplog):
    weights = []
    for depth in (0, 2):
        monkeypatch.setattr("melanoma_tl.training.ahead._DEPTH", depth)
        classifier = TransferClassifier(
            "tiny",
            weights=None,
            trainable_from="conv1",
            augmenter=Augmenter(horizontal_flip=True, rotation_range=20),
            epochs=3,
            batch_size=5,
            random_state=0,
            verbose=0,
        )
        with caplog.at_level("INFO", "melanoma_tl.training.loop"):
            classifier.fit(images[6:], labels[6:], validation_data=(images[:6], labels[:6]))
        weights.append(np.concatenate([weight.ravel() for weight in classifier.model_.get_weights()]))
    assert np.array_equal(*weights)
    said = [record.getMessage() for record in caplog.records if "waiting for batches" in record.getMessage()]
    assert len(said) == 2


def test_no_thread_is_left_after_training(images, labels):
    before = set(threading.enumerate())
    TransferClassifier("tiny", weights=None, epochs=1, random_state=0, verbose=0).fit(images, labels)
    wait_until(lambda: not [t for t in set(threading.enumerate()) - before if t.name.startswith("melanoma_tl")])
