"""Running waves on Ray: processes on one or many machines, each of which trains waves and writes them into the store.

Only small messages go through Ray. A worker is told once what it works for (`messages.Task`); then it is sent numbers
of waves and asked for what has happened. It compiles once, and reads and writes the store itself.

Ray starts the processes and replaces those that die. Which worker runs which wave is decided here (`schedule`), and so
is whether a wave is run again: behind our back a retry could be neither counted nor kept from the files of its
predecessor, which may only have been cut off.
"""
