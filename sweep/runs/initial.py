"""The parameters with which a lane begins, without training it."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sweep.base.trees import nest, split
from sweep.page.axes import grid
from sweep.page.experiment import Experiment
from sweep.runs.runner import load_jax

if TYPE_CHECKING:
    from sweep.engine.plan import Plan


def initial_parameters(experiment: Experiment, **knobs: Any) -> Any:
    """Draw the parameters with which a lane of an experiment begins, to the bits that a sweep has.

    Args:
        experiment: the page; its axes do not count.
        **knobs: values of knobs, as `seed=3, width=64`; the others have the page's values.

    Returns:
        A pytree of NumPy arrays in the precision of the page, as `sweep.trained(...).parameters` is.

    Raises:
        SweepError: for an unknown knob, or a value that it does not accept.
    """
    axes = grid(**{name: (value,) for name, value in knobs.items()})
    page = replace(experiment, axes=axes, figures=(), claims=(), stop=None)
    load_jax()
    from sweep.runs.planning import plan_sweep

    return _begun(plan_sweep(page))


def _begun(plan: "Plan") -> Any:
    """Begin a plan's only lane, and give its parameters."""
    import jax
    import numpy as np

    from sweep.engine.keeping import parameter_rows
    from sweep.engine.prepare import settings_of, translate_out_of_memory
    from sweep.engine.wave import WaveRunner

    ((block, _),) = plan.blocks()
    with translate_out_of_memory(), settings_of(plan):
        state = WaveRunner(plan, 0, None).one_lane(0).lanes.state
        parameters = jax.tree.map(lambda leaf: np.asarray(leaf)[None], block.training.parameters(state))
    (network,), (row,) = plan.networks, parameter_rows(block, parameters, plan.networks[0].sizes)
    return nest(network.parameters, split(network.parameters, row))
