"""Fault injection: how the package handles damage, crashes, signals, full disks and invalid input."""
