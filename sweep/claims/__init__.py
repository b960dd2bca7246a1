"""Decisions on claims: a measure per seed, a statistic over seeds, a criterion; and tables of the verdicts.

Only the command `python -m sweep.claims` imports `cli`; all other modules import `stats`, `results` and what these
import.
"""
