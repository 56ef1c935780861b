"""The OpenAPI document, made of the same operations and types that serve the requests, so that it cannot disagree."""

from collections.abc import Sequence
from typing import Any, get_args

import msgspec

from streaming.api.errors import AlpacaProblem, Problem
from streaming.api.operations import Operation

VERSION = "3.1.0"
REF = "#/components/schemas/{name}"
SECURITY: list[dict[str, list[str]]] = [{"key_id": [], "secret": []}]
# What every operation may answer: no key, wrong scope or risk, what does not fit, too many requests.
ALWAYS = (401, 403, 422, 429, 503)
WITH_BODY = (400, 408, 413, 415)
# The `id` of an answer of this type is this parameter of other paths.
LINKED = {"Order": "order_id"}
MEANING = {
    400: "The body is not JSON",
    401: "No valid key pair",
    403: "The key lacks the scope, or a risk rule is broken",
    404: "There is no such thing",
    408: "The body came too slowly",
    409: "The id was used for something else",
    413: "The body is too large",
    415: "The body is not application/json",
    422: "A field is missing, unknown or without a meaning",
    429: "Too many requests; see Retry-After",
    503: "The partition cannot answer now; see Retry-After",
}


def document(operations: Sequence[Operation], title: str, version: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of some operations."""
    types = _types(operations)
    _, components = msgspec.json.schema_components(types, ref_template=REF)
    queries = {operation.query.__name__ for operation in operations if operation.query is not None}
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        page = _operation(operation, components)
        links = _links(operation, operations)
        if links:
            page["responses"][str(operation.status)]["links"] = links
        paths.setdefault(operation.path, {})[operation.method.lower()] = page
    return {
        "openapi": VERSION,
        "info": {"title": title, "version": version},
        "paths": paths,
        "components": {
            "schemas": {name: schema for name, schema in components.items() if name not in queries},
            "securitySchemes": {
                "key_id": {"type": "apiKey", "in": "header", "name": "APCA-API-KEY-ID"},
                "secret": {"type": "apiKey", "in": "header", "name": "APCA-API-SECRET-KEY"},
            },
        },
        "security": SECURITY,
    }


def _operation(operation: Operation, components: dict[str, Any]) -> dict[str, Any]:
    problem = AlpacaProblem if operation.alpaca else Problem
    errors = {*ALWAYS, *operation.errors, *(WITH_BODY if operation.body is not None else ())}
    good: dict[str, Any] = {"description": "Done"}
    if operation.answer is not None:
        good["content"] = _content(_reference(operation.answer))
    responses = {str(operation.status): good}
    for status in sorted(errors):
        responses[str(status)] = {"description": MEANING[status], "content": _content(_reference(problem))}
    made: dict[str, Any] = {
        "operationId": _name(operation),
        "summary": operation.summary,
        "responses": responses,
        "security": SECURITY,
    }
    parameters = [*_path_parameters(operation.path), *_query_parameters(operation.query, components)]
    if parameters:
        made["parameters"] = parameters
    if operation.body is not None:
        made["requestBody"] = {"required": operation.body_needed, "content": _content(_reference(operation.body))}
    return made


def _name(operation: Operation) -> str:
    return operation.handler.__module__.rpartition(".")[2] + "_" + operation.handler.__name__


def _links(operation: Operation, operations: Sequence[Operation]) -> dict[str, Any]:
    """Return where one may go on with the id of the answer."""
    parameter = LINKED.get(getattr(operation.answer, "__name__", ""), "")
    return {
        _name(other): {"operationId": _name(other), "parameters": {parameter: "$response.body#/id"}}
        for other in operations
        if parameter and f"{{{parameter}}}" in other.path
    }


def _path_parameters(path: str) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    rule = {"type": "string", "minLength": 1, "maxLength": 128}
    return [{"name": name, "in": "path", "required": True, "schema": rule} for name in names]


def _query_parameters(query: Any, components: dict[str, Any]) -> list[dict[str, Any]]:
    if query is None:
        return []
    schema = components[query.__name__]
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _without_null(rule)}
        for name, rule in schema["properties"].items()
    ]


def _without_null(rule: dict[str, Any]) -> dict[str, Any]:
    """A query has no null: the parameter is simply not there."""
    kept = {name: value for name, value in rule.items() if name != "default" or value is not None}
    if "enum" in kept:
        kept["enum"] = [value for value in kept["enum"] if value is not None]
    if "anyOf" in kept:
        choices = [choice for choice in kept.pop("anyOf") if choice != {"type": "null"}]
        kept |= choices[0] if len(choices) == 1 else {"anyOf": choices}
    return kept


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _reference(type_: Any) -> dict[str, Any]:
    inner = get_args(type_)
    if inner:
        return {"type": "array", "items": _reference(inner[0])}
    return {"$ref": REF.format(name=type_.__name__)}


def _types(operations: Sequence[Operation]) -> list[Any]:
    found: dict[str, Any] = {"Problem": Problem, "AlpacaProblem": AlpacaProblem}
    for operation in operations:
        for type_ in (operation.body, operation.query, operation.answer):
            if type_ is not None:
                plain = (get_args(type_) or (type_,))[0]
                found[plain.__name__] = plain
    return list(found.values())
