"""Results in the formats of other tools: each room writes one kind, `sweep.export` is the door."""
