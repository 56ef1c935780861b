"""All Dagster definitions, found in `defs/`. Loads with an empty environment and no network."""

from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    """Return everything that `defs/` defines."""
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
