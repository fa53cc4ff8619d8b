"""Taking facts of an API from an OpenAPI document (3.x), which may be anybody's: everything is bounded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from fauxvider.errors import UsageError
from fauxvider.toolkit.starter.bodies import answer_body, document_words, error_body, words_in
from fauxvider.toolkit.starter.facts import Endpoint, Facts, StarterModel
from fauxvider.toolkit.starter.schemas import Document, input_schema

__all__ = ["openapi_facts", "read_openapi"]

_MAX_BYTES = 16 * 1024 * 1024
_MAX_OPERATIONS = 200
_MAX_MODELS = 50
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_METHODS = ("post", "put", "get", "delete", "patch")
_CANCEL = re.compile(r"cancel|abort|stop", re.IGNORECASE)
_STATES = ("status", "state", "status_code", "statusCode")
_HOLDERS = ("input", "inputs", "parameters")
_MODEL = ("model", "model_id", "modelId", "engine")
_PARAMETER = re.compile(r"\{([^}/]*)\}")
_CAUSES = {400: "bad_request", 401: "auth_missing", 402: "funds", 404: "job_unknown", 409: "job_state",
           422: "param_invalid", 429: "rate", 500: "internal", 503: "unavailable"}  # fmt: skip


def read_openapi(path: Path) -> Document:
    """Read a document. Raises UsageError: it cannot be read, is too large, or is none."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UsageError(f"{path}: more than {_MAX_BYTES} bytes")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as problem:
        raise UsageError(f"{path}: {problem.strerror or 'cannot be read'}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: the text is not UTF-8") from None
    tree = _tree(path, text)
    version = tree.get("openapi") if isinstance(tree, dict) else None
    if not isinstance(version, str) or not version.startswith("3."):
        said = (
            "Swagger 2 is not read: convert it first"
            if isinstance(tree, dict) and "swagger" in tree
            else "openapi: 3.x"
        )
        raise UsageError(f"{path}: this is no OpenAPI 3 document ({said})")
    if not isinstance(tree.get("paths"), dict) or not tree["paths"]:
        raise UsageError(f"{path}: the document has no paths")
    return Document(tree)


def _tree(path: Path, text: str) -> Any:
    try:
        return json.loads(text) if text.lstrip().startswith("{") else yaml.load(text, Loader=_LOADER)  # noqa: S506 - safe
    except json.JSONDecodeError as problem:
        raise UsageError(f"{path}:{problem.lineno}:{problem.colno}: this is not JSON: {problem.msg}") from None
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise UsageError(
            f"{path}{where}: this is not YAML: {getattr(problem, 'problem', None) or 'unreadable'}"
        ) from None
    except (ValueError, RecursionError, OverflowError, TypeError) as problem:
        raise UsageError(f"{path}: this cannot be read: {str(problem)[:100]}") from None


def openapi_facts(provider: str, document: Document, name: str) -> Facts:
    """Take over what the document says: server, keys, operations, models, schemas, statuses, words."""
    info = document.at("info")
    title = str(info.get("title") or provider)
    facts = Facts(provider, title, about=f"{name}: {title} {info.get('version', '')}".strip())
    prefix = _server(facts, document)
    _security(facts, document)
    operations = list(_operations(document, prefix, facts))
    submits = [one for one in operations if _is_submit(document, one)]
    reads = [one for one in operations if one.method == "get" and _is_read(document, one, submits)]
    for one in submits:
        _submit(facts, document, one)
    for one in operations:
        if one in submits:
            continue
        if one in reads:
            facts.endpoints.append(_about_job(document, one, "read"))
        elif reads and one.method in ("post", "delete") and _is_cancel(one):
            facts.endpoints.append(_about_job(document, one, "cancel"))
        else:
            why = "no submission, no reading and no cancelling of a job, as far as the document tells"
            facts.unserved.append((f"{one.method.upper()} {one.path}", why))
    _states(facts, document, [*reads, *submits])
    _errors(facts, document, operations)
    facts.notes += document.notes
    return facts


class _Operation:
    """One operation of the document, with a name that is its own."""

    def __init__(self, name: str, method: str, path: str, tree: Mapping[str, Any], where: str) -> None:
        self.name, self.method, self.path, self.tree, self.where = name, method, path, tree, where


def _server(facts: Facts, document: Document) -> str:
    """Take the first server that has a host; give what of its path goes before every path."""
    for server in document.list_at("servers"):
        url = server.get("url") if isinstance(server, Mapping) else None
        variables = server.get("variables") if isinstance(server, Mapping) else None
        if not isinstance(url, str):
            continue
        for key, one in (variables if isinstance(variables, Mapping) else {}).items():
            url = url.replace(f"{{{key}}}", str(one.get("default", key)) if isinstance(one, Mapping) else str(key))
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            continue
        if parts.scheme in ("http", "https") and host and re.fullmatch(r"[A-Za-z0-9.-]+", host):
            facts.origin = f"{parts.scheme}://{host}" + (f":{port}" if port else "")
            facts.known["origin"] = "servers"
            return _clean(parts.path)
    return ""


def _clean(path: str) -> str:
    return "" if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*/?", path) else path.rstrip("/")


def _security(facts: Facts, document: Document) -> None:
    found: list[tuple[str, str]] = []
    for name, raw in document.at("components", "securitySchemes").items():
        scheme = document.resolved(raw)
        kind, where = scheme.get("type"), scheme.get("in")
        if kind == "http" and str(scheme.get("scheme", "")).lower() == "bearer":
            found.append(("Authorization", "Bearer"))
        elif kind == "apiKey" and where == "header" and re.fullmatch(r"[A-Za-z0-9-]+", str(scheme.get("name", ""))):
            found.append((str(scheme["name"]), ""))
        else:
            facts.notes.append(f"security scheme {name}: only keys in headers are known here")
    if found:
        facts.auth = list(dict.fromkeys(found))[:4]
        facts.known["auth"] = "components.securitySchemes"


def _operations(document: Document, prefix: str, facts: Facts) -> Iterator[_Operation]:
    names: set[str] = set()
    count = 0
    for path, raw in document.at("paths").items():
        item = document.resolved(raw)
        for method in _METHODS:
            tree = item.get(method)
            if not isinstance(tree, Mapping):
                continue
            whole = _path(f"{prefix}{path}")
            if whole is None:
                facts.notes.append(f"{method.upper()} {path}: a path that the language cannot say")
                continue
            count += 1
            if count > _MAX_OPERATIONS:
                facts.notes.append(f"operations after the first {_MAX_OPERATIONS}")
                return
            name = _name(str(tree.get("operationId") or f"{method} {path}"), names)
            yield _Operation(name, method, whole, tree, f"{method.upper()} {whole}")


def _path(path: str) -> str | None:
    """Write a path as the language has it: holes are whole segments and plain names, each once."""
    segments, seen = [], set[str]()
    for segment in path.strip("/").split("/"):
        hole = _PARAMETER.fullmatch(segment)
        if hole:
            name = re.sub(r"[^A-Za-z0-9_]", "_", hole[1]) or "id"
            name = name if not name[0].isdigit() else f"p{name}"
            if name in seen:
                return None
            seen.add(name)
            segments.append(f"{{{name}}}")
        elif re.fullmatch(r"[A-Za-z0-9._~:@-]+", segment):
            segments.append(segment)
        else:
            return None
    return "/" + "/".join(segments) if len(segments) < 20 else None


def _name(text: str, names: set[str]) -> str:
    base = re.sub(r"[^a-z0-9]+", "_", re.sub(r"([a-z])([A-Z])", r"\1_\2", text).lower()).strip("_")[:48] or "operation"
    base = base if base[0].isalpha() else f"op_{base}"
    name, number = base, 2
    while name in names:
        name, number = f"{base}_{number}", number + 1
    names.add(name)
    return name


def _success(document: Document, one: _Operation) -> tuple[int, Any]:
    """Give the first documented success: its status and its schema."""
    responses = document.resolved(one.tree.get("responses"))
    for status, raw in sorted(responses.items(), key=lambda item: str(item[0])):
        if re.fullmatch(r"2\d\d", str(status)):
            return int(status), document.json_schema(raw)
    return 200, None


def _request_schema(document: Document, one: _Operation) -> Any:
    return document.json_schema(one.tree.get("requestBody"))


def _is_submit(document: Document, one: _Operation) -> bool:
    """A POST with a JSON body that is not about one job, and whose answer names something by an id, or pictures."""
    if one.method not in ("post", "put") or _is_cancel(one) or _request_schema(document, one) is None:
        return False
    _, schema = _success(document, one)
    names = {name.lower() for name in document.properties(schema)}
    has_id = any(name == "id" or name.endswith(("_id", "id")) for name in names)
    asks = {name.lower() for name in document.properties(_request_schema(document, one))}
    return has_id or bool(asks & {"prompt", "input", "image", "inputs"})


def _is_read(document: Document, one: _Operation, submits: list[_Operation]) -> bool:
    """A GET about one thing, which shows a status, or stands below what submits."""
    if not one.path.endswith("}") and not re.search(r"\}/(status|result|results)$", one.path):
        return False
    _, schema = _success(document, one)
    names = {name.lower() for name in document.properties(schema)}
    root = one.path.partition("{")[0].rstrip("/")
    return bool(names & {name.lower() for name in _STATES}) or any(
        root and submit.path.startswith(root) for submit in submits
    )


def _is_cancel(one: _Operation) -> bool:
    return bool(_CANCEL.search(one.path.rpartition("/")[2]) and "{" in one.path)


def _about_job(document: Document, one: _Operation, kind: str) -> Endpoint:
    status, schema = _success(document, one)
    holes = _PARAMETER.findall(one.path)
    job = next((name for name in reversed(holes) if "id" in name.lower()), holes[-1])
    body = answer_body(document, schema) if status != 204 else None
    return Endpoint(one.name, kind, f"{one.method.upper()} {one.path}", f"{{path.{job}}}", status, body, one.where)


def _submit(facts: Facts, document: Document, one: _Operation) -> None:
    schema = _request_schema(document, one)
    status, answer = _success(document, one)
    names, where, leave = _models(document, one, schema)
    taken = input_schema(document, schema, leave=leave)
    properties: dict[str, Any] = dict(taken["properties"])
    holder = next((name for name in _HOLDERS if properties.get(name, {}).get("properties")), "")
    if holder:
        inner = properties.pop(holder)
        taken = {"type": "object", **{key: inner[key] for key in ("required", "properties") if key in inner}}
    for name in (names or [one.name])[:_MAX_MODELS]:
        label = _label(name, {model.name for model in facts.models})
        facts.models.append(StarterModel(label, name, taken, f"{one.where} {holder}".strip()))
    if len(names) > _MAX_MODELS:
        facts.notes.append(f"{one.name}: models after the first {_MAX_MODELS}")
    request = f"{one.method.upper()} {one.path}"
    body, rest = answer_body(document, answer), properties if holder else {}
    facts.endpoints.append(
        Endpoint(one.name, "submit", request, where or one.name, status, body, one.where, input=holder, rest=rest)
    )


def _label(name: str, taken: set[str]) -> str:
    base = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower()[:60] or "model"
    label, number = base if base[0].isalpha() else f"m-{base}", 2
    while label in taken:
        label, number = f"{base}-{number}", number + 1
    return label


def _models(document: Document, one: _Operation, schema: Any) -> tuple[list[str], str, str]:
    """Find the models that a submission names: where (path or body), and the field that is no parameter then."""
    holes = _PARAMETER.findall(one.path)
    for raw in one.tree.get("parameters") or ():
        parameter = document.resolved(raw)
        words = words_in(document, parameter.get("schema"))
        if parameter.get("in") == "path" and words and parameter.get("name") in holes:
            return words, f"{{path.{parameter['name']}}}", ""
    for name in _MODEL:
        words = words_in(document, document.properties(schema).get(name))
        if words:
            return words, f"{{body.{name}}}", name
    return [], "", ""


def _states(facts: Facts, document: Document, operations: list[_Operation]) -> None:
    """Take the words of the first documented status field that tells some."""
    for one in operations:
        _, schema = _success(document, one)
        for name in _STATES:
            words = document_words(document, schema, name)
            for word in words[:30]:
                if state := _state(word, facts.notes):
                    facts.states[word] = state
                    facts.known[f"state {word}"] = f"{one.where} {name}"
            if words:
                return


_MEANT = (
    ("queued", r"queue|pend|wait|start|creat|submit|accept|schedul|initial|new"),
    ("timed_out", r"time|expire"),
    ("cancelled", r"cancel|abort|stop"),
    ("moderated", r"moderat|nsfw|flag|block"),
    ("failed", r"fail|error|reject|broke|crash"),
    ("succeeded", r"succe|complet|done|finish|ready|^ok$"),
    ("running", r"run|process|progress|work|active|generat|render"),
)


def _state(word: str, notes: list[str]) -> str:
    for state, pattern in _MEANT:
        if re.search(pattern, word, re.IGNORECASE):
            return state
    notes.append(f"the state {word}: what does it mean?")
    return ""


def _errors(facts: Facts, document: Document, operations: list[_Operation]) -> None:
    """Take the statuses of refusals, and the first body that one is described with."""
    for one in operations:
        for status, raw in document.resolved(one.tree.get("responses")).items():
            code = int(status) if re.fullmatch(r"[45]\d\d", str(status)) else 0
            if cause := _CAUSES.get(code, ""):
                facts.errors[cause] = code
                facts.known.setdefault(f"error {cause}", f"{one.where} {code}")
            schema = document.json_schema(raw) if code or status == "default" else None
            if facts.envelope is None and schema is not None:
                facts.envelope = error_body(document, schema)
