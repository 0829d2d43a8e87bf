"""All numbers on streams and on clips of a judge that says the truth three ticks late: each worked by hand.

The stream has 100 ticks at ten a second; waving lasts from tick 20 to 39, and is said from tick 23 to 42: 17 ticks of
the action are right, 3 are missed, and 3 ticks of nothing are taken for it.
"""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.late_judge import LABELS, LateJudge, idle, waving
from train.clip_measures import measure_clips
from train.stream_measures import measure_streams
from train.streams import Stream
from train.sweep import FACTORS, scaled, sweep


def measured(judge: LateJudge, *streams: Stream) -> dict[str, object]:
    return measure_streams(judge, streams, judge.judge(streams))


def test_labels_and_events_of_a_late_judge() -> None:
    found = measured(LateJudge(3), waving())
    # It has settled before the 0.6 s after each boundary are over: 6 ticks, and 7 after 4 s, as 4.6 - 4.0 < 0.6.
    assert (found["ticks"], found["argmax_accuracy"], found["decided_accuracy"]) == (100 - 6 - 7, 1.0, 1.0)
    # Over enter from 2.3 s, told 0.2 s later: 0.5 s after the action began.
    assert found["detect_median_s"] == pytest.approx(0.5)
    assert found["detect_p90_s"] == pytest.approx(0.5)
    assert (found["actions"], found["found"], found["missed"], found["false_per_hour"]) == (1, 1.0, 0, 0.0)


def test_average_precisions_of_a_late_judge() -> None:
    found = measured(LateJudge(3), waving())
    # 20 ticks score high, 17 of them rightly; the rest ties at the bottom, where 20 of 100 are right.
    assert found["frame_map"] == pytest.approx(17 / 20 * 17 / 20 + 3 / 20 * 20 / 100)
    # w = 80 / 20: at the top 17 / (17 + 3 / 4), at the bottom a half.
    assert found["frame_mcap"] == pytest.approx(17 / 20 * 17 / (17 + 3 / 4) + 3 / 20 * 0.5)
    assert list(found["ap_by_label"]) == ["wave"]  # type: ignore[call-overload]
    # The first tenth is missed: 2 ticks of it at the bottom with 77 of nothing, over which stand 3: chance.
    # The second has one tick at the top with 3 of nothing, w = 80 / 2, and one at the bottom.
    deciles = found["decile_mcap"]
    assert isinstance(deciles, list)
    assert deciles[0] == pytest.approx(0.5)
    assert deciles[1] == pytest.approx(0.5 * 1 / (1 + 3 / 40) + 0.5 * 0.5)
    assert deciles[2:] == pytest.approx([2 / (2 + 3 / 40)] * 8)
    # Of the 20 * 80 pairs, 17 * 77 are in order, and 17 * 3 and 3 * 77 tie.
    assert found["rejection_auroc"] == pytest.approx((17 * 77 + (17 * 3 + 3 * 77) / 2) / 1600)


def test_starts_segments_and_flicker_of_a_late_judge() -> None:
    found = measured(LateJudge(3), waving())
    # Said at 2.3 s, told at 2.5 s: less than 1 s after the start at 2.
    assert found["argmax_p_map"] == found["decided_p_map"] == [1.0] * 10
    # 17 of 23 ticks overlap, and of those decided, 25 to 42, 15 of 23.
    assert [found[f"argmax_f1_{k}"] for k in (10, 25, 50)] == [1.0] * 3
    assert [found[f"decided_f1_{k}"] for k in (10, 25, 50)] == [1.0] * 3
    assert found["argmax_edit"] == found["decided_edit"] == 1.0
    # There and back, in 9.9 s.
    for kind in ("true", "argmax", "decided"):
        assert found[f"{kind}_changes_per_minute"] == pytest.approx(2 / (9.9 / 60))


def test_a_later_judge_is_worse_where_it_should_be() -> None:
    # 12 ticks late: 8 of 32 ticks overlap, and of those decided, from tick 34, 6 of 32; told 1.4 s after the start.
    found = measured(LateJudge(12), waving())
    assert [found[f"argmax_f1_{k}"] for k in (10, 25, 50)] == [1.0, 1.0, 0.0]
    assert [found[f"decided_f1_{k}"] for k in (10, 25, 50)] == [1.0, 0.0, 0.0]
    assert found["argmax_p_map"] == found["decided_p_map"] == [0.0] + [1.0] * 9
    assert found["detect_median_s"] == pytest.approx(1.4)


def test_calibration_before_and_after() -> None:
    # It says 0.9 and is always right where it is asked.
    judge = LateJudge(3)
    found = measured(judge, waving())
    assert found["ece_after"] == found["ece_before"] == pytest.approx(0.1)
    # With a temperature of 2 what was said before is 0.9 squared, over the sum of all squared.
    judge.decision = judge.decision.model_copy(update={"temperature": 2.0})
    before = 0.81 / (0.81 + 2 * 0.05**2)
    assert measured(judge, waving())["ece_before"] == pytest.approx(1 - before, abs=1e-6)


def test_streams_are_judged_apart_and_counted_together() -> None:
    found = measured(LateJudge(3), waving(), idle(), waving("street"))
    assert (found["streams"], found["actions"], found["missed"]) == (3, 2, 0)
    assert found["minutes"] == pytest.approx(3 * 9.9 / 60)
    assert found["argmax_f1_50"] == 1.0
    # 40 high ticks, 34 of them right, over 300 of which 40 are of the action.
    assert found["frame_map"] == pytest.approx(34 / 40 * 34 / 40 + 6 / 40 * 40 / 300)


def test_where_nothing_happens_much_is_not_defined_and_nothing_is_made_up() -> None:
    found = measured(LateJudge(3), idle())
    undefined = ("frame_map", "frame_mcap", "rejection_auroc", "found", "detect_median_s", "detect_p90_s")
    assert [found[name] for name in (*undefined, "decided_edit")] == [None] * 7
    assert found["decile_mcap"] == found["argmax_p_map"] == found["decided_p_map"] == [None] * 10
    assert found["argmax_f1_25"] is None
    assert (found["false_per_hour"], found["decided_accuracy"]) == (0.0, 1.0)
    json.dumps(found, allow_nan=False)


def test_what_is_ambiguous_is_not_asked() -> None:
    # Without the ticks in which it lags, and with what it tells there, it is without fault.
    counted = np.ones(100, bool)
    counted[20:23] = counted[40:43] = False
    found = measured(LateJudge(3), replace(waving(), counted=counted))
    assert found["frame_map"] == found["frame_mcap"] == found["rejection_auroc"] == 1.0
    assert found["argmax_f1_50"] == 1.0
    assert found["minutes"] == pytest.approx(0.94 * 9.9 / 60)
    # 0.5 s before the action nothing counts: what is told there is no false alarm.
    early = replace(waving(), targets=np.roll(waving().targets, -10), counted=np.arange(100) != 15)
    assert measured(LateJudge(3), replace(early, counted=None))["false_per_hour"] != 0
    assert measured(LateJudge(3), early)["false_per_hour"] == 0


def test_clips_half_way_at_the_end_and_on_average() -> None:
    # A clip of 2 s, ticks 0 to 19, its half being 0.95 s: tick 9. Said from tick 6 on, decided two ticks later.
    clip = replace(
        waving("clip"), times=np.arange(20) / 10, targets=np.full(20, LABELS.index("wave"), np.int32), segments=()
    )
    for late, half, decided_half, mean in ((6, 1.0, 1.0, 1.0), (8, 1.0, 0.0, 1.0), (12, 0.0, 0.0, 0.0)):
        judge = LateJudge(late)
        found = measure_clips(judge, [clip], judge.judge([clip]))
        assert (found["accuracy"], found["decided_accuracy"]) == (1.0, 1.0)
        assert (found["accuracy_half"], found["decided_accuracy_half"]) == (half, decided_half)
        assert found["accuracy_mean"] == mean  # said in 14, 12 or 8 of 20 ticks
        assert found["table"]["wave"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "count": 1}
        assert found["table"]["jump"]["recall"] is None
    still = replace(clip, targets=np.zeros(20, np.int32))
    found = measure_clips(LateJudge(3), [still], LateJudge(3).judge([still]))
    assert (found["actions"], found["actions_accuracy"]) == (0, None)


def test_other_thresholds_are_decided_again_from_the_same_scores() -> None:
    judge, streams = LateJudge(3), [waving(), idle()]
    asked: list[None] = []
    points = sweep(judge, streams, judge.judge(streams), advance=lambda: asked.append(None))
    assert [point.factor for point in points] == list(FACTORS) and len(asked) == len(FACTORS)
    as_they_are = points[len(FACTORS) // 2]
    assert as_they_are.factor == 1
    assert (as_they_are.false_per_hour, as_they_are.missed) == (0.0, 0.0)
    assert as_they_are.delay == pytest.approx(0.5)
    # 0.5 * 3 would be over any score; it says 0.9 at most.
    assert (points[-1].missed, points[-1].delay, points[-1].false_per_hour) == (1.0, None, 0.0)
    assert scaled(judge.decision.labels["wave"], 3).enter == 0.999
    assert scaled(judge.decision.labels["wave"], 0.5).exit == pytest.approx(0.15)
