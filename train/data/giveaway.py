"""Whether the size, the length or the frame rate of a clip alone gives its class away.

Where they do, a network may reach as much without seeing anything happen, and its accuracy on these data says little
about a camera. A decision tree is asked, on groups that it has not seen: it needs no scaling, and no time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.readable import Facts

FOLDS = 5
LEAF = 3
"""Clips that a leaf holds at least."""
SURE = 3.0
"""Standard errors above chance from which on it is no accident."""
MARGIN = 0.05
"""Share above chance under which it does not matter, however sure."""
BETRAYED = 0.3
"""Share by which a class is found more often than it is mistaken, from which on it is told by a number."""

NUMBERS: dict[str, Callable[[Facts], tuple[float, ...]]] = {
    "size": lambda facts: (facts.height, facts.width, facts.width / max(1, facts.height)),
    "length": lambda facts: (facts.seconds, facts.frames),
    "fps": lambda facts: (round(facts.fps, 1),),
}
"""What each question is asked of; all of it together is the last question."""
ALL = "all of these"
QUESTIONS = len(NUMBERS) + 1


@dataclass(frozen=True)
class Answer:
    """How well one kind of number tells the classes apart.

    Attributes:
        asked: `size`, `length`, `fps`, or all of these.
        accuracy: the mean over the classes of the share of their clips that is recognised, in groups unseen.
        chance: what guessing gives: 1 / classes.
        error: the standard error of `accuracy` under chance.
        found: of each class, the share of its clips that is recognised.
        mistaken: of each class, the mean over the other classes of the share of their clips that is taken for it.
    """

    asked: str
    accuracy: float
    chance: float
    error: float
    found: dict[str, float]
    mistaken: dict[str, float]

    @property
    def betrayed(self) -> list[str]:
        """The classes that are told by it, the easiest first: found much more often than they are mistaken."""
        told = {label: share - self.mistaken[label] for label, share in self.found.items()}
        return sorted((label for label in told if told[label] > BETRAYED), key=lambda label: -told[label])

    @property
    def gives_away(self) -> bool:
        """Whether the class can be told by it, surely and by more than a little."""
        above = self.accuracy - self.chance
        return above > MARGIN and above > SURE * self.error


def give_away(
    facts: Sequence[Facts],
    labels: Sequence[str],
    groups: Sequence[str],
    *,
    seed: int = 0,
    advance: Callable[[], None] = lambda: None,
) -> tuple[Answer, ...]:
    """An answer to each question; none where there are too few clips or groups to ask.

    Args:
        facts: of clips.
        labels: of each.
        groups: of each; those that are asked about were not learned from.
        seed: of the division and of the tree.
        advance: called after each of the questions, of which there are `QUESTIONS`.
    """
    counts = Counter(labels)
    folds = min(FOLDS, len(set(groups)), *counts.values())
    if folds < 2 or len(counts) < 2:
        return ()
    columns = {name: np.array([numbers(each) for each in facts], np.float64) for name, numbers in NUMBERS.items()}
    columns[ALL] = np.hstack(list(columns.values()))
    truth, kinds = np.array(labels), np.array(groups)
    answers = []
    for name, values in columns.items():
        answers.append(_answer(name, values, truth, kinds, folds, seed))
        advance()
    return tuple(answers)


def _answer(
    asked: str, values: NDArray[np.float64], labels: NDArray[np.str_], groups: NDArray[np.str_], folds: int, seed: int
) -> Answer:
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.tree import DecisionTreeClassifier

    guesses = np.empty_like(labels)
    divided = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for training, asked_of in divided.split(values, labels, groups):
        tree = DecisionTreeClassifier(min_samples_leaf=LEAF, class_weight="balanced", random_state=seed)
        guesses[asked_of] = tree.fit(values[training], labels[training]).predict(values[asked_of])
    names, counts = np.unique(labels, return_counts=True)
    found = {str(name): float((guesses[labels == name] == name).mean()) for name in names}
    taken = {str(name): [float((guesses[labels == other] == name).mean()) for other in names] for name in names}
    mistaken = {name: (sum(shares) - found[name]) / (len(names) - 1) for name, shares in taken.items()}
    chance = 1 / len(names)
    # Each class's share is a mean of as many coins as it has clips; the accuracy is the mean of the shares.
    error = float(np.sqrt((chance * (1 - chance) / counts).sum()) / len(names))
    return Answer(asked, float(np.mean(list(found.values()))), chance, error, found, mistaken)
