"""Everything that a forked child would import: loaded once in the process that children are forked from."""

import sweep.claims.__main__
import sweep.cli.terminal
import sweep.compare.__main__
import sweep.export.__main__
import sweep.plot
import sweep.report.__main__
import sweep.results.dataset
import sweep.run
import sweep.runs.filling  # noqa: F401
