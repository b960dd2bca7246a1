"""A page: what it is written in, its checks, its lanes, its identity and how it is loaded from a file.

Imports `base` and `files`, and no JAX.
"""
