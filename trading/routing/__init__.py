"""From the journal to venues: modes, plans and the paper venue."""
