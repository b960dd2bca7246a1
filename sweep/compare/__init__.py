"""Comparison of stores: lanes matched by their knobs, one permutation test over all cells, a summary in words.

Only the command `python -m sweep.compare` imports `plots`, `export` and `cli`; all other modules import `stats`,
`results` and what these import.
"""
