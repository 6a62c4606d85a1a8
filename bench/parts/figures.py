"""Figures and their goals: printed last, one line each; a program that misses a goal ends with 1."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

OPERATORS: dict[str, Callable[[float, float], bool]] = {">=": operator.ge, "<=": operator.le}


@dataclass(frozen=True, slots=True)
class Figure:
    """A ratio and what it has to be."""

    name: str
    value: float
    relation: str
    goal: float

    @property
    def is_met(self) -> bool:
        return OPERATORS[self.relation](self.value, self.goal)

    def __str__(self) -> str:
        verdict = "ok" if self.is_met else "MISS"
        return f"figure: {self.name} {self.value:.2f} goal {self.relation}{self.goal:g} {verdict}"


def conclude(figures: Sequence[Figure]) -> int:
    """Print figures; return the exit code."""
    for figure in figures:
        print(figure)
    return 0 if all(figure.is_met for figure in figures) else 1


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Divide what was measured in the same round."""
    return [mine / other for mine, other in zip(ours, theirs, strict=True)]


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile, to the next lower value measured."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def spread(values: Sequence[float]) -> str:
    """Write the median of the rounds and between what they lay."""
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def noise(values: Sequence[float]) -> float:
    """Return how far the middle half of the rounds lies apart, as a part of their median."""
    if len(values) < 2:
        return 0.0
    low, _, high = quantiles(values, n=4, method="inclusive")
    return (high - low) / median(values)
