"""Figures: each room draws one family from labelled results; `registry` lists them by name."""
