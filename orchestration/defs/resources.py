"""Resources and the executor that every stage shares."""

import dagster as dg

from orchestration.home import Home


@dg.definitions
def shared() -> dg.Definitions:
    """Return the resources. One process runs a whole run: a step of its own costs seconds and 200 MB."""
    return dg.Definitions(resources={"home": Home()}, executor=dg.in_process_executor)
