"""What a store may hold: everything in it is checked when it is opened, before anything relies on it.

A store may come from anybody. Its files are listed first (no links, no pipes). Metadata are read within bounds. The
types, shapes and sizes that they state are checked before memory is allocated, and values that choose other values
before they do so. docs/store.md lists the limits. Whatever does not fit is refused in one line.

Imports `base`, `files` and `page`.
"""
