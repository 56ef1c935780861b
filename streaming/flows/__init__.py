"""One module for each role of a worker. Flows meet on topics only."""
