"""The trading core: pure, synchronous, deterministic. Time, ids and randomness come in with the message."""
