"""Writing a starter contract: comments, blocks and one-line mappings, as a person would write it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from fauxvider.toolkit.starter.facts import Endpoint, Facts, StarterModel

__all__ = ["SCHEMA_FILE", "starter_text"]

SCHEMA_FILE = "contract-1.schema.json"
_WIDTH = 100
_PLAIN = re.compile(r"[A-Za-z_$][A-Za-z0-9_./-]*")
_SENTENCE = re.compile(r"[A-Za-z_](?:[A-Za-z0-9_./@ ()-]*[A-Za-z0-9_.)])?")
_WORDS = frozenset(["null", "true", "false", "yes", "no", "on", "off", "y", "n"])
_FROM = {"cancel": "[queued, running]"}


def starter_text(facts: Facts, *, date: str, schema: str = SCHEMA_FILE) -> str:
    """Write the contract; `date` is the day on which its facts were taken (YYYY-MM-DD)."""
    return (
        "\n".join(
            [
                *_head(facts, schema),
                *_top(facts, date),
                *_middle(facts),
                *_errors(facts),
                *_catalogue(facts),
                *_operations(facts),
                *_tail(facts),
            ]
        )
        + "\n"
    )


def inline(tree: Any) -> str:
    """Write a tree in one line of YAML; keys and words without quotes where they are plain."""
    if isinstance(tree, Mapping):
        return "{" + ", ".join(f"{_key(str(key))}: {inline(value)}" for key, value in tree.items()) + "}"
    if isinstance(tree, list | tuple):
        return "[" + ", ".join(map(inline, tree)) + "]"
    if isinstance(tree, str) and _SENTENCE.fullmatch(tree) and tree.lower() not in _WORDS:
        return tree
    return json.dumps(tree, ensure_ascii=False)


def _key(text: str) -> str:
    is_plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return text if is_plain else json.dumps(text, ensure_ascii=False)


def _block(tree: Any, indent: int) -> Iterator[str]:
    """Write a mapping in lines; what fits into one line stands in one."""
    pad = " " * indent
    for key, value in tree.items():
        line = f"{pad}{_key(str(key))}: {inline(value)}"
        if isinstance(value, Mapping) and value and len(line) > _WIDTH:
            yield f"{pad}{_key(str(key))}:"
            yield from _block(value, indent + 2)
        else:
            yield line


def _said(known: str, otherwise: str) -> str:
    """Write the evidence: a place in the document, or that it is assumed."""
    text = f"documented openapi - {known}" if known else f"assumed - {otherwise}"
    return inline(text)


def _head(facts: Facts, schema: str) -> Iterator[str]:
    yield f"# yaml-language-server: $schema={schema}"
    yield f"# The contract of {_oneline(facts.title)}: what its stand-in answers."
    yield "# The language: docs/contract-language.md of fauxvider; `fauxvider schema contract` is its machine form."
    yield "#"
    if facts.about:
        yield f"# Taken from {_oneline(facts.about)}."
        yield "# What that does not say is marked `assumed`: ask the real API, or its documents,"
    else:
        yield "# Nothing is known yet: everything is marked `assumed`. Ask the real API, or its documents,"
    yield '# and write who says so: "documented page L12", "observed probe @2026-08-19". Then:'
    yield "#   fauxvider check THIS_FILE          fauxvider explain THIS_FILE"
    yield "#   fauxvider serve --contract THIS_FILE"
    yield f"#   fauxvider verify THIS_FILE --base-url {facts.origin}    # does the real one agree?"
    for note in facts.notes:
        yield f"# Not taken over: {_oneline(note)}"


def _top(facts: Facts, date: str) -> Iterator[str]:
    known = facts.known.get
    yield "contract: 1"
    yield f"provider: {facts.provider}"
    yield f"title: {inline(facts.title)}"
    yield ""
    yield "# Where facts come from. A page of documentation: {title: ..., retrieved: DATE}."
    source = {"openapi": {"title": facts.about, "retrieved": date}} if facts.about else {}
    yield f"sources: {inline(source)}"
    yield ""
    yield "# The first origin is the API; files may have a host of their own."
    yield "origins:"
    yield f"  api: {{url: {inline(facts.origin)}, evidence: {_said(known('origin', ''), 'no server is named')}}}"
    yield ""
    yield "# What the provider mints. Tokens: {uuid4} {uuid7} {alnum:14} {hex:24} {digits:9} {pick:a|b}."
    yield "ids:"
    yield f'  job: {{pattern: "{{uuid4}}", scope: job, evidence: {_said("", "the form of an id")}}}'
    yield ""
    yield "auth:"
    yield "  accept:                                # the first header that is there decides"
    for header, scheme in facts.auth:
        yield f"    - {inline({'header': header, **({'scheme': scheme} if scheme else {})})}"
    yield f"  evidence: {_said(known('auth', ''), 'the usual header')}"
    yield ""
    yield "# funds: off (never asked), positive (balance > 0), covers (balance >= price). Charged at these ends."
    said = _said("", "nothing is said of money")
    yield f'account: {{unit: USD, balance: "100.00", funds: "off", charge: [succeeded], evidence: {said}}}'
    yield ""


def _middle(facts: Facts) -> Iterator[str]:
    known, words = facts.known.get, facts.words
    yield "lifecycle:"
    yield "  states:                                # the provider's word -> what it is"
    for word, state in facts.states.items():
        is_known = known(f"state {word}", "")
        yield f"    {_key(word)}: {{is: {state}, evidence: {_said(is_known, 'the word')}}}"
    yield "  phases:                                # on the way to the end, and how long each lasts"
    for state, lasts in (("queued", "{uniform: [200ms, 800ms]}"), ("running", "{around: 4s, spread: 0.2}")):
        yield f"    - {{state: {_key(words[state])}, lasts: {lasts}, evidence: {_said('', 'the pace')}}}"
    ends = {
        state: words[state]
        for state in ("succeeded", "failed", "cancelled", "timed_out", "moderated")
        if state in words
    }
    yield f"  ends: {inline(ends)}"
    yield "  failures:"
    said = _said("", "a failure")
    yield f"    model_failed: {{end: failed, after: running, values: {{message: the model failed}}, evidence: {said}}}"
    yield "  default_failure: model_failed"
    yield ""


def _errors(facts: Facts) -> Iterator[str]:
    known = facts.known.get
    yield "# Every refusal has a cause, and each cause a face: a status and a body. Others: explain, docs section 10."
    yield "envelopes:"
    yield "  error:"
    yield "    body:"
    yield from _block(facts.envelope, 6)
    yield "errors:"
    for cause, status in facts.errors.items():
        text = "{issue.path}: {issue.text}" if cause == "param_invalid" else _TEXTS.get(cause, cause.replace("_", " "))
        said = _said(known(f"error {cause}", ""), "the status and the text")
        yield f"  {cause}: {{status: {status}, envelope: error, values: {{message: {inline(text)}}}, evidence: {said}}}"
    yield ""
    yield "# The first check that fails decides."
    yield "checks: [auth, rate, size, parse, model, schema, funds]"
    yield ""
    if shared := _shared(facts):
        yield "# Bodies that several answers show. {$case: NAME, $of: {...}} chooses by the state."
        yield "views:"
        yield "  job:"
        yield from _block(shared, 4)
        yield ""


def _shared(facts: Facts) -> Mapping[str, Any] | None:
    """Give the body that more than one operation answers."""
    bodies = [one.body for one in facts.endpoints if isinstance(one.body, Mapping)]
    return next((one for one in bodies if bodies.count(one) > 1), None)


_TEXTS = {
    "bad_request": "bad request", "auth_missing": "the API key is missing or wrong", "funds": "not enough balance",
    "path_unknown": "not found", "model_unknown": "there is no such model", "job_unknown": "there is no such job",
    "job_state": "the job is {job.status}", "rate": "too many requests", "internal": "internal error",
    "unavailable": "try again later", "url_expired": "the link has expired", "url_unknown": "no such file",
}  # fmt: skip


def _catalogue(facts: Facts) -> Iterator[str]:
    yield "models:"
    for model in facts.models:
        yield from _model(facts, model)
    yield ""


def _model(facts: Facts, model: StarterModel) -> Iterator[str]:
    yield f"  {_key(model.name)}:"
    yield f"    key: {inline([model.part])}"
    yield "    input:                               # JSON Schema; every property says where it is from"
    yield "      type: object"
    for keyword, value in model.input.items():
        if keyword not in ("type", "properties"):
            yield f"      {_key(keyword)}: {inline(value)}"
    properties: Mapping[str, Any] = model.input.get("properties", {})
    yield "      properties:" if properties else "      properties: {}"
    yield from _properties(properties, model.known, 8)
    yield "    output:"
    yield '      count: 1                           # or a parameter: "{param.num_outputs}"'
    yield f"      size: {_size(properties)}"
    yield "      format: png"
    yield f"      result: {inline(facts.result)}   # shown as {{job.result}}"
    yield f"      evidence: {_said('', 'what comes out')}"
    yield f"    cost: {{kind: free, evidence: {_said('', 'the price')}}}   # per_image, per_megapixel, table, ..."
    if "prompt" in properties:
        yield '    picture: {prompt: "{param.prompt}"}'
    yield f"    evidence: {_said(model.known, 'a model')}"


def _properties(properties: Mapping[str, Any], known: str, indent: int) -> Iterator[str]:
    for name, schema in properties.items():
        line = inline(schema)
        said = _said(f"{known} {name}" if known else "", "a parameter")
        yield f"{' ' * indent}{_key(name)}: {line[:-1]}{', ' if schema else ''}evidence: {said}}}"


def _size(properties: Mapping[str, Any]) -> str:
    sides = [properties.get(name, {}) for name in ("width", "height")]
    if all(isinstance(one.get("default"), int) for one in sides):
        return '{kind: fields, width: "{param.width}", height: "{param.height}"}'
    return "{kind: fixed, sizes: [1024, 1024]}   # or fields, text, aspect, table, source"


def _operations(facts: Facts) -> Iterator[str]:
    yield "operations:"
    for one in facts.endpoints:
        yield f"  {_key(one.name)}:"
        yield f"    request: {inline(one.request)}"
        yield f"    kind: {one.kind}"
        yield from _names(one)
        yield "    answers:"
        yield "      ok:"
        yield f"        status: {one.status}"
        if isinstance(one.body, Mapping) and one.body == _shared(facts):
            yield "        body: {$view: job}"
        elif isinstance(one.body, Mapping):
            yield "        body:"
            yield from _block(one.body, 10)
        elif one.body is not None:
            yield f"        body: {inline(one.body)}"
        yield f"    evidence: {_said(one.known, 'the path, the status and the body')}"
    yield ""


def _names(one: Endpoint) -> Iterator[str]:
    if one.kind == "submit":
        yield "    body: json"
        yield "    id: job"
        yield f"    model: {inline([one.names])}"
        if one.input:
            yield f"    input: /{one.input}                        # where the model's input stands"
            yield "    schema:                              # of the rest of the body"
            yield "      type: object"
            yield "      properties:" if one.rest else "      properties: {}"
            yield from _properties(one.rest, one.known, 8)
    elif one.kind != "view":
        yield f"    job: {inline(one.names)}"
    if one.kind in _FROM:
        yield f"    from: {_FROM[one.kind]}"


def _tail(facts: Facts) -> Iterator[str]:
    yield "# The addresses of pictures: who can read them (opaque, sigv4, unsigned), and for how long."
    yield "urls:"
    said = _said("", "nothing is said of files")
    yield "  output:"
    yield "    serves: output"
    yield "    origin: api"
    yield '    path: "/files/{file.token}/{file.number}.{file.ext}"'
    yield "    signer: opaque"
    yield "    lives: 7d"
    yield "    from: end"
    yield f"    evidence: {said}"
    yield ""
    if facts.unserved:
        yield "# What the document has and this file does not serve yet."
        yield "unserved:"
        for what, why in facts.unserved:
            yield f"  - {{what: {inline(what)}, why: {inline(why)}, evidence: {_said(what, '')}}}"
        yield ""
    yield from _CALLBACKS


_CALLBACKS = (
    "# Callbacks, limits and readings come next, when they are known:",
    "#",
    "# callbacks:                             # and under ids: delivery, attempt",
    "#   address: /callback_url               # pointer into the request body",
    "#   events: {succeeded: job.completed, failed: job.failed}",
    '#   body: {event: "{delivery.event}", id: "{job.id}"}',
    "#   delivery_id: delivery",
    "#   attempt_id: attempt",
    "#   retry: {delays: [1s, 2s], from: end, on: [5xx, network, timeout], evidence: assumed - nobody says}",
    "#   evidence: assumed - nobody says",
    "# limits:",
    "#   submit: {kind: sliding, window: 10s, count: 100, per: [key], evidence: assumed - nobody says}",
    "# readings:                              # two pages that contradict each other: see section 3",
)


def _oneline(text: str) -> str:
    return " ".join(text.split())[:200]
