"""How Dagster is, as its webserver tells: whether it answers, the definitions load, and the daemons live."""

import http.client
import json
from typing import Any

TIMEOUT_S = 5.0
LINE_CHARS = 200
QUERY = """{
  instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } }
  workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError {
    __typename ... on PythonError { message } } } } }
}"""


def reasons(host: str, port: int) -> list[str]:
    """Return why Dagster is not ready, one line each; empty if it is."""
    try:
        data = _ask(host, port)
        locations = data["workspaceOrError"]["locationEntries"]
        daemons = data["instance"]["daemonHealth"]["allDaemonStatuses"]
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return ["the webserver does not answer"]
    return [*_loading(locations), *_dead(daemons)]


def _loading(locations: list[dict[str, Any]]) -> list[str]:
    found = [] if locations else ["no definitions are loaded"]
    for entry in locations:
        answer = entry["locationOrLoadError"]
        if answer is None:
            found.append(f"{entry['name']} is loading")
        elif answer["__typename"] == "PythonError":
            found.append(f"{entry['name']} does not load: {answer['message'].strip()[:LINE_CHARS]}")
    return found


def _dead(daemons: list[dict[str, Any]]) -> list[str]:
    return [f"{each['daemonType']} has no heartbeat" for each in daemons if each["required"] and not each["healthy"]]


def _ask(host: str, port: int) -> Any:
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        body = json.dumps({"query": QUERY})
        connection.request("POST", "/graphql", body, {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())["data"]
    finally:
        connection.close()
