"""Law 2 in earnest: sixteen tracks that join, leave and fail at random, each against the same track alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stream.bundle import Bundle
from stream.contracts import Event, Prediction, Tick
from stream.engine import Engine
from stream.pair import Pair
from stream.recognizer import Recognizer
from stream.resident import Resident
from stream.whole import Whole
from tests.cameras import PatternCamera
from tests.graphs import FAIL_PIXEL, NAN_PIXEL, make_bundle, with_one_graph
from tests.media import moving_pictures
from tests.running import Notes, Running, wait_until

TRACKS = [f"camera {number:02d}" for number in range(16)]
SIZE = 16
Told = tuple[tuple[int, int, str, float, bytes, bool], tuple[Event, ...]]


@pytest.fixture(scope="module", params=["carry", "window"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """With traps; in carry mode the features keep state too."""
    is_carry = request.param == "carry"
    folder = tmp_path_factory.mktemp("bundles") / request.param
    return make_bundle(
        folder,
        mode=request.param,
        window=None if is_carry else 5,
        feature_state=is_carry,
        traps=True,
        golden=False,
        warmup=3,
        enter=0.4,
        exit=0.3,
    )


def films(seed: int) -> dict[str, list[Tick]]:
    """60 ticks of each track, in some sessions; every so often one that hurts, in one of three ways."""
    rng = np.random.default_rng(seed)
    made: dict[str, list[Tick]] = {}
    for track in TRACKS:
        lights = np.cumsum(rng.normal(0, 40, (60, 1, 1, 3)), axis=0)
        images = (120 + lights + rng.normal(0, 30, (60, 24, 32, 3))).clip(0, 200).astype(np.uint8)
        sessions = np.cumsum(rng.random(60) < 0.04)
        made[track] = [
            Tick(track, index, int(session), index / 10, 0.0, image, 0.1)
            for index, (session, image) in enumerate(zip(sessions, images, strict=True))
        ]
        for index in rng.choice(60, 4, replace=False):
            made[track][index] = hurt(made[track][index], rng)
    return made


def hurt(tick: Tick, rng: np.random.Generator) -> Tick:
    """`tick` with a picture whose numbers are NaN, that makes the run fail, or that is of another size."""
    image = tick.image.copy()
    image[0, 0, 0] = rng.choice([NAN_PIXEL, FAIL_PIXEL])
    return replace(tick, image=image if rng.random() < 0.7 else tick.image[:-1])


def rounds(made: dict[str, list[Tick]], seed: int) -> Iterator[list[Tick]]:
    """Batches of tracks that are there, until each has shown its film; a track that leaves comes back later."""
    rng = np.random.default_rng(seed)
    left = {track: list(film) for track, film in made.items()}
    there: set[str] = set()
    while any(left.values()):
        there ^= {track for track in TRACKS if rng.random() < 0.1}
        batch = [left[track].pop(0) for track in TRACKS if track in there and left[track] and rng.random() < 0.8]
        if batch:
            rng.shuffle(batch)
            yield batch


def told(prediction: Prediction, events: tuple[Event, ...]) -> Told:
    """All that is told of a tick, to the last bit."""
    p = prediction
    return (p.session, p.index, p.label, p.score, p.scores.tobytes(), p.warm), events


@pytest.mark.parametrize("way", [Pair, Resident, Whole], ids=["pair", "resident", "fused"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_sixteen_tracks_are_each_as_if_alone_to_the_last_bit(
    bundle: Bundle, seed: int, way: type[Pair] | type[Resident] | type[Whole], tmp_path: Path
) -> None:
    if way is not Pair and bundle.spec.temporal.mode != "carry":
        pytest.skip("both graphs are one in carry mode alone")
    bundle = with_one_graph(bundle, tmp_path / "bundle") if way is Whole else bundle
    made = films(seed)

    def opened() -> Recognizer:
        resident = way is Resident
        return Recognizer.load(bundle.folder, device="cpu", threads=1, batch_size=SIZE, resident=resident)

    together = opened()
    assert isinstance(together._model, way)
    got: dict[str, list[Told]] = {track: [] for track in TRACKS}
    for batch in rounds(made, seed):
        for prediction, events in together.advance(batch):
            got[prediction.camera].append(told(prediction, events))
    for track, film in made.items():
        alone = opened()
        expected = [told(*result) for tick in film for result in alone.advance([tick])]
        assert got[track] == expected
        assert together.faults[track] == alone.faults[track] == 4
        assert together.finish(track) == alone.finish(track)
    assert sum(bool(events) for results in got.values() for _, events in results) > 20, "hardly anything happened"


@pytest.mark.parametrize("seed", [1, 2])
def test_in_batches_of_any_size_scores_stay_within_1e_5(bundle: Bundle, seed: int) -> None:
    made = films(seed)
    together = Recognizer.load(bundle.folder, device="cpu", threads=1, batch_size=(1, 2, 4, 8, 16))
    while together.warm_up():
        pass
    got: dict[str, list[Prediction]] = {track: [] for track in TRACKS}
    for batch in rounds(made, seed):
        for prediction in together.step(batch):
            got[prediction.camera].append(prediction)
    for track, film in made.items():
        alone = Recognizer.load(bundle.folder, device="cpu", threads=1)
        for prediction, expected in zip(got[track], alone.step(film), strict=True):
            assert np.abs(prediction.scores - expected.scores).max() <= 1e-5
            assert prediction.warm == expected.warm


@pytest.mark.usefixtures("no_thread_left_behind")
def test_cameras_that_come_and_go_leave_the_others_as_they_are(native_bundle: Path) -> None:
    """Sixteen in a running engine, added and removed at random by another thread; of one it is the pictures that go."""
    rng = np.random.default_rng(5)

    def camera(name: str, recognizer: Recognizer, fps: float = 0) -> PatternCamera:
        pictures = moving_pictures(30, 64, 48, seed=TRACKS.index(name))
        return PatternCamera(recognizer.input, name, live=False, fps=fps, pictures=pictures, connections=((120, None),))

    recognizer = Recognizer.load(native_bundle, device="cpu", threads=1, batch_size=SIZE)
    notes = Notes()
    engine = Engine(recognizer, [], [notes], forever=True)
    running = Running(engine)
    stays = set(TRACKS[::2])
    for name in rng.permutation(TRACKS):
        engine.add(camera(name, recognizer, fps=200))
        time.sleep(float(rng.uniform(0, 0.05)))
    for name in rng.permutation(sorted(set(TRACKS) - stays)):
        time.sleep(float(rng.uniform(0, 0.05)))
        engine.remove(name)
    wait_until(lambda: all(sum(p.camera == name for p in list(notes.predictions)) == 120 for name in stays))
    engine.stop()
    summary = running.result()
    assert set(summary.cameras) == set(TRACKS)
    for name in TRACKS:
        alone = Notes()
        single = Recognizer.load(native_bundle, device="cpu", threads=1, batch_size=SIZE)
        Engine(single, [camera(name, single)], [alone]).run()
        seen = notes.of(name)
        assert seen == alone.of(name)[: len(seen)]
        assert name not in stays or len(seen) == 120
        events = [event for event in notes.events if event.camera == name]
        assert {event.id for event in events if event.kind == "started"} == {
            event.id for event in events if event.kind == "ended"
        }
    assert threading.active_count() < 20
