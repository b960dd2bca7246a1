"""One sweep into one store: what goes to disk when, resuming, replaying one lane, mending what is damaged.

Imports `engine`, `results` and what these import.
"""
