"""The pure core on real graphs: step by step, windows, batches, sessions, faults, and what is told of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stream.bundle import Bundle, write_bundle
from stream.contracts import Event, Prediction, Tick
from stream.decision import scores_of
from stream.errors import BundleError, ConfigError
from stream.recognizer import Recognizer
from stream.sampling import ticks
from stream.schema import LabelRule
from tests.graphs import (
    FAIL_PIXEL,
    FILTERS,
    LABELS,
    NAN_PIXEL,
    Reference,
    Weights,
    decoded,
    head_graph,
    make_bundle,
    weights_of,
)

Told = tuple[str, int, int, str, float, bytes, bool]


@pytest.fixture(scope="module")
def carry(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Features with state, and traps; events come easily."""
    folder = tmp_path_factory.mktemp("bundles") / "carry"
    return make_bundle(
        folder, feature_state=True, traps=True, golden=False, warmup=2, enter=0.4, exit=0.3, smoothing=0.1
    )


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Features without state, in window mode of 6."""
    folder = tmp_path_factory.mktemp("bundles") / "plain"
    return make_bundle(folder, traps=True, golden=False, mode="window", window=6, enter=0.4, exit=0.3)


def clip(camera: str, count: int, *, seed: int = 0, session: int = 0) -> list[Tick]:
    """Ticks ten a second whose pictures change in light and colour, so that labels change too."""
    rng = np.random.default_rng([seed, session])
    lights = np.cumsum(rng.normal(0, 40, (count, 1, 1, 3)), axis=0)
    images = (120 + lights + rng.normal(0, 30, (count, 24, 32, 3))).clip(0, 200).astype(np.uint8)
    return [
        Tick(camera, 3 * index, session, 0.1 * index, 100 + 0.1 * index, image, 0.1 if index else 0.0)
        for index, image in enumerate(images)
    ]


def hurt(tick: Tick, pixel: int) -> Tick:
    image = tick.image.copy()
    image[0, 0, 0] = pixel
    return replace(tick, image=image)


def told(results: Sequence[tuple[Prediction, tuple[Event, ...]]]) -> list[tuple[Told, tuple[Event, ...]]]:
    """All that is told of ticks, to the last bit."""
    return [
        ((p.camera, p.session, p.index, p.label, p.score, p.scores.tobytes(), p.warm), events) for p, events in results
    ]


def stacked(predictions: Sequence[Prediction]) -> NDArray[np.float32]:
    return np.stack([prediction.scores for prediction in predictions])


def expected(ticks: Sequence[Tick], feature_state: bool, window: int | None = None) -> NDArray[np.float32]:
    """The reference's scores (T, K)."""
    reference = Reference(weights_of(feature_state=feature_state))
    features = reference.features(np.stack([tick.image for tick in ticks]))
    logits = reference.carried(features)[0] if window is None else reference.windowed(features, window)
    return scores_of(logits.astype(np.float32), 1.0)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_step_by_step_is_the_reference(carry: Bundle, batch_size: int) -> None:
    recognizer = Recognizer.load(carry.folder, device="cpu", batch_size=batch_size)
    recognizer.warm_up()
    film = clip("a", 40)
    predictions = [recognizer.step([tick])[0] for tick in film]
    assert np.abs(stacked(predictions) - expected(film, True)).max() <= 1e-4
    assert len({LABELS[row.argmax()] for row in stacked(predictions)}) > 1  # the clip is no easy case
    for tick, prediction in zip(film, predictions, strict=True):
        assert (prediction.camera, prediction.session, prediction.index) == (tick.camera, tick.session, tick.index)
        assert (prediction.time, prediction.dt, prediction.latency_ms) == (tick.time, tick.dt, None)
        assert prediction.score == prediction.scores[LABELS.index(prediction.label)]


@pytest.mark.parametrize("window", [1, 2, 6, 50])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_window_is_the_offline_model_at_every_tick(plain: Bundle, window: int, batch_size: int) -> None:
    recognizer = Recognizer.load(plain.folder, device="cpu", batch_size=batch_size, window=window)
    film = clip("a", 20)
    predictions = recognizer.step(film)
    assert np.abs(stacked(predictions) - expected(film, False, window)).max() <= 1e-4


def test_modes_can_be_overridden(plain: Bundle) -> None:
    film = clip("a", 20)
    carried = Recognizer.load(plain.folder, device="cpu", mode="carry")
    assert (carried.mode, carried.window) == ("carry", None)
    assert np.abs(stacked(carried.step(film)) - expected(film, False)).max() <= 1e-4
    assert Recognizer.load(plain.folder, device="cpu").window == 6


@pytest.mark.parametrize("mode", ["carry", "window"])
def test_golden_arrays_are_met_from_the_clip(tmp_path: Path, mode: str) -> None:
    bundle = make_bundle(tmp_path / "b", mode=mode, window=5)
    golden = bundle.golden()
    assert bundle.spec.golden is not None
    film = list(ticks(decoded(bundle.folder / bundle.spec.golden.clip), bundle.input))
    assert [tick.index for tick in film] == golden.indices.tolist()
    scores = stacked(Recognizer.load(bundle.folder, device="cpu").step(film))
    assert np.abs(scores - scores_of(golden.logits, 1.0)).max() <= 1e-4


@pytest.mark.parametrize("which", ["carry", "plain"])
def test_fed_whole_or_one_by_one_or_in_parts_is_the_same(which: str, request: pytest.FixtureRequest) -> None:
    bundle: Bundle = request.getfixturevalue(which)
    film = clip("a", 24) + clip("a", 9, session=1)
    results = []
    for parts in ([33], [1] * 33, [5, 1, 20, 7]):
        recognizer = Recognizer.load(bundle.folder, device="cpu", batch_size=4)
        fed = iter(film)
        results.append([told(recognizer.advance([next(fed) for _ in range(part)])) for part in parts])
        results[-1].append([((), tuple(recognizer.finish()))])  # type: ignore[list-item]
    flat = [[each for part in result for each in part] for result in results]
    assert flat[0] == flat[1] == flat[2]
    assert any(events for _, events in flat[0])


@pytest.mark.parametrize("which", ["carry", "plain"])
def test_a_cameras_results_do_not_depend_on_the_others(which: str, request: pytest.FixtureRequest) -> None:
    bundle: Bundle = request.getfixturevalue(which)
    alone = told(Recognizer.load(bundle.folder, device="cpu", batch_size=4).advance(clip("a", 20, seed=1)))
    rng = np.random.default_rng(3)
    for _ in range(3):
        recognizer = Recognizer.load(bundle.folder, device="cpu", batch_size=4)
        waiting = {f"{name}": clip(name, 20, seed=seed) for seed, name in enumerate("bacdefg")}
        seen: list[Any] = []
        while any(waiting.values()):
            names = rng.permutation([name for name, film in waiting.items() if film])[: rng.integers(1, 8)]
            batch = [
                waiting[name].pop(0) for name in names for _ in range(min(len(waiting[name]), int(rng.integers(1, 3))))
            ]
            seen += [result for result in told(recognizer.advance(batch)) if result[0][0] == "a"]
        assert seen == alone


def test_results_come_in_the_order_of_the_ticks(carry: Bundle) -> None:
    mixed = [tick for pair in zip(clip("a", 9), clip("b", 9), clip("c", 9), strict=True) for tick in pair] + clip(
        "d", 3
    )
    predictions = Recognizer.load(carry.folder, device="cpu", batch_size=2).step(mixed)
    assert [(p.camera, p.index) for p in predictions] == [(tick.camera, tick.index) for tick in mixed]
    assert Recognizer.load(carry.folder, device="cpu").step([]) == []


@pytest.mark.parametrize("which", ["carry", "plain"])
def test_reset_is_a_fresh_start_for_that_camera_only(which: str, request: pytest.FixtureRequest) -> None:
    bundle: Bundle = request.getfixturevalue(which)
    fresh = told(Recognizer.load(bundle.folder, device="cpu", batch_size=2).advance(clip("a", 12)))
    undisturbed = Recognizer.load(bundle.folder, device="cpu", batch_size=2)
    recognizer = Recognizer.load(bundle.folder, device="cpu", batch_size=2)
    for each in (undisturbed, recognizer):
        each.advance(clip("a", 7, seed=9) + clip("b", 7, seed=8))
    recognizer.reset("a")
    recognizer.reset("never seen")
    assert told(recognizer.advance(clip("a", 12))) == fresh
    later = [replace(tick, time=tick.time + 0.7) for tick in clip("b", 12, seed=7)]
    assert told(recognizer.advance(later)) == told(undisturbed.advance(later))


def test_a_new_session_ends_what_is_on_and_starts_fresh(carry: Bundle) -> None:
    recognizer = Recognizer.load(carry.folder, device="cpu")
    before = recognizer.advance(clip("a", 40))
    started = [event for _, events in before for event in events if event.kind == "started"]
    ended = [event for _, events in before for event in events if event.kind == "ended"]
    assert len(started) == len(ended) + 1  # something is on
    after = recognizer.advance(clip("a", 12, session=1))
    last = after[0][1][0]
    assert (last.kind, last.id, last.end) == ("ended", started[-1].id, before[-1][0].time)
    fresh = Recognizer.load(carry.folder, device="cpu").advance(clip("a", 12, session=1))
    assert [result for result, _ in told(after)] == [result for result, _ in told(fresh)]
    assert [prediction.warm for prediction, _ in after[:3]] == [False, True, True]


def test_events_are_the_same_every_time_and_end_with_finish(carry: Bundle) -> None:
    def events_of() -> list[Event]:
        recognizer = Recognizer.load(carry.folder, device="cpu")
        results = recognizer.advance(clip("a", 40) + clip("b", 25, seed=2))
        return [event for _, events in results for event in events] + recognizer.finish("b") + recognizer.finish()

    events = events_of()
    assert events == events_of()
    for kind in ("started", "ended"):
        assert len({event.id for event in events if event.kind == kind}) * 2 == len(events)
    assert all(event.model == carry.model for event in events)


def test_finish_is_for_one_camera_or_all_and_only_once(carry: Bundle) -> None:
    recognizer = Recognizer.load(carry.folder, device="cpu")
    recognizer.step(clip("a", 40) + clip("b", 40))
    assert [event.camera for event in recognizer.finish("a")] == ["a"]
    assert recognizer.finish("a") == [] == recognizer.finish("unknown")
    assert [event.camera for event in recognizer.finish()] == ["b"]


@pytest.mark.parametrize("which", ["carry", "plain"])
@pytest.mark.parametrize("pixel", [NAN_PIXEL, FAIL_PIXEL])
def test_a_bad_tick_restarts_its_camera_and_touches_no_other(
    which: str, pixel: int, request: pytest.FixtureRequest
) -> None:
    bundle: Bundle = request.getfixturevalue(which)
    sound = Recognizer.load(bundle.folder, device="cpu", batch_size=3)
    faulty = Recognizer.load(bundle.folder, device="cpu", batch_size=3)
    films = [clip(name, 30, seed=seed) for seed, name in enumerate("abc")]
    for index, batch in enumerate(zip(*films, strict=True)):
        wanted = told(sound.advance(batch))
        bad = index == 20
        results = faulty.advance([batch[0], hurt(batch[1], pixel) if bad else batch[1], batch[2]])
        assert [told(results)[0], told(results)[2]] == [wanted[0], wanted[2]]
        if bad:
            prediction, events = results[1]
            assert (prediction.label, prediction.warm) == ("none", False)
            assert prediction.scores.tolist() == pytest.approx([1 / 3] * 3)
            assert prediction.score == prediction.scores[0]
            assert all(event.kind == "ended" and event.end == films[1][19].time for event in events)
    assert faulty.faults == {"b": 1} and not sound.faults
    fresh = Recognizer.load(bundle.folder, device="cpu", batch_size=3)
    wanted_scores = stacked(fresh.step(films[1][21:]))
    again = Recognizer.load(bundle.folder, device="cpu", batch_size=3)
    got = again.step([*films[1][:20], hurt(films[1][20], pixel), *films[1][21:]])[21:]
    assert stacked(got).tobytes() == wanted_scores.tobytes()
    assert [p.warm for p in got] == [p.warm for p in Recognizer.load(bundle.folder, device="cpu").step(films[1][21:])]


def test_every_camera_bad_at_once(carry: Bundle) -> None:
    recognizer = Recognizer.load(carry.folder, device="cpu", batch_size=4)
    batch = [hurt(clip(name, 1)[0], pixel) for name, pixel in zip("abcd", [NAN_PIXEL, FAIL_PIXEL] * 2, strict=True)]
    assert [prediction.label for prediction in recognizer.step(batch)] == ["none"] * 4
    assert recognizer.faults == dict.fromkeys("abcd", 1)


def test_memory_does_not_grow_with_cameras_that_left(carry: Bundle) -> None:
    recognizer = Recognizer.load(carry.folder, device="cpu", batch_size=2)
    for index in range(50):
        recognizer.step(clip(f"camera {index}", 2))
        recognizer.finish(f"camera {index}")
    assert len(recognizer._model) == len(recognizer._cameras) == 0


def test_options_that_cannot_be(carry: Bundle, plain: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="batch_size: expected 1 or more, got 0"):
        Recognizer.load(plain.folder, batch_size=0)
    for window in (0, -1):
        with pytest.raises(ConfigError, match=f"window: expected 1 tick or more, got {window}"):
            Recognizer.load(plain.folder, window=window)
    with pytest.raises(ConfigError, match="keeps state in its features"):
        Recognizer.load(carry.folder, mode="window", window=5)
    unnamed = make_bundle(tmp_path / "b", golden=False)
    with pytest.raises(ConfigError, match="window: expected 1 tick or more, got 0"):
        Recognizer.load(unnamed.folder, mode="window")


def test_a_head_for_other_features_is_refused(plain: Bundle, tmp_path: Path) -> None:
    weights = weights_of()
    narrow = Weights(**{**vars(weights), "inputs": weights.inputs[: FILTERS - 1]})
    graph = head_graph(narrow)
    graph.graph.input[0].type.tensor_type.shape.dim[1].dim_value = FILTERS - 1
    files = {name: plain.read(name) for name in plain.spec.hashes()} | {"head.onnx": graph.SerializeToString()}
    bundle = write_bundle(tmp_path / "b", plain.spec, files)
    with pytest.raises(BundleError, match="expected a head for 8 features, got 7"):
        Recognizer.load(bundle.folder)


def test_a_camera_may_have_thresholds_of_its_own(carry: Bundle) -> None:
    """The scores stay the same; what is said of them differs, and the other camera's is as without."""
    never = {label: LabelRule(enter=1.0, exit=1.0) for label in carry.spec.decision.labels}
    strict = Recognizer.load(carry.folder, batch_size=2, rules={"b": never})
    usual = Recognizer.load(carry.folder, batch_size=2)
    ticks = [tick for pair in zip(clip("a", 60), clip("b", 60), strict=True) for tick in pair]
    told, told_usual = strict.advance(ticks), usual.advance(ticks)
    assert [p.scores.tobytes() for p, _ in told] == [p.scores.tobytes() for p, _ in told_usual]
    assert [(p.label, events) for p, events in told[::2]] == [(p.label, events) for p, events in told_usual[::2]]
    assert any(events for _, events in told_usual[1::2])
    assert {p.label for p, _ in told[1::2]} == {carry.none} and not any(events for _, events in told[1::2])


def test_a_label_without_a_rule_of_its_own_keeps_the_bundles(carry: Bundle) -> None:
    kept, barred = carry.spec.decision.labels
    recognizer = Recognizer.load(carry.folder, rules={"a": {barred: LabelRule(enter=1.0, exit=1.0)}})
    told = {p.label for p, _ in recognizer.advance(clip("a", 200))}
    assert told == {carry.none, kept}
    assert barred in {p.label for p, _ in Recognizer.load(carry.folder).advance(clip("a", 200))}


def test_a_rule_for_no_label_of_the_bundle_is_refused(carry: Bundle) -> None:
    with pytest.raises(ConfigError, match="swim"):
        Recognizer.load(carry.folder, rules={"a": {"swim": LabelRule(enter=0.5, exit=0.4)}})
