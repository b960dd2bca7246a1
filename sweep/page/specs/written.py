"""Values of knobs that are neither numbers nor names, written as texts: the one place that does so, and reads them.

Axes of a page, results, figures and command lines hold the text, such as "32-32"; the spec holds the value, (32, 32).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sweep.base.errors import SweepError
from sweep.base.text import check_text

LONGEST: Final = 500  # letters of a text, which has to fit into figures


@dataclass(frozen=True)
class Form:
    """How the values of a knob are written.

    Args:
        example: a text, for errors.
        to_text: maps a value that the knob accepts to its text; different values have different texts.
        to_value: maps a text to the value; it raises ValueError for another text.
    """

    example: str
    to_text: Callable[[Any], str]
    to_value: Callable[[str], Any]

    def write(self, label: str, value: Any) -> str:
        """Write a value that the knob accepts."""
        text = self.to_text(value)
        check_text(f"{label} as a text", text, LONGEST)
        return text

    def read(self, label: str, text: str) -> Any:
        """Read a text.

        Raises:
            SweepError: if it is not one of a value.
        """
        try:
            return self.to_value(text)
        except ValueError:
            raise SweepError(f"{label} is written as {self.example!r}, got {text!r}") from None


def _short(value: float) -> str:
    return repr(float(value)).removesuffix(".0")


def _write_numbers(values: float | tuple[float, ...]) -> str:
    """Write one number for all as "1", a tuple of one as "1,"."""
    if not isinstance(values, tuple):
        return _short(values)
    return f"{_short(values[0])}," if len(values) == 1 else ", ".join(map(_short, values))


def _read_numbers(text: str) -> float | tuple[float, ...]:
    """Read one number for all, or several."""
    return tuple(map(float, text.removesuffix(",").split(","))) if "," in text else float(text)


def _read_counts(text: str) -> tuple[int, ...]:
    return () if text == _NOTHING else tuple(map(int, text.split("-")))


def _read_truth(text: str) -> bool:
    if text not in ("True", "False"):
        raise ValueError(text)
    return text == "True"


_NOTHING: Final = "none"
COUNTS: Final = Form("32-32", lambda values: "-".join(map(str, values)) or _NOTHING, _read_counts)
TRUTH: Final = Form("True", str, _read_truth)
NUMBERS: Final = Form("1, 0.5", _write_numbers, _read_numbers)
