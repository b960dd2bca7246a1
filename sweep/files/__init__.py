"""Reading and writing files: atomically, under locks, and safely where others may have written them.

Imports `base`.
"""
