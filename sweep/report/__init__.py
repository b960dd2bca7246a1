"""Stores as one interactive HTML file: which numbers it embeds, what it says, and its own scripts.

Run as `python -m sweep.report`, which alone imports `cli`; all else imports `plots`, `claims`, `stats` and below.
"""
