"""The figures, with a module for each family; no module has the name of a figure.

Users import them from `sweep.plots`, by name. Imports `drawing`, `compare`, `stats` and what these import.
"""
