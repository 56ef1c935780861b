"""Everything that Dagster loads, one folder for each stage."""
