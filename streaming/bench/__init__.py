"""Benchmarks: programs, paired with a peer or a floor in one run, the final state checked, the machine printed."""
