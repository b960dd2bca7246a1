"""The tools of figures: selecting what they show, sheets and panels, cells and axes, and the style.

No module here knows a figure by name. Imports `stats` and what it imports.
"""
