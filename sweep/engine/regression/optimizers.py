"""Optimisers: optax chains built from traced numbers, inside the function that is mapped over lanes."""

from typing import Any

import jax
import optax
from jaxtyping import Array

Numbers = dict[str, Array]


def decayed(amount: Array, decay_biases: bool) -> optax.GradientTransformation:
    """Add the parameters times an amount to what passes; not those of one dimension if biases do not decay."""
    return optax.add_decayed_weights(amount, None if decay_biases else _matrices)


def _matrices(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.ndim > 1, tree)


def resting() -> optax.GradientTransformation:
    """No step: what stands for a transformation of a page where its trained network is only evaluated."""
    return optax.set_to_zero()


def sgd(rate: Any, n: Numbers, decay_biases: bool) -> optax.GradientTransformation:
    """SGD with coupled decay, which is added to the gradient before the momentum, as in PyTorch."""
    return optax.chain(decayed(n["weight_decay"], decay_biases), optax.sgd(rate, momentum=n["momentum"]))


def nesterov(rate: Any, n: Numbers, decay_biases: bool) -> optax.GradientTransformation:
    """SGD with Nesterov's momentum and coupled decay, as in PyTorch."""
    return optax.chain(decayed(n["weight_decay"], decay_biases), optax.sgd(rate, momentum=n["momentum"], nesterov=True))


def sam(rate: Any, n: Numbers, decay_biases: bool) -> optax.GradientTransformation:
    """SGD; that its gradients are those at a point at distance `rho` is seen to in `rules`."""
    return sgd(rate, n, decay_biases)


def adam(rate: Any, n: Numbers) -> optax.GradientTransformation:
    """Adam."""
    return optax.adam(rate, n["beta1"], n["beta2"], n["epsilon"])


def adamw(rate: Any, n: Numbers, decay_biases: bool) -> optax.GradientTransformation:
    """Adam with decoupled decay."""
    mask = None if decay_biases else _matrices
    return optax.adamw(rate, n["beta1"], n["beta2"], n["epsilon"], weight_decay=n["weight_decay"], mask=mask)


def nadam(rate: Any, n: Numbers) -> optax.GradientTransformation:
    """Adam with Nesterov's momentum."""
    return optax.nadam(rate, n["beta1"], n["beta2"], n["epsilon"])


def adamax(rate: Any, n: Numbers) -> optax.GradientTransformation:
    """Adam with the largest gradient, which decays, in place of the root of the mean square."""
    return optax.adamax(rate, n["beta1"], n["beta2"], n["epsilon"])


def radam(rate: Any, n: Numbers) -> optax.GradientTransformation:
    """Rectified Adam: without the denominator as long as its variance is not known."""
    return optax.radam(rate, n["beta1"], n["beta2"], n["epsilon"])


def amsgrad(rate: Any, n: Numbers) -> optax.GradientTransformation:
    """Adam with the largest second moment so far; optax takes the largest of the corrected ones, PyTorch of others."""
    return optax.amsgrad(rate, n["beta1"], n["beta2"], n["epsilon"])


def yogi(rate: Any, n: Numbers) -> optax.GradientTransformation:
    """Yogi: Adam whose second moment changes by a fixed share of the squared gradient."""
    return optax.yogi(rate, n["beta1"], n["beta2"], n["epsilon"])


def rmsprop(rate: Any, n: Numbers) -> optax.GradientTransformation:
    """RMSprop."""
    return optax.rmsprop(rate, n["decay"], n["epsilon"])


def adagrad(rate: Any, n: Numbers) -> optax.GradientTransformation:
    """Adagrad."""
    return optax.adagrad(rate, eps=n["epsilon"])


def adadelta(rate: Any, n: Numbers) -> optax.GradientTransformation:
    """Adadelta."""
    return optax.adadelta(rate, n["decay"], n["epsilon"])


def lion(rate: Any, n: Numbers, decay_biases: bool) -> optax.GradientTransformation:
    """Lion, with decoupled decay."""
    mask = None if decay_biases else _matrices
    return optax.lion(rate, n["beta1"], n["beta2"], weight_decay=n["weight_decay"], mask=mask)


def lamb(rate: Any, n: Numbers, decay_biases: bool) -> optax.GradientTransformation:
    """LAMB: AdamW whose step of each array is scaled to the norm of that array."""
    mask = None if decay_biases else _matrices
    return optax.lamb(rate, n["beta1"], n["beta2"], n["epsilon"], weight_decay=n["weight_decay"], mask=mask)


def muon(rate: Any, n: Numbers, decay_biases: bool) -> optax.GradientTransformation:
    """Muon: each matrix moves by its momentum made orthogonal (Newton and Schulz, five times); biases by AdamW."""
    return optax.contrib.muon(
        rate, beta=n["momentum"], eps=n["epsilon"], weight_decay=n["weight_decay"],
        adam_b1=n["beta1"], adam_b2=n["beta2"], adam_weight_decay=n["weight_decay"] if decay_biases else 0.0,
    )  # fmt: skip


def schedule_free_adamw(rate: Any, n: Numbers, decay_biases: bool) -> optax.GradientTransformation:
    """AdamW without a schedule: `optax.contrib.schedule_free_adamw`, which takes no mask, from its parts."""
    adamw_without_momentum = optax.chain(
        optax.scale_by_rms(n["beta2"], n["epsilon"], eps_in_sqrt=False, bias_correction=True),
        decayed(n["weight_decay"], decay_biases),
        optax.scale_by_learning_rate(rate),
    )
    return optax.contrib.schedule_free(adamw_without_momentum, rate, b1=n["beta1"])


def lbfgs(rate: None, n: Numbers, memory_size: int) -> optax.GradientTransformationExtraArgs:
    """L-BFGS with the zoom line search, each as optax has it by default."""
    return optax.lbfgs(rate, memory_size=memory_size)
