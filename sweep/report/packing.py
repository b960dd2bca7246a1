"""Arrays as text in HTML: exact, or as 16-bit codes; compressed by a method that browsers can decompress."""

import base64
import zlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

# Codes of 16 bits. Zero has a code of its own, since it has no logarithm.
UNSEEN, ZERO, FIRST, LAST, BELOW, ABOVE = 0, 1, 2, 65533, 65534, 65535
_STEPS: Final = LAST - FIRST


@dataclass(frozen=True)
class Quantiser:
    """A scale of 65532 steps, equal in the logarithm if no value is negative, else equal in the value.

    Args:
        low: the lowest value, above zero on a logarithmic scale.
        high: the highest value.
        log: whether steps are ratios.
    """

    low: float
    high: float
    log: bool

    @classmethod
    def of(cls, values: np.ndarray) -> "Quantiser":
        """Fit a scale to the finite values."""
        finite = values[np.isfinite(values)]
        log = bool(np.all(finite >= 0))
        shown = finite[finite > 0] if log else finite
        low, high = (float(shown.min()), float(shown.max())) if shown.size else (1.0, 1.0)
        return cls(low, high, log)

    @property
    def error(self) -> float:
        """Half a step: the largest relative error on a logarithmic scale, the largest error on a linear one."""
        first, last = self._ends()
        half = (last - first) / _STEPS / 2
        return float(np.expm1(half)) if self.log else half

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Give the nearest steps as uint16; NaN, zero and infinities have special codes."""
        first, last = self._ends()
        codes = np.full(values.shape, UNSEEN, np.uint16)
        number = np.isfinite(values) & ((values > 0) if self.log else True)
        place = np.log(values[number], dtype=np.float64) if self.log else values[number].astype(np.float64)
        step = (place - first) / (last - first or 1.0) * _STEPS
        codes[number] = FIRST + np.rint(step).astype(np.uint16)
        if self.log:
            codes[values == 0] = ZERO
        codes[values == np.inf] = ABOVE
        codes[values == -np.inf] = BELOW
        return codes

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Give the values that codes stand for, as float64."""
        first, last = self._ends()
        place = first + (codes.astype(np.float64) - FIRST) / _STEPS * (last - first)
        values = np.exp(place) if self.log else place
        special = {UNSEEN: np.nan, ZERO: 0.0, BELOW: -np.inf, ABOVE: np.inf}
        for code, value in special.items():
            values[codes == code] = value
        return values

    def _ends(self) -> tuple[float, float]:
        return (float(np.log(self.low)), float(np.log(self.high))) if self.log else (self.low, self.high)


def pack(values: np.ndarray) -> tuple[str, dict[str, Any]]:
    """Write an array as text: its bytes sorted into planes (which compress better), zlib, base64.

    Args:
        values: numbers of any type.

    Returns:
        The text, and the `dtype` and `shape` that are needed to read it.
    """
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    planes = little.reshape(-1).view(np.uint8).reshape(-1, little.itemsize).T
    text = base64.b64encode(zlib.compress(planes.tobytes(), 6)).decode()
    return text, {"dtype": little.dtype.name, "shape": list(values.shape)}


def unpack(text: str, dtype: str, shape: list[int]) -> np.ndarray:
    """Read what `pack` wrote."""
    kind = np.dtype(dtype).newbyteorder("<")
    planes = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).reshape(kind.itemsize, -1)
    return planes.T.copy().view(kind).reshape(shape)
