"""Running a sweep into a store: saving, resuming, replaying one lane, repairing damage.

Imports `engine`, `results` and what these import.
"""
