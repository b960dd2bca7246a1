"""The computing: from a page's specs and numbers to networks, one program over all lanes, and its plan.

Imports JAX, `base` and `page`. Nothing here knows a store, and below `walk` nothing knows a clock.
"""
