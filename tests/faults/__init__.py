"""Fault injection: how the package handles damage, crashes, signals, full disks and invalid input."""

import os

os.environ.setdefault("JAX_ENABLE_COMPILATION_CACHE", "false")  # the user's cache of compiled programs is left alone
