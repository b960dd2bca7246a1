"""Write the table of counts into docs/reliability.md: `python -m tests.faults.table BEFORE.json [AFTER.json]`."""

import json
import re
import sys
from pathlib import Path

from .trials import FAULTS, say

PAGE = Path("docs/reliability.md")
MARKS = "<!-- counts -->", "<!-- end of counts -->"
COLUMNS = ("trials", "right", "refused", *FAULTS)


def rows(before: dict[str, dict], after: dict[str, dict]) -> list[str]:
    """Write a row for each campaign, with the counts of before and after where there are both."""
    found = [f"| campaign | what | {' | '.join(COLUMNS)} |", f"|---|---|{'---|' * len(COLUMNS)}"]
    for name in {**before, **after}:
        about = (after.get(name) or before[name])["about"]
        for when, counts in (("before", before.get(name)), ("now", after.get(name))):
            if counts:
                numbers = " | ".join(f"{counts[column]:,}" for column in COLUMNS)
                found.append(f"| {name}, {when} | {about} | {numbers} |")
    return found


def main(paths: list[str]) -> None:
    """Replace what stands between the marks."""
    before, after = (json.loads(Path(path).read_text()) for path in (*paths, *paths)[:2])
    after = after if len(paths) > 1 else {}
    text = PAGE.read_text()
    table = "\n".join([MARKS[0], *rows(before, after), MARKS[1]])
    PAGE.write_text(re.sub(f"{MARKS[0]}.*{MARKS[1]}", lambda found: table, text, flags=re.DOTALL))
    say(f"{PAGE}")


if __name__ == "__main__":
    main(sys.argv[1:])
