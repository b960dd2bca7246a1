"""Results in the formats of other tools, one module for each kind; `formats` lists them.

Only the command `python -m sweep.export` imports `cli`; all other modules import `stats` and what it imports.
"""
