"""Claims judged: a measure per seed, a statistic over seeds, a criterion; and tables of the verdicts.

Run as `python -m sweep.claims`, which alone imports `cli`; all else imports `stats`, `results` and below.
"""
