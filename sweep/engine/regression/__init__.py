"""Regression as a training: a network learns the targets of a task by an optimiser.

Everything that turns the parts of a page into functions of one lane is here: data, network, loss, optimiser, metrics.
Of the rest of `engine` it imports `training`, which it implements, and `keys`; the rest knows it by `plan` alone.
"""
