"""Whether a resolved tree has the shape that the published schema tells, and what is wrong if not.

The fast validator says yes or no; only for a no is the slow one imported, because it explains.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema_rs

from fauxvider.contract.strict import Map, place_of, pointer_text
from fauxvider.errors import ContractError
from fauxvider_contracts import schema_text

__all__ = ["check_structure"]

_SHOWN = 80


def check_structure(tree: Map, *, file: str) -> None:
    """Raise the first ContractError (in the order of the file) if the tree has a wrong shape."""
    if not _fast().is_valid(tree):
        raise min(_wrongs(tree, file), key=_position)


@cache
def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(schema_text())
    return schema


@cache
def _fast() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(_schema(), offline=True)


def _wrongs(tree: Map, file: str) -> Iterator[ContractError]:
    import jsonschema
    from referencing import Registry

    validator = jsonschema.Draft202012Validator(_schema(), registry=Registry())
    for error in validator.iter_errors(tree):
        yield _explained(_best(error), tree, file)


def _position(wrong: ContractError) -> tuple[int, int]:
    return (wrong.place.line, wrong.place.column) if wrong.place else (0, 0)


def _best(error: Any) -> Any:
    """Go down to the branch of an `anyOf` that came closest, unless the whole has a name of its own."""
    from jsonschema.exceptions import best_match

    return error if "title" in _named(error) else best_match([error])


def _named(error: Any) -> dict[str, Any]:
    return error.schema if isinstance(error.schema, dict) else {}


def _explained(error: Any, tree: Map, file: str) -> ContractError:
    path = list(error.absolute_path)
    problem, allowed, extra = _worded(error)
    of_key = extra is not None
    if extra is not None:
        path.append(extra)
    pointer = pointer_text(path)
    return ContractError(problem, place=place_of(tree, pointer, file=file, of_key=of_key), allowed=allowed)


def _worded(error: Any) -> tuple[str, str, str | None]:
    """Give the problem, what is allowed, and the key at fault where that is a key."""
    schema, value, keyword = _named(error), error.instance, error.validator
    if keyword == "additionalProperties" or _has_unknown_key(schema, value):
        return _unknown_key(schema, value)  # a slip in a key: what stands there says more than what is missing
    if keyword in ("required", "dependentRequired"):
        needed = error.validator_value
        if keyword == "dependentRequired":
            needed = [name for key, names in needed.items() if key in value for name in names]
        missing = next(name for name in needed if name not in value)
        return f"the key {missing!r} is missing", "", None
    if "propertyNames" in error.schema_path:
        return f"the key {value!r} does not belong here", _allowed(schema), value
    if keyword in ("oneOf", "not") and "title" not in schema:
        keys = [name for option in schema.get("oneOf", [schema.get("not", {})]) for name in option.get("required", [])]
        return f"exactly one of the keys {' and '.join(map(repr, keys))} belongs here", "", None
    if "title" in schema:
        return f"{_shown(value)} is not {schema['title']}", _allowed(schema), None
    return _plainly(keyword, error.validator_value, value), _allowed(schema), None


def _has_unknown_key(schema: dict[str, Any], value: Any) -> bool:
    is_closed = schema.get("additionalProperties") is False and isinstance(value, dict)
    return is_closed and not value.keys() <= schema["properties"].keys()


def _unknown_key(schema: dict[str, Any], value: dict[str, Any]) -> tuple[str, str, str | None]:
    known = schema["properties"]
    extra = next(name for name in value if name not in known)
    return f"the key {extra!r} is unknown here", ", ".join(known), extra


def _plainly(keyword: str, limit: Any, value: Any) -> str:
    if keyword == "type":
        names = [limit] if isinstance(limit, str) else limit
        return f"{_shown(value)} is not {' or '.join(map(_article, names))}"
    if keyword == "enum":
        return f"{_shown(value)} is not one of the known words"
    if keyword == "const":
        return f"{_shown(value)} is not {json.dumps(limit)}"
    if keyword in ("minItems", "minProperties", "minLength"):
        return "something is needed here" if limit == 1 else f"at least {limit} are needed here"
    if keyword == "uniqueItems":
        return "a value stands twice"
    return f"{_shown(value)} does not fit {keyword} {limit}"


def _article(name: str) -> str:
    return {"object": "a mapping", "array": "a list", "string": "text", "null": "null", "boolean": "true or false"}.get(
        name, f"an {name}" if name[0] in "aeiou" else f"a {name}"
    )


def _allowed(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(str(word) for word in schema["enum"])
    if examples := schema.get("examples"):
        return "such as " + ", ".join(text if isinstance(text, str) else json.dumps(text) for text in examples[:8])
    if "const" in schema:
        return json.dumps(schema["const"])
    return f"the pattern {schema['pattern']}" if "pattern" in schema else ""


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
