"""The collector is off while many nodes are built, and as it was afterwards."""

import gc

import pytest

from graphnn.ir.collector import collector_paused


class Cycle:
    def __init__(self):
        self.me = self


def test_what_was_built_in_a_pause_is_old_and_still_collected():
    with collector_paused():
        assert not gc.isenabled()
        built = [[] for _ in range(5_000)]
        built.append(Cycle())
    assert gc.isenabled() and gc.get_freeze_count() == 0
    assert any(old is built for old in gc.get_objects(generation=2))
    built.clear()
    assert gc.collect() >= 1


def test_a_pause_within_a_pause_ends_with_the_outer_one():
    with collector_paused():
        with collector_paused():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off_and_an_error_turns_it_on_again():
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
    with pytest.raises(ZeroDivisionError), collector_paused():
        1 / 0
    assert gc.isenabled()


def test_what_somebody_froze_stays_frozen():
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with collector_paused():
            pass
        assert gc.get_freeze_count() >= frozen > 0
    finally:
        gc.unfreeze()
