"""The page of `evaluate --report`: whole, by itself, and true to what was measured."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.late_judge import LABELS, LateJudge, idle, waving
from train.clip_measures import measure_clips
from train.measure import Judged, Measured
from train.mistakes import MOST, false_alarms, missed_actions, wrong_clips
from train.report_page import PAGE, STEPS, write_page
from train.stream_measures import measure_streams
from train.streams import Stream


def measured(judge: LateJudge, streams: list[Stream], clips: list[Stream] | None = None) -> Measured:
    judged = {"streams": Judged(streams, judge.judge(streams))}
    results: dict[str, object] = {"model": judge.name, "data": "yards", "recordings": len(streams)}
    results |= {"reset_each_tick": False, "learned_from": False}
    if clips is not None:
        judged["clips"] = Judged(clips, judge.judge(clips))
        results["clips"] = measure_clips(judge, clips, judged["clips"].judgements)
    results["streams"] = measure_streams(judge, streams, judged["streams"].judgements)
    return Measured(results, judge, judged)


def clip(name: str, label: str) -> Stream:
    return replace(waving(name, ticks=20), targets=np.full(20, LABELS.index(label), np.int32), segments=())


class Page(HTMLParser):
    """What a page would load, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.pictures = 0
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Of an element that begins."""
        assert tag not in ("script", "link", "iframe")
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        self.pictures += tag == "img"

    def handle_data(self, data: str) -> None:
        """Of text between elements."""
        self.text += " ".join(data.split()) + " "


def test_the_page_says_what_was_measured_and_loads_nothing(tmp_path: Path) -> None:
    late = [waving("yard"), waving("street"), idle()]
    done: list[None] = []
    found = measured(LateJudge(50), late, [clip("clips/a", "wave"), clip("clips/b", "none")])
    page = write_page(found, tmp_path, tmp_path / "out", advance=lambda: done.append(None))
    assert page == tmp_path / "out" / PAGE
    assert len(done) == STEPS
    seen = Page(page)
    # 5 s late: both actions are missed and told as false alarms, and the clip of waving is over before it is known.
    assert "Actions missed: 2" in seen.text and "False alarms: 2" in seen.text
    assert "Clips taken for something else: 1" in seen.text
    assert "Learning curves" not in seen.text
    assert all(name in seen.text for name in ("yard", "street", "idle", "clips/a"))
    # Three moments of each of the five mistakes.
    assert seen.pictures == 15
    assert all(each.startswith(("data:image/jpeg;base64,", "#")) for each in seen.loads)
    text = page.read_text(encoding="utf-8")
    assert "url(http" not in text and "@import" not in text
    assert "nan" not in seen.text.lower().split()


def test_where_nothing_happens_the_page_says_so(tmp_path: Path) -> None:
    page = write_page(measured(LateJudge(3), [idle()]), tmp_path, tmp_path, advance=lambda: None)
    seen = Page(page)
    assert "Nothing happens in these streams" in seen.text
    assert "Time to detect" not in seen.text
    assert "nan" not in seen.text.lower().split() and "None" not in seen.text


def test_a_run_shows_its_learning_curves_and_names_are_no_markup(tmp_path: Path) -> None:
    row = {"stage": 0, "kind": "head", "epoch": 0, "loss": 1.2, "accuracy": 0.5}
    (tmp_path / "history.json").write_text(json.dumps([row, row | {"epoch": 1, "loss": 0.8}]))
    judge = LateJudge(3, labels=("none", "<b>jump</b>", "wave & clap"))
    segment = replace(waving().segments[0], label="wave & clap")
    page = write_page(
        measured(judge, [replace(waving(), segments=(segment,))]), tmp_path, tmp_path, advance=lambda: None
    )
    assert "Learning curves" in Page(page).text
    text = page.read_text(encoding="utf-8")
    assert "<b>jump" not in text and "&lt;b&gt;jump&lt;/b&gt;" in text and "wave &amp; clap" in text


def test_mistakes_are_the_surest_first_with_three_moments() -> None:
    judge = LateJudge(50)
    streams = [waving("yard"), waving("street")]
    judgements = judge.judge(streams)
    missed, alarms = missed_actions(judge, streams, judgements), false_alarms(judge, streams, judgements)
    assert [(each.true, each.told, each.where) for each in missed] == [("wave", None, "yard"), ("wave", None, "street")]
    # From 2 s to the last tick before 4 s; what scored highest there is nothing.
    assert [moment.time for moment in missed[0].moments] == pytest.approx([2.0, 2.9, 3.9])
    label, score = missed[0].moments[0].bars[0]
    assert label == "none" and score == pytest.approx(0.9)
    # Told for what was 5 s before, and so is over 5 s after.
    assert [(each.true, each.told) for each in alarms] == [("none", "wave")] * 2
    assert [moment.time for moment in alarms[0].moments] == pytest.approx([7.0, 8.0, 9.0])
    assert alarms[0].weight == pytest.approx(0.9)
    clips = [clip("a", "wave"), clip("b", "none")]
    assert [each.where for each in wrong_clips(judge, clips, judge.judge(clips))] == ["a"]
    assert wrong_clips(LateJudge(0), clips, LateJudge(0).judge(clips)) == []


def test_what_is_ambiguous_is_marked(tmp_path: Path) -> None:
    counted = np.ones(100, bool)
    counted[60:70] = False
    streams = [replace(waving(), counted=counted)]
    page = write_page(measured(LateJudge(3), streams), tmp_path, tmp_path, advance=lambda: None)
    assert 'title="ambiguous, not asked: 6.0 to 7.0 s"' in page.read_text(encoding="utf-8")


def test_features_without_pictures_are_shown_as_scores(tmp_path: Path) -> None:
    features: NDArray[Any] = np.zeros((100, 16), np.float32)
    streams = [replace(waving(f"yard {i}"), images=features) for i in range(MOST + 2)]
    page = write_page(measured(LateJudge(50), streams), tmp_path, tmp_path, advance=lambda: None)
    seen = Page(page)
    assert seen.pictures == 0
    assert f"Actions missed: {MOST + 2}" in seen.text and f"({MOST} shown)" in seen.text
