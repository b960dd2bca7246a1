"""The report: stores as one interactive HTML file; which numbers it embeds, its text and its scripts.

Only the command `python -m sweep.report` imports `cli`; all other modules import `plots`, `claims`, `stats` and what
these import.
"""
