"""Axes of points that are drawn: from ranges, whole numbers and choices, of which some may depend on others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import inf, log, prod
from typing import Final, Literal

import numpy as np

from sweep.base.errors import SweepError, unknown_name
from sweep.page.axes import POINT, Axes, Factor, Given, Value, check_lanes, list_values
from sweep.page.specs.knobs import LARGEST_SEED, check_count, check_finite, to_plain

MOST_DRAWS: Final = 16  # for each point that is asked for, where points repeat
EXACT: Final = 2**53  # beyond it not every whole number is a float64


@dataclass(frozen=True)
class Range:
    """A continuous range to sample from; made by `uniform` and `log_uniform`."""

    low: float
    high: float
    form: Literal["uniform", "log_uniform"]

    def at(self, unit: np.ndarray) -> list[Value]:
        """Map numbers in [0, 1) to the range."""
        if self.form == "uniform":
            return (self.low + (self.high - self.low) * unit).tolist()
        return np.exp(log(self.low) + (log(self.high) - log(self.low)) * unit).tolist()

    def count(self) -> float:
        """Count the values: infinitely many."""
        return inf

    def check(self, knob: str, value: Value) -> None:
        """Refuse any value as a condition, since none of them is ever drawn exactly."""
        raise SweepError(
            f"when can't ask whether {knob!r} is {value!r}, as it is drawn from a continuous range: draw it from "
            f"integers or choices"
        )


@dataclass(frozen=True)
class Integers:
    """Whole numbers to sample from, both ends included; made by `integers` and `log_integers`."""

    low: int
    high: int
    form: Literal["integers", "log_integers"]

    def at(self, unit: np.ndarray) -> list[Value]:
        """Map numbers in [0, 1) to whole numbers."""
        if self.form == "integers":
            drawn = self.low + np.floor((self.high - self.low + 1) * unit)
        else:
            low, high = log(self.low - 0.5), log(self.high + 0.5)
            drawn = np.round(np.exp(low + (high - low) * unit))
        return np.clip(drawn, self.low, self.high).astype(np.int64).tolist()  # the last step may round upwards

    def count(self) -> float:
        """Count the values."""
        return self.high - self.low + 1

    def check(self, knob: str, value: Value) -> None:
        """Refuse a value that is never drawn."""
        if not isinstance(value, int) or not self.low <= value <= self.high:
            raise SweepError(f"{knob} in when must be a whole number from {self.low} to {self.high}, got {value!r}")


@dataclass(frozen=True)
class Choices:
    """Values to choose from; made by `choices`."""

    values: tuple[Value, ...]

    def at(self, unit: np.ndarray) -> list[Value]:
        """Map numbers in [0, 1) to the values."""
        return [self.values[at] for at in (len(self.values) * unit).astype(np.int64)]

    def count(self) -> float:
        """Count the values."""
        return len(self.values)

    def check(self, knob: str, value: Value) -> None:
        """Refuse a value that is never drawn."""
        if value not in self.values:
            raise unknown_name(f"value of {knob} in when", value, map(str, self.values))


Draw = Range | Integers | Choices


@dataclass(frozen=True)
class Condition:
    """What a knob is drawn from, where other knobs have certain values; made by `when`."""

    draw: Draw
    allowed: Mapping[str, tuple[Value, ...]]


def uniform(low: float, high: float) -> Range:
    """Sample uniformly between two numbers."""
    low, high = _finite("uniform", low, high)
    if not low < high:
        raise SweepError(f"uniform needs low < high, got {low!r}, {high!r}")
    return Range(low, high, "uniform")


def log_uniform(low: float, high: float) -> Range:
    """Sample uniformly in the logarithm between two positive numbers."""
    low, high = _finite("log_uniform", low, high)
    if not 0 < low < high:
        raise SweepError(f"log_uniform needs 0 < low < high, got {low!r}, {high!r}")
    return Range(low, high, "log_uniform")


def _finite(name: str, low: float, high: float) -> tuple[float, float]:
    low, high = to_plain(low), to_plain(high)
    for word, end in (("low", low), ("high", high)):
        check_finite(f"{word} of {name}", end)
    return low, high


def integers(low: int, high: int) -> Integers:
    """Sample whole numbers from `low` to `high`, both included, all equally likely."""
    return Integers(*_whole_numbers("integers", low, high, -EXACT), "integers")


def log_integers(low: int, high: int) -> Integers:
    """Sample whole numbers from `low` to `high`, both included, uniformly in the logarithm.

    A number is what a logarithmically uniform one between `low - 0.5` and `high + 0.5` is rounded to.
    """
    return Integers(*_whole_numbers("log_integers", low, high, 1), "log_integers")


def _whole_numbers(name: str, low: int, high: int, least: int) -> tuple[int, int]:
    low, high = to_plain(low), to_plain(high)
    if any(isinstance(end, bool) or not isinstance(end, int) for end in (low, high)):
        raise SweepError(f"{name} needs whole numbers, got {low!r}, {high!r}")
    if not least <= low < high <= EXACT:
        bound = f"{least} <= low < high" if least > 0 else "low < high, both within 2^53"
        raise SweepError(f"{name} needs {bound}, got {low!r}, {high!r}")
    return low, high


def choices(*values: Given) -> Choices:
    """Choose among values, names or numbers, all equally likely: `choices("tanh", "relu")`."""
    plain = tuple(map(to_plain, values))
    alone = len(plain) == 1 and isinstance(plain[0], tuple)
    if len(plain) == 0 or alone or any(isinstance(value, set | dict) for value in plain):
        raise SweepError(f"choices takes its values one by one, as in choices('tanh', 'relu'), got {plain!r}")
    if len(set(plain)) < len(plain):
        repeated = next(value for value in plain if plain.count(value) > 1)
        raise SweepError(f"choices has {repeated!r} twice: give each value once")
    return Choices(plain)


def when(draw: Draw, **conditions: Value | Iterable[Value]) -> Condition:
    """Draw a knob only where other knobs of the same sample have certain values; elsewhere it does not apply.

    `momentum=when(uniform(0, 0.99), optimizer="sgd")`, `beta1=when(uniform(0.8, 0.99), optimizer=("adam", "nadam"))`.

    Args:
        draw: what the knob is drawn from.
        conditions: for each of the other knobs, which are drawn before this one from `integers` or `choices`, a value
            or several. All of the conditions have to hold.

    Raises:
        SweepError: without a condition, or for a `draw` that nothing can be drawn from.
    """
    if not isinstance(draw, Draw):
        raise SweepError(f"when needs something to draw from, as in when(uniform(0, 1), optimizer='sgd'), got {draw!r}")
    if not conditions:
        raise SweepError("when needs a condition, such as optimizer='sgd'")
    listed = {knob: (value,) if isinstance(value, str) else to_plain(value) for knob, value in conditions.items()}
    return Condition(draw, {knob: value if isinstance(value, tuple) else (value,) for knob, value in listed.items()})


def sampled(
    points: int, *, method: Literal["random", "sobol"] = "random", sample_seed: int = 0, **ranges: Draw | Condition
) -> Axes:
    """Sweep points that are drawn: one dimension, with the knobs as its coordinates.

    No point is taken twice. Where knobs have few values, points that have been drawn before are passed over, until
    as many differ as were asked for.

    Args:
        points: number of points.
        method: "random" (independent) or "sobol" (scrambled Sobol sequence of `scipy.stats.qmc`).
        sample_seed: fixes the draw; a sample is a prefix of every larger one that is drawn from the same ranges.
        ranges: for each knob `uniform(low, high)`, `log_uniform(low, high)`, `integers(low, high)`,
            `log_integers(low, high)` or `choices(...)`, or one of these in `when(...)`.

    Raises:
        SweepError: for fewer than one point, no range, an unknown method, more points than there are, and a condition
            that can't hold or holds for no point.
    """
    points, sample_seed = to_plain(points), to_plain(sample_seed)
    check_count("points of sampled", points, EXACT)
    check_count("sample_seed", sample_seed, LARGEST_SEED, at_least=0)
    if not ranges:
        raise SweepError("sampled needs a range for at least one knob, as in sampled(40, learning_rate=uniform(0, 1))")
    check_lanes(points)
    if method not in ("random", "sobol"):
        raise SweepError(f"sampled knows the methods random and sobol, got {method!r}")
    _check_ranges(ranges)
    different = prod(_parts(each)[0].count() for each in ranges.values())
    if points > different:
        raise SweepError(
            f"sampled can't give {points:,} points, as {', '.join(ranges)} have {different:,} combinations: sweep them "
            f"all with grid(...), or ask for fewer"
        )
    factor = Factor(tuple(ranges), _draw(points, method, sample_seed, ranges), POINT)
    for knob in ranges:
        if set(factor.column(knob)) == {None}:
            raise SweepError(
                f"the condition of {knob!r} holds for none of {points} points: sample more, or leave it out"
            )
    return Axes((Factor(factor.knobs, factor.rows, next(iter(ranges)) if len(ranges) == 1 else POINT),))


def _parts(each: Draw | Condition) -> tuple[Draw, Mapping[str, tuple[Value, ...]]]:
    return (each.draw, each.allowed) if isinstance(each, Condition) else (each, {})


def _check_ranges(ranges: Mapping[str, Draw | Condition]) -> None:
    """Refuse what can't be drawn from, and conditions on knobs or values that are not drawn."""
    before: dict[str, Draw] = {}
    for knob, each in ranges.items():
        draw, allowed = _parts(each)
        if not isinstance(draw, Draw):
            raise SweepError(
                f"sampled needs uniform(...), log_uniform(...), integers(...) or choices(...) for {knob!r}, "
                f"got {draw!r}"
            )
        for other, values in allowed.items():
            if other not in before:
                fix = f"give {other} first" if other in ranges else f"draw {other} in the same sample"
                raise SweepError(f"{knob!r} depends on {other!r}, which is not drawn before it: {fix}")
            for value in values:
                before[other].check(other, value)
        if isinstance(draw, Choices):
            list_values(knob, draw.values)
        before[knob] = draw


def _draw(
    points: int, method: str, seed: int, ranges: Mapping[str, Draw | Condition]
) -> tuple[tuple[Value | None, ...], ...]:
    """Draw so many different points, in the order in which they are first drawn."""
    draws = points
    while True:
        unit = _unit(draws, len(ranges), method, seed)
        rows = tuple(dict.fromkeys(zip(*_columns(ranges, unit), strict=True)))[:points]
        if len(rows) == points:
            return rows
        if draws >= MOST_DRAWS * points:
            raise SweepError(
                f"{draws:,} draws of {', '.join(ranges)} gave {len(rows):,} different points instead of {points:,}: "
                f"ask for fewer"
            )
        draws *= 2


def _unit(draws: int, knobs: int, method: str, seed: int) -> np.ndarray:
    """Draw numbers in [0, 1), of shape (draws, knobs); fewer draws are a prefix of more."""
    if method == "random":
        return np.random.default_rng(seed).random((draws, knobs))
    from scipy.stats import qmc  # half a second to import, and few pages sample

    power = (draws - 1).bit_length()  # Sobol points are balanced in powers of two; the prefix is kept
    return qmc.Sobol(knobs, rng=np.random.default_rng(seed)).random_base2(power)[:draws]


def _columns(ranges: Mapping[str, Draw | Condition], unit: np.ndarray) -> Iterator[list[Value | None]]:
    """Give the values of each knob; None where its condition does not hold."""
    found: dict[str, list[Value | None]] = {}
    for at, (knob, each) in enumerate(ranges.items()):
        draw, allowed = _parts(each)
        holds = np.ones(len(unit), bool)
        for other, values in allowed.items():
            holds &= [value in values for value in found[other]]
        found[knob] = [value if applies else None for value, applies in zip(draw.at(unit[:, at]), holds, strict=True)]
        yield found[knob]
