"""Lanes that end early: when and why, that other lanes do not change, and that their steps are saved."""

import json
from functools import cache, partial
from itertools import pairwise
from math import ceil

import jax
import numpy as np
import pytest
from helpers import PRECISIONS, make_plan, run_lanes, tiny, walk_waves
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sweep import MLP, Experiment, stats
from sweep.base.errors import SweepError
from sweep.base.labels import CUT, DIVERGED, PLATEAUED, REACHED, RUNNING, STOPPED, worst
from sweep.engine import cost, stopping, wave
from sweep.engine.plan import Fixed
from sweep.engine.prepare import prepare, training_program
from sweep.engine.walk import ended_epochs
from sweep.engine.wave import Position, WaveRunner
from sweep.page.axes import grid, lay_out, zipped
from sweep.page.identity import describe, differing_fields, fingerprint, fingerprint_of
from sweep.page.restore import restore
from sweep.page.specs.stop import BOUNDS
from sweep.runs import wave_writer
from sweep.runs.executors import local
from sweep.runs.runner import run_sweep
from sweep.specs import XOR, Halving, Metric, Optimizer, Plateau, Record, Target, linear_spaced

LOSING = {"float32": 3e38, "float64": 1.5e308}  # the rate that loses its lanes


@pytest.fixture(scope="module", autouse=True)
def small_tiles():
    """Tiles of at most 4 lanes, so that few lanes make several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(cost.TILE_LARGEST, jax.default_backend(), 4)
        yield


def race(rule, precision="float32", **changes):
    """Make a sweep of 48 lanes in two blocks, some of which are lost."""
    settings = {
        "axes": grid(seed=range(6), learning_rate=(1e-3, 1e-2, 1e-1, LOSING[precision]), width=(4, 6)),
        "optimizer": Optimizer("adam"), "epochs": 40, "precision": precision, "stop": rule,
        "record": Record(metrics=("loss", "gradient_norm"), at=linear_spaced(20), snapshots=3),
    }  # fmt: skip
    return tiny(**(settings | changes))


@pytest.fixture(scope="module", params=PRECISIONS)
def racing(request):
    return partial(race, precision=request.param)


@pytest.fixture(scope="module")
def full(racing):
    return run_sweep(racing(None))


@pytest.fixture(scope="module")
def stopped_by(racing):
    """Give the sweep as a rule stops it, run once for each rule."""
    return cache(lambda rule: run_sweep(racing(rule)))


BOTH = (Target(0.6), Plateau(7, min_improvement=0.03))
RULES = [Target(0.6), Halving(first=0.2), Halving(keep=0.3, by="lane", first=0.1, within=("width",)), BOTH]


@pytest.mark.core
@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_a_stopped_sweep_is_bitwise_the_full_one_up_to_where_each_lane_stopped(rule, stopped_by, full):
    stopped = stopped_by(rule)
    ends = stopped.stop_epoch.fillna(np.inf)
    assert np.isfinite(ends).any()
    assert not np.isfinite(ends).all()
    before = stopped.epoch <= ends
    for name in ("loss", "gradient_norm"):
        dims = full[name].dims
        kept = before.broadcast_like(full[name]).transpose(*dims).values
        np.testing.assert_array_equal(stopped[name].values[kept], full[name].values[kept])
    kept = (stopped.snapshot_epoch <= ends).broadcast_like(full.prediction).transpose(*full.prediction.dims).values
    np.testing.assert_array_equal(stopped.prediction.values[kept], full.prediction.values[kept])
    ended = np.isin(stopped.status, STOPPED)
    np.testing.assert_array_equal(ended, np.isfinite(ends))
    lost = stopped.status == DIVERGED
    np.testing.assert_array_equal(stopped.first_bad_epoch.values[lost], full.first_bad_epoch.values[lost])


def test_a_reached_target_is_the_first_record_at_which_it_is_met_and_is_carried_forward(stopped_by, full):
    stopped = stopped_by(Target(0.6))
    met = (full.loss <= 0.6).values  # a lost lane's loss is NaN and meets nothing
    first = np.where(met.any(-1), full.epoch.values[met.argmax(-1)], np.nan)
    np.testing.assert_array_equal(stopped.stop_epoch.values, first)
    np.testing.assert_array_equal(stopped.status == REACHED, np.isfinite(first))
    for lane in np.argwhere(np.isfinite(first)):
        own = {dim: int(at) for dim, at in zip(stopped.stop_epoch.dims, lane, strict=True)}
        record = int(met[tuple(lane)].argmax())
        after = stopped.loss.isel(own).values[record:]
        assert (after == full.loss.isel(own | {"epoch": record}).values).all()
        later = stopped.prediction.isel(own).sel(snapshot_epoch=slice(first[tuple(lane)], None)).values
        assert (later == later[:1]).all()
        assert np.isfinite(later).all()
    assert (stopped.status.values[~np.isfinite(first)] != REACHED).all()


def plateau_by_hand(rule, better, epochs, values):
    """Follow one lane's metric through its records with a plain loop; give the record at which it ends, or None."""
    best, since = worst(better), epochs[0]
    for record, (epoch, value) in enumerate(zip(epochs, values, strict=True)):
        margin = rule.min_improvement * abs(best) if np.isfinite(best) else 0.0
        if (value > best + margin) if better == "higher" else (value < best - margin):
            best, since = value, epoch
        elif epoch - since >= rule.patience:
            return record
    return None


@pytest.fixture(scope="module")
def ended_by_both(stopped_by):
    return stopped_by(BOTH)


def test_a_lane_ends_when_it_has_stopped_improving_or_has_reached_its_target_whichever_is_first(ended_by_both, full):
    stopped, (target, plateau) = ended_by_both, BOTH
    epochs = full.epoch.values
    for lane in np.ndindex(stopped.status.shape):
        loss = full.loss.values[lane]
        met = np.flatnonzero(loss <= target.value)
        end = plateau_by_hand(plateau, "lower", epochs, loss)
        ends = {REACHED: met[0] if len(met) else np.inf, PLATEAUED: np.inf if end is None else end}
        status = min(ends, key=ends.__getitem__)
        bad = full.first_bad_epoch.values[lane]
        if np.isinf(ends[status]) or epochs[ends[status]] >= bad:
            assert stopped.status.values[lane] not in STOPPED
            continue
        assert stopped.status.values[lane] == status
        assert stopped.stop_epoch.values[lane] == epochs[ends[status]]
        assert (stopped.loss.values[lane][ends[status] :] == loss[ends[status]]).all()
    assert {REACHED, PLATEAUED, DIVERGED} <= set(stopped.status.values.ravel().tolist())


def test_when_a_lane_stops_improving_does_not_depend_on_its_wave(ended_by_both, racing):
    plan = make_plan(racing(BOTH), wave_lanes=8)
    assert len(plan.waves) == 6
    status, epochs = np.full(48, RUNNING), np.full(48, np.nan)
    for piece in walk_waves(plan):
        lanes = plan.waves[piece.wave].lanes
        epochs[lanes] = ended_epochs(plan, piece, *STOPPED)
        for rows, own in zip(plan.waves[piece.wave].rows, piece.status, strict=True):
            status[lanes[rows]] = own
    np.testing.assert_array_equal(epochs, ended_by_both.stop_epoch.values.ravel())
    np.testing.assert_array_equal(np.isin(status, STOPPED), np.isfinite(epochs))
    np.testing.assert_array_equal(status[np.isfinite(epochs)], ended_by_both.status.values.ravel()[np.isfinite(epochs)])


@given(
    arrays(np.float64, (9, 6), elements=st.sampled_from([-1.0, 0.0, 1.0, 1.05, 2.0, np.inf, -np.inf, np.nan])),
    st.lists(st.integers(1, 5), min_size=8, max_size=8), st.integers(1, 9), st.sampled_from([0.0, 0.1]),
    st.sampled_from(["lower", "higher"]),
)  # fmt: skip
def test_any_metric_stops_improving_where_a_plain_loop_says_so(values, gaps, patience, least, better):
    rule, epochs = Plateau(patience, min_improvement=least), np.cumsum([0, *gaps]).astype(float)
    lanes = lay_out(grid(seed=range(6)))
    stop = stopping.StoppingRule(rule, "0", epochs, lanes, np.arange(6), better)
    memory, running, ended = {}, np.ones(6, bool), [None] * 6
    for record in range(9):
        status, memory = stop.new_status(record, values[record], running, memory)
        assert memory.keys() == stopping.remembered((rule,))
        for lane in np.flatnonzero(status == PLATEAUED):
            ended[lane] = record
        running &= status == RUNNING
    assert ended == [plateau_by_hand(rule, better, epochs, values[:, lane]) for lane in range(6)]


def test_a_cut_lane_is_not_measured_again_and_its_steps_are_not_counted(stopped_by):
    stopped = stopped_by(Halving(first=0.2))
    after = (stopped.epoch > stopped.stop_epoch).transpose(*stopped.loss.dims).values
    assert after.any()
    assert np.isnan(stopped.loss.values[after]).all()
    lived = np.fmin(stopped.stop_epoch.fillna(40.0).values, stopped.first_bad_epoch.fillna(40.0).values)
    assert stopped.attrs["lane_steps"] == lived.sum()
    assert stopped.attrs["lane_steps_planned"] == 48 * 40


def halved_by_hand(rule, loss, first_bad, record):
    """Follow a sweep (seed, learning_rate, width, epoch) through its rungs with plain loops."""
    seeds, rates, widths, _ = loss.shape
    rungs, share = [], rule.first
    while share < 1:
        rungs.append(next(at for at, epoch in enumerate(record) if epoch >= share * record[-1] - 1e-9))
        share /= rule.keep
    out = {}
    for at in sorted(set(rungs)):
        alive = {}
        for rate in range(rates):
            for width in range(widths):
                for seed in range(seeds):
                    lane = (seed, rate, width)
                    if lane in out or first_bad[lane] <= record[at]:
                        continue
                    alive.setdefault((rate, width) if rule.by == "median" else (seed, rate, width), []).append(lane)
        for group in sorted({key[-1] for key in alive} if rule.within else {None}, key=str):
            mine = [key for key in alive if group is None or key[-1] == group]

            values = {key: loss[:, *key, at] if rule.by == "median" else loss[(*key, at)] for key in mine}
            scores = {key: np.median(np.where(np.isnan(own), np.inf, own)) for key, own in values.items()}
            keep = sorted(mine, key=scores.__getitem__)[: ceil(rule.keep * len(mine))]
            for key in mine:
                if key not in keep:
                    out.update(dict.fromkeys(alive[key], record[at]))
    return out


@pytest.mark.core
@pytest.mark.parametrize("rule", RULES[1:3], ids=repr)
def test_halving_cuts_the_same_lanes_as_a_plain_loop(rule, stopped_by, full):
    stopped = stopped_by(rule)
    bad = full.first_bad_epoch.fillna(np.inf).values
    expected = halved_by_hand(rule, full.loss.values, bad, full.epoch.values)
    got = {
        tuple(lane): float(stopped.stop_epoch.values[tuple(lane)]) for lane in np.argwhere(stopped.status.values == CUT)
    }
    assert got == expected
    assert len(got) > 20


@settings(max_examples=60)
@given(
    arrays(np.float64, 12, elements=st.sampled_from([0.0, 1.0, 2.0, 3.0, np.inf, np.nan])),
    arrays(bool, 12), arrays(np.int64, 12, elements=st.integers(0, 4)), st.sampled_from([0.1, 0.5, 0.9]),
)  # fmt: skip
def test_a_rung_keeps_the_share_of_living_competitors_it_states(values, running, competitor, keep):
    competition = competitor % 2
    out = stopping.cut_lanes(Halving(keep=keep), values, running, competitor, competition, "lower")
    assert not (out & ~running).any()
    score = {
        each: np.median(np.where(np.isnan(own := values[competitor == each]), np.inf, own)) for each in set(competitor)
    }
    for each in set(competition[running].tolist()):
        alive = set(competitor[running & (competition == each)].tolist())
        kept = {one for one in alive if not out[competitor == one].any()}
        assert len(kept) == ceil(keep * len(alive))
        gone = alive - kept
        assert all(out[running & (competitor == one)].all() for one in gone)
        assert all((score[good], good) < (score[bad], bad) for good in kept for bad in gone)


def test_rungs_are_records_at_or_after_their_shares():
    epochs = np.array([0, 1, 2, 4, 8, 16, 32, 64, 100.0])
    assert sorted(stopping.rungs(Halving(first=0.02), epochs)) == [2, 3, 4, 5, 6, 7]
    assert sorted(stopping.rungs(Halving(first=0.5, keep=0.4), epochs)) == [7]
    assert stopping.rungs(Halving(first=0.9), epochs) == frozenset()  # after the last record nothing is saved


# ---------------------------------------------------------------------------------------------------------
# No work for the dead.


@pytest.mark.core
def test_lanes_that_have_ended_leave_their_tiles_and_nothing_is_compiled(racing):
    plan = make_plan(racing(Target(0.6)), 3)
    prepare(plan)
    compiled = training_program(plan.programs[0], plan)
    pieces = list(walk_waves(plan))
    assert training_program(plan.programs[0], plan) is compiled
    for before, piece in pairwise(pieces[1:]):
        needed = sum(
            4 * ceil(np.count_nonzero(status == RUNNING) / 4) * int(steps)
            for status, steps in zip(before.status, piece.done - before.done, strict=True)
        )
        fails = any((now != was).any() for now, was in zip(piece.ended, before.ended, strict=True))
        assert needed <= piece.executed <= (needed if not fails else 5 * needed)
    assert pieces[-1].executed < 0.5 * pieces[1].executed * (pieces[-1].done[0] / 2)
    assert all((status != RUNNING).sum() for status in pieces[-1].status)


def test_every_lane_keeps_its_bits_when_lost_lanes_leave_the_tiles(monkeypatch, racing):
    experiment = racing(None)
    leaving = run_lanes(experiment, 3)
    monkeypatch.setattr(wave, "WORTH_MOVING", 1.0)  # nobody ever moves
    for one, other in zip(leaving, run_lanes(experiment, 3), strict=True):
        for name, values in one.curves.items():
            assert values.tobytes() == other.curves[name].tobytes(), name
        assert one.first_bad_step == other.first_bad_step


def test_a_wave_whose_lanes_have_all_ended_runs_no_further_step(racing):
    plan = make_plan(racing(Target(1e9)), 3)
    pieces = list(walk_waves(plan))
    assert sum(piece.executed for piece in pieces[1:]) == 0
    assert all(np.isin(status, (REACHED, DIVERGED)).all() for status in pieces[-1].status)


@pytest.mark.parametrize("rule", [BOTH, pytest.param(RULES[1], marks=pytest.mark.slow), RULES[2]], ids=repr)
def test_resuming_from_any_position_ends_the_same_lanes_with_the_same_bits(rule, racing):
    plan = make_plan(racing(rule), 3)
    whole = records(walk_waves(plan))
    for at in (1, 3, 5):
        position = Position.of_arrays(nth_position(plan, at).arrays())
        for one, other in zip(whole[position.record :], records(walk_waves(plan, resume=position)), strict=True):
            for field in ("status", "ended"):
                assert [v.tobytes() for v in getattr(one, field)] == [v.tobytes() for v in getattr(other, field)]
            for values, again in zip(one.values, other.values, strict=True):
                assert {k: v.tobytes() for k, v in values.items()} == {k: v.tobytes() for k, v in again.items()}


def records(pieces):
    """Leave out the segments between records, whose length depends on the clock."""
    return [piece for piece in pieces if piece.record is not None]


def nth_position(plan, at):
    for number, piece in enumerate(walk_waves(plan)):
        if number == at:
            return piece.position()
    raise AssertionError("there are not so many segments")


def test_tiles_that_do_not_divide_evenly_are_spread_over_the_devices():
    plan = make_plan(tiny(model=MLP(depth=0), axes=grid(seed=range(4), points=(10, 11, 12))), 3)
    runner = WaveRunner(plan, 0, None)
    assert sorted(sum(seats.live for seats in runner._seats).tolist()) == [1, 1, 1]


class InterruptedRunError(Exception):
    """Raised by the callback of a run, to interrupt it."""


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("waves", [1, 2])
def test_a_stopped_sweep_that_is_interrupted_and_resumed_equals_an_uninterrupted_one(
    rule, waves, tmp_path, monkeypatch, racing
):
    monkeypatch.setattr(wave_writer, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(wave_writer, "MOST_SAVE_SECONDS", 0.0)
    experiment, store = racing(rule), tmp_path / "store"
    plan = local.plan_sweep
    if waves > 1:
        monkeypatch.setattr(local, "plan_sweep", lambda page, memory, *_, **__: plan(page, memory, Fixed(24, 8)))
    whole, told = run_sweep(experiment), 0

    def interrupting(progress):
        nonlocal told
        told += progress.stage == "training"
        if progress.stage == "training" and told % 9 == 8:
            raise InterruptedRunError

    for _ in range(40):
        try:
            resumed = run_sweep(experiment, out=store, resume=store.exists(), watch=interrupting)
            break
        except InterruptedRunError:
            continue
    assert told > 16  # it was interrupted twice or more
    for name in whole.variables:
        assert whole[name].values.tobytes() == resumed[name].values.tobytes(), name
    assert whole.attrs["lane_steps"] == resumed.attrs["lane_steps"]


# ---------------------------------------------------------------------------------------------------------
# What is refused.


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Target(float("nan")), "value of Target must be a finite number"),
        (lambda: Halving(keep=1.0), "keep of Halving must lie between 0.01 and 0.99"),
        (lambda: Halving(first=0.0), "first of Halving must lie between 0.01 and 0.99"),
        (lambda: Halving(by="mean"), "unknown value of by in Halving 'mean'"),
        (lambda: Target(), "Target takes one of value, at_least and at_most, got none"),
        (lambda: Target(0.1, at_least=0.1), "Target takes one of value, at_least and at_most, got value and at_least"),
        (
            lambda: Target(at_least=0.1, at_most=0.2),
            "Target takes one of value, at_least and at_most, got at_least",
        ),
        (lambda: Target(at_least=np.inf), "at_least of Target must be a finite number, got inf"),
        (
            lambda: tiny(stop=Target(1.0, metric="parameter_norm"), record=Record()),
            "a lane can't be stopped by 'parameter_norm', which has no better direction: name another metric",
        ),
        (
            lambda: tiny(stop=Target(at_most=1.0, metric="own"), record=Record(own=(Metric("own", abs),))),
            "a lane can't be stopped by 'own', which has no better direction: set better='lower' or 'higher' in its",
        ),
        (lambda: Metric("own", abs, better="more"), "better of metric 'own' must be 'lower', 'higher' or None, got"),
        (lambda: tiny(stop=0.1), "stop must be a Target, a Plateau, a Halving or None"),
        (
            lambda: tiny(stop=Target(0.1, metric="spectral_error")),
            "a lane can't be stopped by 'spectral_error': name one of 'loss'",
        ),
        (lambda: race(Halving(within=("depth",))), "unknown axis to halve within 'depth'"),
        (lambda: tiny(stop=Halving(within=("width",))), "unknown axis to halve within 'width'"),
        (lambda: race(Halving(within=("seed",))), "within of Halving names 'seed', but with by='median' seeds"),
        (lambda: Plateau(0), "patience of Plateau must be greater than 0 epochs, got 0"),
        (lambda: Plateau(np.nan), "patience of Plateau must be a finite number, got nan"),
        (lambda: Plateau(5, min_improvement=-1e-3), "min_improvement of Plateau must be at least 0, got -0.001"),
        (
            lambda: tiny(stop=Plateau(5, metric="accuracy")),
            "a lane can't be stopped by 'accuracy': name one of 'loss'",
        ),
        (
            lambda: tiny(stop=(Target(0.1), Plateau(5, metric="own")), record=Record(own=(Metric("own", abs),))),
            "a lane can't be stopped by 'own', which has no better direction: set better='lower' or 'higher' in its",
        ),
        (lambda: tiny(stop=(Target(0.1), 5)), "stop must be a Target, a Plateau, a Halving or None, got (Target("),
        (lambda: tiny(stop=()), "stop must be a Target, a Plateau, a Halving or None, got ()"),
        (
            lambda: tiny(stop=(Halving(), Plateau(5))),
            "Halving allows no other rule, as a lane that ends no longer competes: give one of them",
        ),
        (lambda: Halving(within="width"), "within of Halving must be a tuple of axes such as ('width',), got 'width'"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_in_one_line(make, told):
    with pytest.raises(SweepError) as refused:
        make()
    assert str(refused.value).startswith(told)
    assert "\n" not in str(refused.value)


def test_a_page_metric_can_be_the_target():
    def small(moment):
        return moment.loss * 0 + moment.step

    own = tuple(Metric(better, small, better=better) for better in ("lower", "higher"))
    record = Record(metrics=(), at=linear_spaced(4), snapshots=0, own=own)
    for metric, stopped in (("lower", 0), ("higher", 6)):  # 0 is at most 6: before the first step
        ds = run_sweep(tiny(stop=Target(6.0, metric=metric), record=record, axes=zipped(seed=(0, 1)), epochs=8))
        assert (ds.status == REACHED).all()
        assert (ds.stop_epoch == stopped).all()


# Which way is better.

COMPETITORS = np.array([0, 0, 1, 1, 2, 2, 3, 3])
ACCURACIES = np.array([0.5, 0.7, 0.9, 1.0, 0.8, np.nan, 0.75, 0.75])  # medians 0.6, 0.95, -inf, 0.75


def xor(rule, **changes):
    settings = {
        "task": XOR, "model": MLP(depth=1, width=8), "loss": "binary_cross_entropy_with_logits",
        "optimizer": Optimizer("adam"), "axes": grid(seed=range(4), learning_rate=(1e-6, 3e-2)), "epochs": 200,
        "record": Record(metrics=("accuracy",), at=linear_spaced(10)), "stop": rule,
    }  # fmt: skip
    return Experiment(question="?", **(settings | changes))


@pytest.mark.parametrize(
    ("better", "keep", "kept"),
    [("higher", 0.5, {1, 3}), ("higher", 0.75, {0, 1, 3}), ("lower", 0.5, {0, 3}), ("lower", 0.75, {0, 1, 3})],
)
def test_a_rung_keeps_the_better_lanes_in_either_direction_and_lost_lanes_rank_last(better, keep, kept):
    everybody = np.ones(8, bool)
    out = stopping.cut_lanes(Halving(keep=keep), ACCURACIES, everybody, COMPETITORS, np.zeros(8, int), better)
    assert set(COMPETITORS[~out].tolist()) == kept


def test_a_lane_with_an_infinite_metric_ranks_last_and_gives_no_warning():
    values, running = np.array([np.inf, np.nan, 0.1, 0.2]), np.ones(4, bool)
    out = stopping.cut_lanes(Halving(keep=0.5), values, running, np.array([0, 0, 1, 1]), np.zeros(4, int), "higher")
    assert out.tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    ("rule", "better", "there"),
    [
        (Target(0.9), "lower", [True, True, False, False]),
        (Target(0.9), "higher", [False, True, True, False]),
        (Target(at_least=0.9), "lower", [False, True, True, False]),
        (Target(at_most=0.9), "higher", [True, True, False, False]),
    ],
)
def test_a_target_is_reached_from_the_metrics_direction_or_the_named_bound(rule, better, there):
    values, running = np.array([0.5, 0.9, 1.0, np.nan]), np.ones(4, bool)
    assert stopping.have_reached(rule, values, running, better).tolist() == there
    assert not stopping.have_reached(rule, values, ~running, better).any()


@pytest.mark.parametrize("rule", [Target(0.99, metric="accuracy"), Target(at_least=0.99, metric="accuracy")], ids=repr)
def test_a_lane_ends_once_it_is_accurate_enough(rule):
    whole, stopped = run_sweep(xor(None)), run_sweep(xor(rule))
    met = (whole.accuracy >= 0.99).values
    first = np.where(met.any(-1), whole.epoch.values[met.argmax(-1)], np.nan)
    assert np.isfinite(first[:, 1]).any()
    assert not np.isfinite(first[:, 0]).any(), "at a rate of 1e-6 nothing is learnt"
    np.testing.assert_array_equal(stopped.stop_epoch.values, first)
    assert stats.best_learning_rate(stopped) == 3e-2


def test_halving_by_accuracy_keeps_the_accurate():
    ds = run_sweep(xor(Halving(keep=0.5, first=0.5, metric="accuracy")))
    assert (ds.status.sel(learning_rate=1e-6) == CUT).all()
    assert (ds.status.sel(learning_rate=3e-2) != CUT).all()
    assert stats.best_learning_rate(ds) == 3e-2
    assert (stats.standing(ds).median("seed").values.argsort() == [1, 0]).all()
    np.testing.assert_array_equal(stats.final(ds, "accuracy").sel(learning_rate=1e-6), [-np.inf] * 4)


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (Target(0.99, metric="accuracy"), "a lane ends at the first record with accuracy at least 0.99"),
        (Target(at_most=0.99, metric="accuracy"), "a lane ends at the first record with accuracy at most 0.99"),
        (Target(0.1), "a lane ends at the first record with loss at most 0.1"),
        (
            Plateau(60, metric="accuracy"),
            "its accuracy has not become higher, by more than 0.0001 of its best, for 60 epochs; the estimate",
        ),
        (Plateau(10), "records are up to 20 epochs apart, so that there one without improvement ends a lane"),
        (Plateau(500), "no lane will end: the records span fewer epochs"),
        (Halving(metric="accuracy"), "all together: the 50% with the higher accuracy go on at epochs 20"),
        (Halving(), "all together: the 50% with the lower loss go on at epochs 20"),
    ],
)
def test_a_plan_says_which_way_lanes_end(rule, told):
    assert any(told in reason for reason in make_plan(xor(rule)).reasons)


def test_older_stores_with_accuracy_as_lower_is_better_are_of_another_experiment():
    for rule in (Target(0.99, metric="accuracy"), Halving(metric="accuracy")):
        experiment = xor(rule)
        before = describe(experiment)
        before["stop"] = {key: value for key, value in before["stop"].items() if key not in ("better", *BOUNDS[1:])}
        assert fingerprint_of(before) != fingerprint(experiment)
        assert differing_fields(experiment, {"experiment": json.dumps(before)}) == "stop"
    by_loss = describe(xor(Target(0.1)))
    del by_loss["stop"]["at_least"], by_loss["stop"]["at_most"]
    assert by_loss["stop"] == {"kind": "Target", "value": 0.1, "metric": "loss"}
    assert fingerprint_of(by_loss) == fingerprint(xor(Target(0.1)))


def test_competitors_differ_in_everything_but_seeds():
    lanes = lay_out(zipped(seed=(0, 1), data_seed=(5, 6)) * grid(learning_rate=(0.1, 0.2), width=(3, 4)))
    own, competition = stopping.competitors(Halving(within=("width",)), lanes)
    assert len(set(own.tolist())) == 4
    assert len(set(competition.tolist())) == 2
    for one, other in ((own, ("learning_rate", "width")), (competition, ("width",))):
        rows = list(zip(*(lanes.columns[name].tolist() for name in other), strict=True))
        assert len(set(zip(one.tolist(), rows, strict=True))) == len(set(rows))
    each, _ = stopping.competitors(Halving(by="lane"), lanes)
    assert len(set(each.tolist())) == len(lanes)


def test_if_lanes_end_early_the_best_rate_reaches_the_target_first_or_is_cut_last(stopped_by, full):
    by_target = stopped_by(Target(0.6))
    there = by_target.stop_epoch.where(by_target.status == REACHED, np.inf).median("seed")
    for width in (4, 6):
        own = there.sel(width=width)
        if np.isfinite(own).any():
            assert stats.best_learning_rate(by_target).sel(width=width) == own.learning_rate[int(own.values.argmin())]
    halved = stopped_by(Halving(keep=0.2, first=0.5))
    gone = (halved.status == CUT).all("seed")
    assert gone.sum() >= 3  # in one of the widths all rates may have been cut, and still one is shown
    best = stats.at_best_learning_rate(halved, halved)
    assert not np.isin(best.status, DIVERGED).any()
    table = stats.summary(halved)
    assert int(table.cut.sum() + table.lost.sum() + table.finished.sum() + table.not_run.sum()) == 12


@pytest.mark.parametrize(
    "rule",
    [
        Halving(metric="accuracy"), Target(at_least=0.9, metric="accuracy"), Target(0.1),
        Plateau(5, metric="accuracy"), (Target(0.1), Plateau(5.5, metric="accuracy")),
    ],
)  # fmt: skip
def test_a_stored_experiment_with_a_stopping_rule_is_restored_from_its_description(rule):
    experiment = xor(rule)
    assert fingerprint(restore(json.loads(json.dumps(describe(experiment))))) == fingerprint(experiment)
