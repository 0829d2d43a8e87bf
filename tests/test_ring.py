"""The hand-over between threads, and the ring of features: order, bounds, waiting, closing, copies."""

from __future__ import annotations

from threading import Condition, Thread

import numpy as np
import pytest

from stream.ring import KEPT, FeatureRing, FrameRing

SOON = 10.0  # seconds by which a thread that is not stuck has ended


def joined(thread: Thread) -> bool:
    thread.join(SOON)
    return not thread.is_alive()


def test_what_is_to_be_kept_is_not_pushed_out_and_takes_no_room() -> None:
    ring: FrameRing[str] = FrameRing(2, wait=False)
    for item in ("a", "NEWS 1", "b", "c", "NEWS 2", "d"):
        assert ring.put(item, keep=item.startswith("NEWS"))
    assert (len(ring), ring.dropped) == (4, 2)
    assert [ring.take(0) for _ in range(5)] == ["NEWS 1", "c", "NEWS 2", "d", None]


def test_news_does_not_wait_for_room() -> None:
    ring: FrameRing[str] = FrameRing(1, wait=True)
    assert ring.put("a") and ring.put("NEWS", keep=True)
    assert [ring.take(0), ring.take(0)] == ["a", "NEWS"]
    assert ring.put("b"), "what was kept took none of the capacity"


def test_even_what_is_kept_has_a_bound() -> None:
    ring: FrameRing[int] = FrameRing(1, wait=False)
    for item in range(KEPT + 3):
        ring.put(item, keep=True)
    assert (len(ring), ring.dropped, ring.take(0)) == (KEPT, 3, 3)


def test_items_come_out_in_order() -> None:
    ring: FrameRing[int] = FrameRing(3, wait=False)
    assert all(ring.put(item) for item in range(3))
    assert [ring.take(0) for _ in range(4)] == [0, 1, 2, None]


def test_a_live_ring_drops_the_oldest_and_counts() -> None:
    ring: FrameRing[int] = FrameRing(2, wait=False)
    assert all(ring.put(item) for item in range(5))
    assert (len(ring), ring.dropped) == (2, 3)
    assert [ring.take(0), ring.take(0)] == [3, 4]


def test_a_waiting_ring_loses_nothing_and_never_holds_more() -> None:
    ring: FrameRing[int] = FrameRing(2, wait=True)
    producer = Thread(target=lambda: [ring.put(item) for item in range(500)])
    producer.start()
    taken, longest = [], 0
    for _ in range(500):
        longest = max(longest, len(ring))
        taken.append(ring.take(SOON))
    assert joined(producer)
    assert (taken, longest <= 2, ring.dropped) == (list(range(500)), True, 0)


@pytest.mark.parametrize("wait", [True, False])
def test_after_close_nothing_goes_in_and_the_rest_comes_out(wait: bool) -> None:
    ring: FrameRing[int] = FrameRing(3, wait=wait)
    ring.put(1)
    ring.put(2)
    ring.close()
    ring.close()
    assert ring.closed and not ring.put(3)
    assert [ring.take(), ring.take(), ring.take()] == [1, 2, None]


def test_close_wakes_a_waiting_producer() -> None:
    ring: FrameRing[int] = FrameRing(1, wait=True)
    ring.put(0)
    results: list[bool] = []
    producer = Thread(target=lambda: results.append(ring.put(1)))
    producer.start()
    ring.close()
    assert joined(producer) and results == [False]
    assert [ring.take(), ring.take()] == [0, None]


def test_close_wakes_a_waiting_consumer() -> None:
    ring: FrameRing[int] = FrameRing(1, wait=False)
    results: list[int | None] = []
    consumer = Thread(target=lambda: results.append(ring.take()))
    consumer.start()
    ring.close()
    assert joined(consumer) and results == [None]


def test_take_gives_up_after_its_timeout() -> None:
    assert FrameRing[int](1, wait=True).take(0.01) is None


def test_one_thread_waits_on_many_rings_by_a_shared_signal() -> None:
    signal = Condition()
    rings: list[FrameRing[int]] = [FrameRing(2, wait=True, signal=signal) for _ in range(4)]

    def produce(ring: FrameRing[int], start: int) -> None:
        for item in range(start, start + 50):
            ring.put(item)
        ring.close()

    producers = [Thread(target=produce, args=(ring, 100 * n)) for n, ring in enumerate(rings)]
    for producer in producers:
        producer.start()
    taken: dict[int, list[int]] = {n: [] for n in range(4)}
    while not all(ring.closed and not len(ring) for ring in rings):
        with signal:
            assert signal.wait_for(lambda: any(len(ring) or ring.closed for ring in rings), SOON)
        for n, ring in enumerate(rings):
            item = ring.take(0)
            if item is not None:
                taken[n].append(item)
    assert all(joined(producer) for producer in producers)
    assert taken == {n: list(range(100 * n, 100 * n + 50)) for n in range(4)}


def test_windows_are_the_last_vectors_oldest_first() -> None:
    ring = FeatureRing(4)
    pushed: list[list[float]] = []
    for k in range(11):
        pushed.append([float(k), float(-k)])
        ring.push("a", np.array(pushed[-1], np.float32))
        window = ring.window("a")
        assert window.tolist() == pushed[-4:]
        assert window.dtype == np.float32 and window.flags.c_contiguous


def test_windows_are_copies_and_tracks_are_separate() -> None:
    ring = FeatureRing(2)
    ring.push("a", np.array([1], np.float32))
    ring.push("b", np.array([2], np.float32))
    window = ring.window("a")
    ring.push("a", np.array([3], np.float32))
    ring.push("a", np.array([4], np.float32))
    assert window.tolist() == [[1]]
    assert ring.window("b").tolist() == [[2]]


def test_a_reset_track_starts_over() -> None:
    ring = FeatureRing(3)
    ring.reset("never seen")
    for value in range(5):
        ring.push("a", np.array([value], np.float32))
    ring.reset("a")
    with pytest.raises(KeyError):
        ring.window("a")
    ring.push("a", np.array([9], np.float32))
    assert ring.window("a").tolist() == [[9]]


def test_shedding_leaves_the_newest_and_what_is_kept() -> None:
    ring: FrameRing[int] = FrameRing(4, wait=False)
    for item in range(5):
        ring.put(item)
    ring.put(100, keep=True)
    ring.put(5)
    assert ring.dropped == 2
    assert ring.shed(1) == 3 and ring.shed(1) == 0
    assert ring.dropped == 2, "what is shed is counted by whoever sheds"
    assert [ring.take(timeout=0) for _ in range(3)] == [100, 5, None]
    for item in range(4):
        ring.put(item)
    assert (len(ring), ring.dropped) == (4, 2), "and there is room again"
