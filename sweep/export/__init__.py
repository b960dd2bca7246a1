"""Results in the formats of other tools, a module for each kind; `formats` lists them.

Run as `python -m sweep.export`, which alone imports `cli`; all else imports `stats` and below.
"""
