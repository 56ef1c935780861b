"""Dagster definitions over the lake, and the command line that starts the platform."""
