"""Files as they are read and written: whole or not there, locked, plain, and by whom; no package says what is in them.

Imports `base`.
"""
