"""Stores compared: lanes matched by what they resolve to, one permutation test over all cells, a summary in words.

Run as `python -m sweep.compare`, which alone imports `plots`, `export` and `cli`; all else imports `stats`, `results`
and below.
"""
