"""Types of options that may be left out.

`Path | None` would be the same type, but tyro asks typeguard about it, and importing that takes a fifth of the time
until a command's help is there.
"""

from pathlib import Path
from typing import Optional, TypeAlias

OptionalPath: TypeAlias = Optional[Path]  # noqa: UP045
OptionalText: TypeAlias = Optional[str]  # noqa: UP045
OptionalCount: TypeAlias = Optional[int]  # noqa: UP045
OptionalNumber: TypeAlias = Optional[float]  # noqa: UP045
