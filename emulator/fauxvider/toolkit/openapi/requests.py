"""Requests of an operation: its parameters and its body, unrolled by model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fauxvider.contract.model import Model, Operation
from fauxvider.contract.strict import pointer_parts
from fauxvider.contract.templates import names_used
from fauxvider.toolkit.openapi import entities
from fauxvider.toolkit.openapi.material import Material
from fauxvider.toolkit.openapi.outcomes import outcomes_of
from fauxvider.toolkit.openapi.schemas import Schema, constant, named, union

__all__ = ["Route", "parameters_of", "request_body", "routes_of"]

_HOLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(\+?)\}")


class Route:
    """One path of an operation: for one model where the model stands in the path, else for all of them."""

    def __init__(self, path: str, models: list[Model], holes: list[str], *, is_unrolled: bool) -> None:
        self.path = path
        self.models = models
        self.holes = holes  # the parameters that are left in the path
        self.is_unrolled = is_unrolled


def routes_of(material: Material, operation: Operation) -> list[Route]:
    """Unroll the paths of an operation over the models that stand in them."""
    places = material.model_places(operation)
    in_path = {place: at for at, (root, place) in enumerate(places) if root == "path"}
    models = material.models_for(operation)
    holes = [name for name, _ in _HOLE.findall(operation.path)]
    left = [name for name in holes if name not in in_path]
    if not in_path:
        return [Route(_open(operation.path), models, holes, is_unrolled=False)]
    routes: dict[str, Route] = {}
    for model in models:
        path = operation.path
        for name, at in in_path.items():
            path = re.sub(rf"\{{{name}\+?\}}", model.keys_of(len(places))[0][at].replace("\\", r"\\"), path)
        route = routes.setdefault(path, Route(_open(path), [], left, is_unrolled=True))
        route.models.append(model)
    return list(routes.values())


def _open(path: str) -> str:
    """OpenAPI has one kind of hole; `{name+}`, which takes several segments, becomes one too."""
    return _HOLE.sub(lambda found: f"{{{found[1]}}}", path)


# --- parameters


def parameters_of(material: Material, operation: Operation, route: Route) -> list[dict[str, Any]]:
    found = [
        {"name": name, "in": "path", "required": True, "schema": _path_schema(material, operation, name)}
        for name in route.holes
    ]
    found += _query_parameters(material, operation)
    found += _header_parameters(material, operation)
    rules = material.contract.idempotency
    if operation.kind == "submit" and rules is not None:
        where = material.pointer("idempotency")
        about = f"The same key and body within {rules.window // 1000} s give the first answer again"
        schema = {"type": "string"}
        found.append({"name": rules.header, "in": "header", "description": about, "schema": schema, **where})
    return found


def _path_schema(material: Material, operation: Operation, name: str) -> Schema:
    """Give the form of an id in a path; what is of another form names nothing that there is."""
    contract = material.contract
    templates = {key: material.at("operations", operation.name, key) for key in ("job", "asset", "secret")}
    said = next((key for key, text in templates.items() if text == f"{{path.{name}}}"), "")
    kinds = {
        "job": [one.id for one in material.submits() if one.id],
        "asset": [contract.assets.id] if contract.assets else [],
        "secret": [contract.secrets.id] if contract.secrets else [],
    }.get(said, [])
    schema = union(entities.minted(contract, kind) for kind in kinds) or {"type": "string", "minLength": 1}
    asked = material.at("operations", operation.name, "where") or {}
    fact = next((path for path, text in asked.items() if text == f"{{path.{name}}}"), "")
    if fact.startswith("facts."):
        facts = [model.facts.get(fact.removeprefix("facts.")) for model in contract.models.values()]
        return union(constant(one) for one in facts) or schema
    return {**schema, "x-fauxvider-id": said} if said else schema


def _query_parameters(material: Material, operation: Operation) -> Iterator[dict[str, Any]]:
    name, waits, page = operation.name, operation.waits, operation.page
    seen = set()
    callbacks = material.contract.callbacks
    if operation.kind == "submit" and callbacks is not None and callbacks.query:
        seen.add(callbacks.query)
        schema: Schema = {"type": "string", "format": "uri"}
        yield _query(material, callbacks.query, "Where the callback goes", schema, ("callbacks",))
    if waits is not None and waits.query:
        seen.add(waits.query)
        about = f"Hold the answer for so many ms (unless told {waits.default})"
        about += "; the nearest bound counts for what is outside" if waits.outside == "clamp" else ""
        schema = {"type": "integer", "minimum": waits.low, "maximum": waits.high, "default": waits.default}
        yield _query(material, waits.query, about, schema, ("operations", name, "waits"))
    if page is not None:
        for parameter in _page_parameters(material, operation):
            seen.add(parameter["name"])
            yield parameter
    extend = _asked(material.at("operations", name, "extend"), "query")
    for one in extend:
        seen.add(one)
        schema = {"type": "integer", "minimum": 0}
        yield _query(material, one, "What is left of the record's life, in ms", schema, ("operations", name, "extend"))
    for one in _asked_by(material, operation):
        if one not in seen:
            yield _query(material, one, "", _where_schema(material, operation, one), ("operations", name))


def _asked_by(material: Material, operation: Operation) -> list[str]:
    """List the query's names that an operation looks up: the same for each of its models."""
    key = ("asked", operation.name)
    if key not in material.memory:
        tree = material.at("operations", operation.name)
        material.memory[key] = _asked(tree, "query", material.at("views"))
    found: list[str] = material.memory[key]
    return found


def _query(material: Material, name: str, about: str, schema: Schema, at: tuple[str, ...]) -> dict[str, Any]:
    said = {"description": about} if about else {}
    return {"name": name, "in": "query", **said, "schema": schema, **_short(material.pointer(*at))}


def _header_parameters(material: Material, operation: Operation) -> Iterator[dict[str, Any]]:
    """Name the headers that ask for something; what asks for nothing known is passed over: any text will do."""
    waits = operation.waits
    if waits is not None and waits.header:
        bounds = f"{waits.low // waits.unit} to {waits.high // waits.unit} {_UNITS[waits.unit]}"
        given = f"{waits.directive}=" if waits.directive else ""
        example = f"{given}{waits.low // waits.unit}"
        where = _short(material.pointer("operations", operation.name, "waits"))
        yield _header(waits.header, f"How long to hold the answer: {example}, {bounds}", example, where)
    for deadline in material.contract.deadlines if operation.kind == "submit" else ():
        if deadline.header:
            where = _short(material.pointer("lifecycle", "deadlines", deadline.name))
            yield _header(deadline.header, f"A limit on the job, in {_UNITS[deadline.unit]}", "60", where)


_UNITS = {1: "ms", 1000: "s"}


def _header(name: str, about: str, example: str, where: Mapping[str, Any]) -> dict[str, Any]:
    shown = "-".join(part.capitalize() for part in name.split("-"))
    schema = {"type": "string", "examples": [example]}
    return {"name": shown, "in": "header", "description": about, "schema": schema, **where}


def _short(where: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in where.items() if key != "x-fauxvider-evidence"}


def _where_schema(material: Material, operation: Operation, name: str) -> Schema:
    del material, operation, name
    return {"type": "string"}


def _asked(tree: Any, root: str, views: Any = None) -> list[str]:
    """List the names below a root that the templates of a tree look up."""
    if tree is None:
        return []
    try:
        names = names_used(_templates(tree), views or {})
    except ValueError:
        return []
    return sorted({name.split(".")[1] for name in names if name.startswith(f"{root}.")})


def _templates(tree: Any) -> Any:
    """Take an operation without what is no template."""
    if not isinstance(tree, Mapping) or "request" not in tree:
        return tree
    left_out = ("request", "schema", "evidence", "waits", "page", "when", "fields", "on_invalid", "on_empty", "item")
    return {key: value for key, value in tree.items() if key not in left_out}


def _page_parameters(material: Material, operation: Operation) -> Iterator[dict[str, Any]]:
    page = operation.page
    if page is None:
        return
    at = ("operations", operation.name, "page")
    limit = {"type": "integer", "minimum": page.low, "maximum": page.high, "default": page.default}
    yield _query(material, page.limit, "How many rows a page has", limit, at)
    yield _query(material, page.cursor, "A cursor of an earlier answer", {"type": "string"}, at)
    if page.back:
        yield _query(material, page.back, "Whether the cursor leads back", {"type": "string"}, at)
    if page.sort:
        fields = ", ".join(_fields(material, operation))
        about = f"FIELD:asc or FIELD:desc, several with commas. Fields: {fields}"
        yield _query(material, page.sort, about, {"type": "string", "pattern": _SORT}, at)
    if page.filter:
        about = "field:value, field>value, joined by AND, OR, NOT"
        yield _query(material, page.filter, about, {"type": "string"}, at)


_ONE = r"[^:,]*(:(asc|desc)?\s*)?"
_SORT = f"^{_ONE}(,{_ONE})*$"


def _fields(material: Material, operation: Operation) -> list[str]:
    known = outcomes_of(material, operation, tuple(material.contract.models))[0].known
    items = (known.schema("page.items") or {}).get("items", {})
    return list(items.get("properties", {}))


# --- bodies


def request_body(material: Material, operation: Operation, models: list[Model]) -> dict[str, Any] | None:
    """Give the `requestBody`; None for an operation that looks at none."""
    if operation.body == "none":
        return None
    if operation.body == "multipart":
        part: Schema = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}
        schema = {"type": "object", "required": [operation.part], "properties": {operation.part: part}}
        return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    if operation.body == "bytes":
        return {"required": True, "content": {"application/octet-stream": {}}}
    schema = _json_body(material, operation, models)
    return {"required": not operation.body_optional, "content": {"application/json": {"schema": schema}}}


def _json_body(material: Material, operation: Operation, models: list[Model]) -> Schema:
    if not operation.model or not models:
        return _shown(operation, material.body(operation, None))
    if len(models) == 1:
        return _shown(operation, material.body(operation, models[0]), models[0])
    names = [pointer_parts(place) for root, place in material.model_places(operation) if root == "body"]
    return _chosen(material, operation, models, [name[0] for name in names if len(name) == 1], ())


def _shown(operation: Operation, schema: Schema, model: Model | None = None) -> Schema:
    return named(f"{operation.name}.{model.name}" if model else f"{operation.name}.body", schema)


def _chosen(
    material: Material, operation: Operation, models: list[Model], names: list[str], above: tuple[str, ...]
) -> Schema:
    """Give the alternatives of a body, told apart by one member after the other."""
    groups: dict[str, list[Model]] = {}
    others: dict[str, list[str]] = {}
    for model in models:
        first, *more = model.keys_of(len(operation.model))
        groups.setdefault(first[len(above)], []).append(model)
        others.setdefault(first[len(above)], []).extend(key[len(above)] for key in more)
    branches: list[Schema] = []
    mapping: dict[str, str] = {}
    for key, group in groups.items():
        if len(group) == 1:
            branch = _shown(operation, material.body(operation, group[0]), group[0])
        else:
            branch = named(_safe(f"{operation.name}.{key}"), _chosen(material, operation, group, names, (*above, key)))
        branches.append(branch)
        mapping.update(dict.fromkeys([key, *others[key]], str(branch["x-name"])))
    if len(branches) == 1:
        return branches[0]
    schema: Schema = {"oneOf": branches}
    if len(names) == len(operation.model):
        schema["discriminator"] = {"propertyName": names[len(above)], "mapping": mapping}
    return schema


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)
