"""A store: its layout, its checks and digests, and the labelled Dataset that it holds.

Imports `base`, `files` and `page`, and no JAX.
"""
