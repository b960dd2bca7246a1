"""Everything that a forked child would import: loaded once in the process that children are forked from."""

import sweep.claims
import sweep.compare
import sweep.export
import sweep.plot
import sweep.report
import sweep.results
import sweep.run
import sweep.runner
import sweep.terminal  # noqa: F401
