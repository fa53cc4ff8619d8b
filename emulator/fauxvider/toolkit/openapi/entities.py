"""Schemas of the things that answers show beside jobs: minted values, pictures, models, assets, secrets, deliveries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fauxvider.contract.model import Contract, Model
from fauxvider.engine.outputs import MEDIA_TYPES, format_of
from fauxvider.engine.signing import PUBLIC_KEYS
from fauxvider.toolkit.openapi.inference import Knowledge, shape_of
from fauxvider.toolkit.openapi.jobs import JobFacts, ends_of
from fauxvider.toolkit.openapi.material import Material
from fauxvider.toolkit.openapi.schemas import (
    ANYTHING,
    INTEGER,
    NULL,
    NUMBER,
    STRING,
    Schema,
    array,
    constant,
    literal,
    nullable,
    record,
    shape_of_value,
    union,
    without_null,
)

__all__ = [
    "COUNT", "ISSUE", "ISSUES", "KEY", "LIMIT", "account", "announced", "asset", "delivery", "minted", "model_row",
    "model_rows", "outputs", "secret", "secrets", "signature", "state_rows",
]  # fmt: skip

COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
KEY: Final[Schema] = record({"name": STRING})
_URL: Final[Schema] = {"type": "string", "format": "uri"}
_MAYBE_TEXT: Final[Schema] = {"type": ["string", "null"]}
_MAYBE_MOMENT: Final[Schema] = {"type": ["integer", "null"]}
_MAYBE_WHOLE: Final[Schema] = {"type": ["integer", "null"]}
LIMIT: Final[Schema] = record({"count": _MAYBE_WHOLE, "remaining": _MAYBE_WHOLE, "reset": _MAYBE_WHOLE})
# What a violation says of itself depends on its kind; any of it may be missing.
ISSUE: Final[Schema] = record({
    **dict.fromkeys(("path", "pointer", "field", "keyword", "text", "type", "at"), _MAYBE_TEXT),
    **dict.fromkeys(("limit", "low", "high", "value"), ANYTHING),
    "loc": {"type": ["array", "null"], "items": {"type": ["string", "integer"]}},
})  # fmt: skip
ISSUES: Final[Schema] = array(ISSUE)

_DIGIT = "[0-9a-f]"
_UUID = f"{_DIGIT}{{8}}-{_DIGIT}{{4}}-%s{_DIGIT}{{3}}-[89ab]{_DIGIT}{{3}}-{_DIGIT}{{12}}"
_CHARACTERS = {"alnum": "[a-z0-9]", "upper": "[A-Z0-9]", "hex": "[0-9a-f]", "digits": "[0-9]"}


def minted(contract: Contract, name: str) -> Schema:
    """Give the schema of an id or another minted value."""
    kind = contract.ids.get(name)
    return text_of_tokens(kind.tokens) if kind else STRING


def text_of_tokens(tokens: tuple[str | tuple[str, str], ...]) -> Schema:
    pattern = "".join(literal(token) if isinstance(token, str) else _token(*token) for token in tokens)
    schema: Schema = {"type": "string", "pattern": f"^{pattern}$"}
    return schema | ({"format": "uuid"} if len(tokens) == 1 and tokens[0][0].startswith("uuid") else {})


def _token(name: str, argument: str) -> str:
    if name.startswith("uuid"):
        return _UUID % name[-1]
    if name == "pick":
        return f"({'|'.join(literal(one) for one in argument.split('|'))})"
    if name == "base64":
        whole, rest = divmod(int(argument), 3)
        tail = {0: "", 1: "[A-Za-z0-9+/]{2}==", 2: "[A-Za-z0-9+/]{3}="}[rest]
        return f"([A-Za-z0-9+/]{{4}}){{{whole}}}{tail}"
    return f"{_CHARACTERS[name]}{{{argument}}}"


def account(contract: Contract) -> Schema:
    return record({"balance": NUMBER, "used": NUMBER, "used_before": NUMBER, "unit": constant(contract.account.unit)})


# --- models


def model_row(model: Model) -> Schema:
    key = [constant(part) for part in model.key]
    members = {
        "name": constant(model.name),
        "key": {"type": "array", "prefixItems": key, "items": False, "minItems": len(key), "maxItems": len(key)},
        "status": constant("active" if model.active else "inactive"),
        "facts": record({name: _fact(value) for name, value in model.facts.items()}),
    }
    return record(members)


def _fact(value: Any) -> Schema:
    """A word is given as it is, a table by its shape."""
    if isinstance(value, Mapping):
        return record({name: _fact(inner) for name, inner in value.items()})
    if isinstance(value, list) and any(isinstance(one, Mapping | list) for one in value):
        return array(shape_of_value(value).get("items"))
    return array(union(constant(one) for one in value)) if isinstance(value, list) else constant(value)


def model_rows(contract: Contract) -> Schema:
    """The rows of all models, those of one form joined member by member."""
    return array(union(_joined([model_row(model) for model in contract.models.values()])))


def _joined(rows: list[Schema]) -> list[Schema]:
    """Join records that have the same members: of a catalogue's rows the words are told, not each combination."""
    groups: dict[tuple[str, ...], list[Schema]] = {}
    out: list[Schema] = []
    for row in rows:
        if row.get("type") != "object":
            out.append(row)
            continue
        groups.setdefault(tuple(sorted(row["properties"])), []).append(row)
    for names, group in groups.items():
        members = {name: _join_one([row["properties"][name] for row in group]) for name in names}
        out.append(record({name: schema for name, schema in members.items() if schema is not None}))
    return out


def _join_one(schemas: list[Schema]) -> Schema:
    if all(one.get("type") == "array" and "prefixItems" in one for one in schemas):
        width = max(len(one["prefixItems"]) for one in schemas)
        at = [[one["prefixItems"][n] for one in schemas if n < len(one["prefixItems"])] for n in range(width)]
        return {"type": "array", "prefixItems": [union(one) for one in at], "maxItems": width}
    if all(one.get("type") == "array" for one in schemas):
        return array(union(one.get("items") for one in schemas if one.get("items") is not None))
    return union(_joined(schemas)) or {}


def state_rows(contract: Contract) -> Schema:
    words = [constant(word) for word in contract.states]
    kinds = [constant(state.canonical) for state in contract.states.values()]
    row = record({"word": union(words) or STRING, "is": union(kinds) or STRING, "terminal": {"type": "boolean"}})
    return array(row) | {"minItems": len(words), "maxItems": len(words)}


# --- pictures


def outputs(material: Material, models: tuple[str, ...], facts: JobFacts | None) -> Schema:
    """Give the schema of a job's pictures: none before it has succeeded."""
    if facts is None or "succeeded" not in facts.states:
        return array(None)
    row = record({
        "number": {"type": "integer", "minimum": 1},
        "url": _url(material, "output"),
        "key": STRING,
        "width": {"type": "integer", "minimum": 1},
        "height": {"type": "integer", "minimum": 1},
        **_formats(material, models),
    })  # fmt: skip
    counts = {_count(material, name) for name in models}
    (count,) = counts if len(counts) == 1 else (None,)
    if count == 0:
        return array(None)
    most = max((16 if one is None else one) for one in counts) if counts else 16
    schema = array(row) | {"maxItems": most}
    return schema | ({"minItems": count} if count is not None and facts.states == {"succeeded"} else {})


def _count(material: Material, model: str) -> int | None:
    count = material.at("models", model, "output", "count")
    return 1 if count is None else count if isinstance(count, int) else None


def _formats(material: Material, models: tuple[str, ...]) -> dict[str, Schema]:
    found: dict[str, None] = {}
    exts: dict[str, None] = {}
    for name in models:
        output = material.contract.models[name].output
        for one in _formats_of(material, name):
            found[one] = None
            exts[output.ext.get(one, one)] = None
    return {
        "format": union(constant(one) for one in found) or STRING,
        "ext": union(constant(one) for one in exts) or STRING,
        "media_type": union(constant(MEDIA_TYPES[one]) for one in found) or STRING,
    }


def _formats_of(material: Material, model: str) -> list[str]:
    """List the formats that a model's pictures may have."""
    from fauxvider.toolkit.openapi.known import about_jobs

    known: Knowledge = about_jobs(material, (model,))
    schema = without_null(shape_of(material.at("models", model, "output", "format"), known).schema) or {}
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    return list(dict.fromkeys(map(format_of, values))) if values else list(MEDIA_TYPES)


def _url(material: Material, serves: str) -> Schema:
    return _URL if any(one.serves == serves for one in material.contract.urls.values()) else NULL


# --- assets, secrets, deliveries


def asset(material: Material) -> Schema:
    rules = material.contract.assets
    members = {
        "id": minted(material.contract, rules.id) if rules else STRING,
        **dict.fromkeys(("key", "name", "media_type", "etag", "md5"), STRING),
        "label": _MAYBE_TEXT,
        "size": COUNT,
        "width": {"type": ["integer", "null"], "minimum": 1},
        "height": {"type": ["integer", "null"], "minimum": 1},
        "created": INTEGER,
        "confirmed": _MAYBE_MOMENT,
        "url": _url(material, "asset"),
        "location": _url(material, "asset"),
        "upload_url": _url(material, "upload"),
    }
    return record(members)


def secret(contract: Contract) -> Schema:
    rules = contract.secrets
    members = {
        "id": minted(contract, rules.id) if rules else STRING,
        "value": text_of_tokens(rules.value) if rules else STRING,
        "prefix": STRING,
        "public": _public(contract),
        "current": {"type": "boolean"},
        "label": STRING,
        **dict.fromkeys(("disabled", "last_used"), _MAYBE_MOMENT),
        **dict.fromkeys(("created", "updated"), INTEGER),
    }
    return record(members)


def _public(contract: Contract) -> Schema:
    rule = contract.callbacks.signature if contract.callbacks else None
    if rule is None or rule.algorithm not in PUBLIC_KEYS:
        return NULL
    return {"type": "string", "pattern": "^[A-Za-z0-9_-]{43}$"}


def secrets(contract: Contract) -> Schema:
    return array(secret(contract))


def announced(contract: Contract) -> Schema:
    """What a callback's body may say of its delivery."""
    events = contract.callbacks.events if contract.callbacks else {}
    named = [constant(events.get(end, end)) for end in sorted(ends_of(contract))]
    named += [constant(one.event) for one in contract.callbacks.progress] if contract.callbacks else []
    return record({"event": union(named) or STRING, "address": STRING, "created": INTEGER})


def delivery(contract: Contract, payload: Schema) -> Schema:
    callbacks = contract.callbacks
    words = callbacks.words if callbacks else {}
    states = ("pending", "delivered", "failed")
    reasons = ("http_error", "timeout", "connection_error", "blocked", "max_attempts_exceeded")
    members = {
        "id": minted(contract, callbacks.delivery_id) if callbacks else STRING,
        "number": COUNT,
        "job_id": STRING,
        "event": announced(contract)["properties"]["event"],
        "status": union(constant(words.get(state, state)) for state in states) or STRING,
        "state": union(constant(state) for state in states) or STRING,
        "address": STRING,
        "payload": payload,
        "payload_text": STRING,
        "automatic": {"type": "boolean"},
        "secret_id": nullable(minted(contract, contract.secrets.id)) if contract.secrets else NULL,
        "attempt_count": COUNT,
        "max_attempts": _max_attempts(contract),
        **dict.fromkeys(("created", "updated"), INTEGER),
        **dict.fromkeys(("ended", "next_at"), _MAYBE_MOMENT),
        "failure": nullable(union(constant(reason) for reason in reasons)),
        "failure_detail": _MAYBE_TEXT,
        "attempts": array(_attempt(contract)),
    }
    return record(members)


def _max_attempts(contract: Contract) -> Schema:
    callbacks = contract.callbacks
    if callbacks is None:
        return COUNT
    most = constant(len(callbacks.retry.delays) + 1)
    return (union([constant(1), most]) or most) if callbacks.retry.ends_only and callbacks.progress else most


def _attempt(contract: Contract) -> Schema:
    callbacks = contract.callbacks
    members = {
        "id": minted(contract, callbacks.attempt_id) if callbacks else STRING,
        "delivery_id": STRING,
        "number": {"type": "integer", "minimum": 1},
        "at": INTEGER,
        "status": {"type": ["integer", "null"]},
        "body": STRING,
        "error": _MAYBE_TEXT,
        "took_ms": COUNT,
    }
    return record(members)


_SIGNATURES = {
    (False, "hex"): "^[0-9a-f]{64}$", (False, "base64"): "^[A-Za-z0-9+/]{43}=$",
    (True, "hex"): "^[0-9a-f]{128}$", (True, "base64"): "^[A-Za-z0-9+/]{86}==$",
}  # fmt: skip


def signature(contract: Contract) -> Schema:
    """Give the schema of `{signature}`; there is none as long as no secret signs."""
    rule = contract.callbacks.signature if contract.callbacks else None
    if rule is None:
        return NULL
    pattern = _SIGNATURES[rule.algorithm in PUBLIC_KEYS, rule.encoding]
    return nullable({"type": "string", "pattern": pattern})
