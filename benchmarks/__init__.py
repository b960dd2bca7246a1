"""The same work for `sweep` and for what people use instead, in one run; see README.md beside this file."""
