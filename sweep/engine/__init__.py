"""The computing: one program over all lanes, and its plan. What is trained, `regression`, has a folder of its own.

Imports JAX, `base` and `page`. Nothing here knows a store, and below `walk` nothing knows a clock.
"""
