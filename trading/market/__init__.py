"""Market data: raw frames in, normalised ticks and bars out. The batch function is the primary form."""
