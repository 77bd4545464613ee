"""What a worker takes from the queue."""

from __future__ import annotations

from etl.fleet.queues import COMMON, Queues, queue_of

ACME, BETA, GAMMA = ("acme", "short"), ("beta", "short"), ("gamma", "ample")


def open_ones(queues: Queues) -> set[str]:
    return {*queues.open}


def test_nothing_is_taken_of_what_is_not_declared() -> None:
    assert open_ones(Queues({ACME}, 8)) == {COMMON, queue_of(*ACME)}


def test_of_several_keys_none_has_more_than_half_of_the_places() -> None:
    queues = Queues({ACME, BETA, GAMMA}, 4)
    queues.take(queue_of(*ACME))
    assert open_ones(queues) == {COMMON, *(queue_of(*pair) for pair in (ACME, BETA, GAMMA))}
    queues.take(queue_of(*BETA))

    assert open_ones(queues) == {COMMON, queue_of(*GAMMA)}
    queues.release(queue_of(*ACME))
    assert open_ones(queues) == {COMMON, *(queue_of(*pair) for pair in (ACME, BETA, GAMMA))}


def test_one_key_alone_has_all_places_and_each_of_several_has_one() -> None:
    alone = Queues({ACME, BETA}, 2)
    alone.take(queue_of(*ACME))
    assert queue_of(*BETA) in alone.open
    narrow = Queues({ACME, GAMMA}, 1)
    assert len(narrow.open) == 3


def test_the_list_is_the_same_one_for_whoever_has_it() -> None:
    queues = Queues({ACME, GAMMA}, 2)
    mine = queues.open
    queues.take(queue_of(*ACME))
    assert mine == queues.open == [COMMON, queue_of(*GAMMA)]
    queues.take(None)
    queues.take("another's")
    assert mine == [COMMON, queue_of(*GAMMA)]


def test_a_portal_that_was_left_twice_is_back_after_both() -> None:
    queues = Queues({ACME, GAMMA}, 2)
    for _ in range(2):
        queues.leave("acme")
    queues.back("acme")
    assert open_ones(queues) == {COMMON, queue_of(*GAMMA)}
    queues.back("acme")
    assert open_ones(queues) == {COMMON, queue_of(*ACME), queue_of(*GAMMA)}
