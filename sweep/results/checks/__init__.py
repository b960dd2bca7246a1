"""What a store may hold: everything in it is checked when it is opened, before any of it is used.

A store may come from anybody. Its files are listed first (no links, no pipes). Metadata are read up to a maximal size.
The types, shapes and sizes that they state are checked before memory is allocated, and values that select other values
before they are used. docs/store.md lists the limits. Whatever does not fit is refused in one line.

Imports `base`, `files` and `page`.
"""
