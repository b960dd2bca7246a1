"""What the commands share: options, overrides and variations of a page, terminal output, and how a command ends.

Imported only by commands; may import any other package.
"""
