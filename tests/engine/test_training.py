"""The interface of the engine for trainings: one that is no regression works with tiles, freezing, records and resume.

The training here is a map iterated, x -> r x (1 - x) + s_k, with a number s_k that is renewed every three steps. Its
oracle is a loop in NumPy.
"""

from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import make_plan, tiny

from sweep import Record, grid, linear_spaced
from sweep.base.labels import DIVERGED, RUNNING, Quantity
from sweep.engine import walk
from sweep.engine.plan import Plan
from sweep.engine.program import NEVER, Block
from sweep.engine.training import Cost, Training

STEPS, PERIOD = 24, 3
# None at which the map is chaotic, and makes much of the last bit. At 5 it runs away: infinite after a few steps.
RATES = (0.5, 1.5, 2.5, 3.1, 3.2, 3.5, 5.0)


@dataclass(frozen=True)
class Iterated(Training):
    """x -> r x (1 - x) + s. Where `returns`, what is not finite is 0.25 after the next step."""

    stays_not_finite: bool = False  # pyright: ignore[reportIncompatibleMethodOverride]
    returns: bool = False

    precision = "float32"
    steps = STEPS
    steps_per_epoch = 2
    renewed_every = PERIOD

    def quantities(self) -> tuple[Quantity, ...]:
        return (Quantity("x_now"), Quantity("pair", ("layer",)))

    def dimensions(self) -> dict[str, np.ndarray]:
        return {"layer": np.arange(2)}

    def cost(self) -> Cost:
        return Cost(flops=1.0, activations=1.0, bytes=8.0, layers=1)

    def words(self) -> str:
        return "a map"

    def description(self) -> Any:
        return "map"

    def begin(self, keys: Any, numbers: Any, shared: Any) -> tuple[Any, Any]:
        start = 0.1 + 0.001 * numbers["seed"].astype(jnp.float32)
        return {"x": start, "s": jnp.float32(0)}, {"start": start}

    def step(self, state: Any, data: Any, shared: Any, numbers: Any, step: Any) -> Any:
        x = state["x"]
        if self.returns:
            x = jnp.where(jnp.isfinite(x), x, 0.25)
        new = numbers["rate"] * x * (1 - x) + state["s"]
        if self.returns:
            new = jnp.where((step == 7) & (numbers["rate"] > 3), jnp.inf, new)
        return {**state, "x": new}, jnp.bool_(True)

    def renew(self, state: Any, data: Any, shared: Any, numbers: Any, step: Any) -> Any:
        return {**state, "s": 0.001 * (step // PERIOD).astype(jnp.float32)}

    def must_be_finite(self, state: Any) -> Any:
        return state["x"]

    def measure(self, state: Any, data: Any, shared: Any, numbers: Any, step: Any) -> Any:
        return {"x_now": state["x"], "pair": jnp.stack([state["x"], data["start"]])}, jnp.isfinite(state["x"])

    def constants(self) -> tuple[Quantity, ...]:
        return (Quantity("start"),)

    def constant_values(self, data: Any, shared: Any, numbers: Any) -> dict[str, Any]:
        return {"start": data["start"]}


def plan_of(training: Training, devices: int = 1) -> Plan:
    """Plan a number of lanes, in tiles of two, with another training in their block."""
    record = Record(metrics=("loss",), at=linear_spaced(4), snapshots=0)
    plan = make_plan(tiny(axes=grid(seed=range(len(RATES))), epochs=12, record=record), devices)
    (program,) = plan.programs
    numbers = {name: program.numbers[0][name] for name in ("seed", "data_seed")} | {"rate": np.array(RATES)}
    block = Block(training, 2, 4)
    changed = replace(program, blocks=(block,), numbers=(dict(sorted(numbers.items())),))
    return replace(plan, programs=(changed,), steps=(np.arange(0, STEPS + 1, 6)[:, None],))


def expected(rate: float, seed: int) -> tuple[np.ndarray, int]:
    """Iterate in NumPy: x after each step, and the steps after which it is not finite."""
    x, s, found, bad = np.float32(0.1 + 0.001 * np.float32(seed)), np.float32(0), [], NEVER
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(STEPS):
            found.append(x)
            s = np.float32(0.001) * np.float32(step // PERIOD)
            new = np.float32(rate) * x * (1 - x) + s
            if bad == NEVER and not np.isfinite(new):
                bad = step + 1
            x = new if bad == NEVER else x
    return np.array([*found, x]), bad


@pytest.mark.parametrize("stays", [False, True])
@pytest.mark.parametrize("devices", [1, 3])
def test_a_training_of_another_kind_goes_through_the_engine(stays: bool, devices: int) -> None:
    plan = plan_of(Iterated(stays_not_finite=stays), devices)
    segments = [segment for segment in walk.walk_wave(plan, 0) if segment.record is not None]
    assert [segment.record for segment in segments] == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(segments[0].constants[0]["start"], 0.1 + 0.001 * np.arange(len(RATES)), rtol=1e-6)
    for lane, rate in enumerate(RATES):
        curve, bad = expected(rate, lane)
        dated = [segment.ended[0][lane] for segment in segments]
        for record, segment in enumerate(segments):
            lost = bad != NEVER and bad <= 6 * record
            value, pair = (segment.values[0][name][lane] for name in ("x_now", "pair"))
            np.testing.assert_allclose(value, np.nan if lost else curve[6 * record], rtol=2e-5)
            assert np.isnan(pair[0]) == lost
            assert segment.status[0][lane] == (DIVERGED if lost else RUNNING)
            assert dated[record] == (bad if lost else NEVER)
    assert expected(RATES[-1], len(RATES) - 1)[1] in range(2, STEPS), "no lane was lost, so nothing is shown of it"


def test_by_default_every_step_is_checked_since_values_may_become_finite_again() -> None:
    """The map is infinite at step 8 and a number again at 9: the end of a segment alone would not show it."""
    for stays, seen in ((False, 8), (True, NEVER)):
        plan = plan_of(Iterated(stays_not_finite=stays, returns=True))
        *_, last = walk.walk_wave(plan, 0)
        dates = dict(zip(RATES, last.ended[0].tolist(), strict=True))
        assert [dates[rate] for rate in RATES[:-1]] == [NEVER, NEVER, NEVER, seen, seen, seen]


def test_it_resumes_from_its_position_with_the_same_bits() -> None:
    plan = plan_of(Iterated())
    whole = [segment for segment in walk.walk_wave(plan, 0) if segment.record is not None]
    middle = next(segment for segment in walk.walk_wave(plan, 0) if segment.record == 2)
    position = middle.position()
    assert position.fits(plan)
    rest = [segment for segment in walk.walk_wave(plan, 0, position) if segment.record is not None]
    for one, other in zip(whole[3:], rest, strict=True):
        for name, values in one.values[0].items():
            assert values.tobytes() == other.values[0][name].tobytes()


def test_a_position_of_arrays_of_another_kind_does_not_fit() -> None:
    plan = plan_of(Iterated())
    *_, last = walk.walk_wave(plan, 0)
    position = last.position()
    assert position.fits(plan)
    assert not replace(position, leaves=position.leaves[:-1]).fits(plan)
    assert not replace(position, leaves=[leaf.astype(np.float64) for leaf in position.leaves]).fits(plan)
    assert not replace(position, start=position.start + 1).fits(plan)


def test_the_length_of_segments_changes_no_bit(monkeypatch) -> None:
    plan = plan_of(Iterated(stays_not_finite=True))
    whole = [segment for segment in walk.walk_wave(plan, 0) if segment.record is not None]
    monkeypatch.setattr(walk, "SEGMENT_SECONDS", 1e-12)  # a step each
    cut = list(walk.walk_wave(plan, 0))
    assert len(cut) == STEPS + 1
    for one, other in zip(whole, [segment for segment in cut if segment.record is not None], strict=True):
        assert one.values[0]["x_now"].tobytes() == other.values[0]["x_now"].tobytes()
        assert one.ended[0].tolist() == other.ended[0].tolist()


def test_a_training_that_states_a_period_must_renew() -> None:
    class Silent(Iterated):
        def renew(self, *args: Any) -> Any:
            return Training.renew(self, *args)

    with pytest.raises(NotImplementedError, match="Silent has renewed_every but no renew"):
        next(iter(walk.walk_wave(plan_of(Silent()), 0)))
