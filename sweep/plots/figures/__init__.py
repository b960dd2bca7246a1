"""The figures, a module for each family of them; no module has the name of a figure.

They are imported from `sweep.plots`, by name. Imports `drawing`, `compare`, `stats` and what these import.
"""
