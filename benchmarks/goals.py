"""What `sweep` is meant to reach on two CPU cores."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Goal:
    """A number to reach in one case.

    Args:
        case: name of the case.
        measure: "ratio" (lane-steps per second of `sweep` over those of `peer`), "efficiency" (limit over time used) or
            "compile" (seconds, cold; at most).
        wanted: the number.
        peer: the peer of a ratio.
    """

    case: str
    measure: str
    wanted: float
    peer: str = ""


GOALS: Final = (
    Goal("mixed", "ratio", 5.0, "vmap"),
    Goal("width16", "ratio", 3.5, "vmap"),
    Goal("width64", "ratio", 1.9, "vmap"),
    Goal("width128", "ratio", 1.7, "vmap"),
    Goal("width16", "ratio", 45, "torch_loops"),
    Goal("width64", "ratio", 8, "torch_loops"),
    Goal("width128", "ratio", 4, "torch_loops"),
    Goal("width16", "ratio", 14, "torch_vmap"),
    Goal("width64", "ratio", 4, "torch_vmap"),
    Goal("width128", "ratio", 2.5, "torch_vmap"),
    Goal("keras", "ratio", 1000, "keras_fit"),
    Goal("width16", "efficiency", 0.7),
    Goal("width64", "efficiency", 0.8),
    Goal("width128", "efficiency", 0.85),
    Goal("mixed", "compile", 8.0),
)
