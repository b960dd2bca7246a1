"""What claims measure, lane by lane."""

from sweep.stats.measures import (
    beyond_range,
    error_in,
    error_where,
    exponent,
    extrema,
    failed_to_fit,
    gradient_ratio,
    jitter,
    monotonicity,
    near,
    radius,
    ratio_of_times,
    spurious_extrema,
    stuck_at,
    within,
)

__all__ = [
    "beyond_range",
    "error_in",
    "error_where",
    "exponent",
    "extrema",
    "failed_to_fit",
    "gradient_ratio",
    "jitter",
    "monotonicity",
    "near",
    "radius",
    "ratio_of_times",
    "spurious_extrema",
    "stuck_at",
    "within",
]
