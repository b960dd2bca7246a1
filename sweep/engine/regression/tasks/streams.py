"""What is drawn from a lane's stream "data". Like the numbers of streams, these never change."""

POINTS, PHASES, NOISE, SPLIT, SHIFT = range(5)  # matrices of one hash
PLACE_KEY, TARGET_KEY = 1, 2  # keys for functions of the page, folded in
