"""A page: the specs that it consists of, its checks, its lanes, its identity, and how it is loaded from a file.

Imports `base` and `files`, and no JAX.
"""
