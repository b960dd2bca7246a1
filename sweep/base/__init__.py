"""What everybody needs: the errors that a user sees, labels of results with their units, text, tables and signals.

Imports no other package of ours, and no JAX.
"""
