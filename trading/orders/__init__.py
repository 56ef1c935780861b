"""Order life: decide and evolve, the journal and the snapshot of one partition."""
