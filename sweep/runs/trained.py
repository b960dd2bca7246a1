"""The trained network of one lane: read from its store, or trained again, to the same bits.

JAX is only imported to predict and to train again.
"""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr

from sweep.base.errors import SweepError, SweepWarning, unknown_name
from sweep.base.labels import CARRIED, CUT, FINISHED, STATUS, words
from sweep.base.trees import nest, split
from sweep.files.addresses import is_address, parse_address
from sweep.page.axes import write_value
from sweep.page.experiment import Experiment
from sweep.page.identity import differing_fields
from sweep.page.load import FULL, VARIATION, load, smoke
from sweep.page.restore import restore_for_prediction
from sweep.results.checks.attributes import check_provenance
from sweep.results.dataset import LANE
from sweep.results.distance import distances, has_same_end
from sweep.results.lane_choice import read_lane
from sweep.results.networks import kept, read_parameters
from sweep.results.store import check, in_folder
from sweep.runs.runner import load_jax

if TYPE_CHECKING:
    from sweep.engine.plan import Plan
    from sweep.runs.replay import Replay

_AS_STORED: Final = (FINISHED, *CARRIED)  # lanes whose last stored values are those of their network


@dataclass(frozen=True, eq=False)
class Trained:
    """The network of one lane at the end of its training.

    A lane that ended early has the network that it had then: at its target, when it no longer improved or was cut, or,
    if it diverged, the last one whose parameters were finite.

    Args:
        store: the store: its folder, or its address as text.
        knobs: the values of the lane's swept knobs, as text.
        parameters: a pytree of NumPy arrays, as the `init` of this network alone would give it: for an `MLP`
            {"layer_0": {"kernel": (inputs, outputs), "bias": (outputs,)}, ...}, whatever else was in its program; with
            Fourier features also {"fourier_features": {"frequencies": (features, inputs)}}.
        status: how its training ended, such as "finished" or "diverged".
        loss: its last recorded loss; NaN if it diverged or was cut.
        trained_again: whether the store does not keep the network, and the lane was trained again.
    """

    store: Path | str
    knobs: Mapping[str, str]
    parameters: Any
    status: str
    loss: float
    trained_again: bool
    _row: np.ndarray = field(repr=False)
    _curves: xr.Dataset = field(repr=False)
    _attributes: Mapping[str, Any] = field(repr=False)
    _experiment: Experiment | None = field(repr=False)

    def __repr__(self) -> str:
        named = ", ".join(f"{name}={value}" for name, value in self.knobs.items()) or "the only lane"
        again = ", trained again" if self.trained_again else ""
        return f"<{named} of {self.store}: {self.status}, loss {self.loss:.6g}, {self._row.size:,} parameters{again}>"

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs, or of the classes that they stand for; none for a single output."""
        if "output" not in self._curves.coords:
            return ()
        return tuple(json.loads(self._curves["output"].attrs["flag_meanings"]))

    def predict(self, x: Any) -> np.ndarray:
        """Compute the network's outputs.

        At the x of the store (all of its coordinate `x`, in order) the sweep's own program computes them, in a tile of
        the size in which the lane was trained: for a lane that neither diverged nor was cut they are the stored
        `prediction` at the last record to the last bit, where the arithmetic (versions, kind of device) is that of the
        store, and where the page has no metrics of its own or is given (`page=`, `experiment=`); not for random points
        with standardised inputs, whose x a replay, too, computes with other last bits. At any other x the same
        functions are compiled for that many points, and outputs agree with those of the program to rounding, a few
        units in the last place.

        Args:
            x: points in the units of the task, of shape (points,), or (points, features) if a point has several
                features; or a table with the columns on which the network was trained, in any order. Inputs are
                computed from it as in training, such as `inputs="scaled"`.

        Returns:
            One output for each point, in the page's precision, of shape (points,), or (points, outputs) if the task has
            several outputs or classes. They are in the units of the targets, also where these were standardised.

        Raises:
            SweepError: for an x of another shape, or without one of these columns; if the network is a module of the
                page, and no page was given; for a training of the page's own (`FromTraining`).
        """
        from sweep.engine import prediction

        if "training" in json.loads(self._attributes["experiment"]):
            raise SweepError(
                f"{self.store} is of a training of the page's own, which predicts nothing: take .parameters, and "
                f"compute it from them"
            )
        points = self._check_points(x)
        window, training = self._shown, self._plan.programs[0].blocks[0].training
        if window is not None and points.shape == (1, window.size) and np.array_equal(points[0], window):
            values = prediction.measure(self._plan, self._row).get("prediction")
            if values is not None and STATUS.index(self.status) in _AS_STORED:
                return values
        constants = {each.name: self._curves[each.name].values for each in training.constants()}
        return prediction.predict(self._plan, self._row, points, constants)

    def _check_points(self, x: Any) -> np.ndarray:
        """Give points as one row for each feature."""
        features = self._plan.programs[0].blocks[0].training.features()
        x = self._in_order(x)
        try:
            points = np.asarray(x, np.dtype(self._plan.experiment.precision))
        except (TypeError, ValueError) as error:
            raise SweepError(f"x must be an array of numbers, got {type(x).__name__}: {error}") from error
        if points.ndim == 1 and features == 1:
            points = points[:, None]
        if points.ndim != 2 or points.shape[1] != features or not points.size:
            form = "(points,) or (points, 1)" if features == 1 else f"(points, {features})"
            raise SweepError(f"x must have the shape {form}, got {np.shape(x)}")
        return np.ascontiguousarray(points.T)

    def _in_order(self, x: Any) -> Any:
        """Give the columns of a table in the order of the features that the network was trained on.

        Raises:
            SweepError: for a table that lacks one of them.
        """
        names = json.loads(self._attributes["experiment"])["task"].get("input_names", [])
        if not hasattr(x, "columns") or not names:
            return x
        for name in names:
            if name not in x.columns:
                raise unknown_name("column of x", name, map(str, x.columns))
        return x[names].to_numpy()

    @cached_property
    def _plan(self) -> "Plan":
        """The plan of this lane alone."""
        load_jax()
        from sweep.runs.replay import plan_lane

        return plan_lane(self._experiment or self._restored(), self._attributes, int(self._curves[LANE]))[0]

    @cached_property
    def _shown(self) -> np.ndarray | None:
        """The x of the store, in the page's precision."""
        of_rows = "sample" in self._curves.dims  # stored in standardised units, if these are standardised
        if "x" not in self._curves.coords or "prediction" not in self._curves or of_rows:
            return None
        return self._curves["x"].values.astype(self._plan.experiment.precision)

    def _restored(self) -> Experiment:
        """Rebuild what predictions depend on."""
        try:
            return restore_for_prediction(json.loads(self._attributes["experiment"]))
        except SweepError as error:
            raise SweepError(
                f"{self.store} can't predict without its page, as {error}: name it with page=, or give experiment="
            ) from error


def trained(
    store: str | Path,
    *,
    page: str | Path | None = None,
    experiment: Experiment | None = None,
    **knobs: Any,
) -> Trained:
    """Give the trained network of one lane of a store.

    Args:
        store: a store that `sweep.run` wrote, complete or not: a folder, or an address such as "s3://bucket/name".
        page: the page of the store. It is run only if it is given, as a store itself runs no code; a lane whose network
            the store does not keep is then trained again, which a warning says.
        experiment: the same as an `Experiment`.
        knobs: values of swept knobs that identify one lane, as in `seed=3, learning_rate=1e-3, width=64`.

    Returns:
        The network: its `parameters`, and `predict(x)`.

    Raises:
        SweepError: if no lane or several lanes have these values, if the lane has not ended, if the store is damaged,
            if it does not keep the network and neither page nor experiment is given, or if these are not the store's.
    """
    with in_folder(store) as path:
        found = _of_lane(path, page, experiment, knobs)
    return replace(found, store=str(parse_address(store))) if is_address(store) else found


def _of_lane(path: Path, page: str | Path | None, experiment: Experiment | None, knobs: Mapping[str, Any]) -> Trained:
    """Give the network of one lane of a store in a folder."""
    attributes = check(path)
    check_provenance(path, attributes)
    given = _experiment_of(path, attributes, page, experiment)
    curves, named = read_lane(path, {name: _to_text(write_value(name, value)) for name, value in knobs.items()})
    again = None
    if kept(attributes) != "nothing":
        leaves, row = read_parameters(path, attributes, int(curves[LANE]))
    elif given is None:
        raise SweepError(
            f"{path} does not keep the trained networks, and nothing of a store is run: name its page with page=, or "
            f"give experiment=, and the lane is trained again"
        )
    else:
        again = _train_again(path, attributes, given, curves)
        leaves, row = again.leaves, again.row
    parameters = nest(leaves, list(split(leaves, row)))
    status, loss = STATUS[int(curves["status"])], float(curves["loss"].values[-1])
    return Trained(path, named, parameters, status, loss, again is not None, row, curves, attributes, given)


def _experiment_of(
    path: Path, attributes: Mapping[str, Any], page: str | Path | None, experiment: Experiment | None
) -> Experiment | None:
    """Give the experiment that the caller names, if it is that of the store."""
    if page is not None and experiment is not None:
        raise SweepError("trained takes page= or experiment=, got both: leave one out")
    if page is not None:
        variation = str(attributes["name"]).partition(VARIATION)[2]
        experiment = load(page, FULL) if variation == FULL else load(page)
        experiment = smoke(experiment) if variation == "smoke" else experiment
    if experiment is None:
        return None
    if not isinstance(experiment, Experiment):
        raise SweepError(f"experiment must be an Experiment, got {experiment!r}: sweep.load(page) returns one")
    if fields := differing_fields(experiment, attributes):
        name = experiment.name if page is None else page
        raise SweepError(f"{name} is not the page of {path}, it differs in {fields}: name the page that it was made by")
    return experiment


def _to_text(value: Any) -> str:
    """Write the value of a knob as on the command line."""
    plain = value.item() if isinstance(value, np.generic | np.ndarray) and np.size(value) == 1 else value
    return plain if isinstance(plain, str) else repr(plain)


def _train_again(path: Path, attributes: Mapping[str, Any], experiment: Experiment, curves: xr.Dataset) -> "Replay":
    """Train a lane again, up to where it was cut if it was, and say whether it came out as stored."""
    load_jax()
    from sweep.runs.replay import replay

    until = float(curves["stop_epoch"]) if int(curves["status"]) == CUT else None
    again = replay(experiment, attributes, int(curves[LANE]), until=until)
    found = distances(curves, again.curves)
    if all(each.first_difference is None for each in found) and has_same_end(curves, again.curves):
        outcome = "to the bits that are stored"
    else:
        worst = max(found, key=lambda each: each.relative)
        differing = ", ".join(again.foreign) or "nothing that is known"
        outcome = f"with a relative distance of {worst.relative:.3g} in {words(worst.name)}; {differing} differs"
    message = f"{path} does not keep the trained networks: the lane was trained again, {outcome}"
    warnings.warn(message, SweepWarning, stacklevel=4)
    return again
