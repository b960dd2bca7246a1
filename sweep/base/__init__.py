"""What all other packages use: the errors that a user sees, labels of results with units, text, tables and signals.

Imports no other package of ours, and no JAX.
"""
