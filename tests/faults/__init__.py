"""Faults put in on purpose: what the package does with damage, crashes, signals, full disks and odd input."""
