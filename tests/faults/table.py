"""Write counts into the table of docs/reliability.md: `python -m tests.faults.table FAULTS.json`; other rows stay."""

import json
import re
import sys
from pathlib import Path

from .trials import FAULTS, say

PAGE = Path("docs/reliability.md")
MARKS = "<!-- counts -->", "<!-- end of counts -->"
COLUMNS = ("trials", "right", "refused", *FAULTS)


def row(name: str, counts: dict) -> str:
    """Write the row of a campaign as it has just been run."""
    numbers = " | ".join(f"{counts[column]:,}" for column in COLUMNS)
    return f"| {name}, now | {counts['about']} | {numbers} |"


def main(path: str) -> None:
    """Replace the rows of the campaigns that were run, between the marks."""
    text = PAGE.read_text()
    inner = re.search(f"{MARKS[0]}\n(.*){MARKS[1]}", text, re.DOTALL)
    assert inner is not None, f"{PAGE} has lost its marks"
    kept = {line.split("|")[1].strip(): line for line in inner[1].splitlines()}
    kept |= {f"{name}, now": row(name, counts) for name, counts in json.loads(Path(path).read_text()).items()}
    table = "".join(f"{line}\n" for line in kept.values())
    PAGE.write_text(text.replace(inner[1], table))
    say(f"{PAGE}")


if __name__ == "__main__":
    main(sys.argv[1])
