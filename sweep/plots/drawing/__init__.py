"""What figures are drawn with: what they show of results, the sheet they stand on, cells and axes, the look of it all.

Knows no figure by name. Imports `stats` and what it imports.
"""
