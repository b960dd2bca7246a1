"""What the commands share: options, overrides and variations of a page, what a terminal is told, how a command ends.

Imported by commands alone; imports anything else.
"""
