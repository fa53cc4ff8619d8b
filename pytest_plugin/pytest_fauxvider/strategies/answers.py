"""Answers of a provider to every operation, as its contract has them: asked of the emulator itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from hypothesis import event
from hypothesis import strategies as st

from fauxvider.contract.model import Contract, Model, Operation
from fauxvider.contract.validation import SchemaValidator
from fauxvider.errors import UsageError
from fauxvider.local import Answer
from pytest_fauxvider.strategies.placing import constraint, path_of, place_of
from pytest_fauxvider.strategies.playing import HOOK, Play, playing
from pytest_fauxvider.strategies.provider import ProviderLike, Source, source_of
from pytest_fauxvider.strategies.requests import KEY, submissions, targets_of
from pytest_fauxvider.strategies.schema import from_schema, plain_json
from pytest_fauxvider.strategies.timeline import moments
from pytest_fauxvider.strategies.values import Response
from pytest_fauxvider.strategies.world_options import readings_of

__all__ = ["error_responses", "responses", "secret_in"]

_UPLOAD: Final = (
    b'--frontier\r\nContent-Disposition: form-data; name="%s"; filename="picture.png"\r\n'
    b"Content-Type: image/png\r\n\r\n\x89PNG\r\n\x1a\n\r\n--frontier--\r\n"
)
_FILE: Final = ("url_expired", "url_forged", "url_unsigned", "url_unknown", "url_method")


def responses(
    provider: ProviderLike, operation: str | None = None, *, model: str | None = None
) -> st.SearchStrategy[Response]:
    """Give answers to an operation of the contract (None: any), of a job at any moment and with any end.

    What an operation needs (a job, a secret, an upload) is there. Raises UsageError for an operation or a
    model that there is not.
    """
    source = source_of(provider)
    found = source.contract.operations
    if operation is not None and operation not in found:
        raise UsageError(f"{source.name} has no operation {operation!r} (it has: {', '.join(found)})")
    names = [operation] if operation is not None else list(found)
    targets_of(source.contract, model)
    source.needed_file()
    return st.sampled_from(names).flatmap(lambda name: _responses(source, name, model))


def error_responses(provider: ProviderLike, cause: str | None = None) -> st.SearchStrategy[Response]:
    """Give every refusal that the contract has a face for (or that of one `cause`)."""
    source = source_of(provider)
    own = [name for name, face in source.contract.errors.items() if "@" not in name and face.cause == name]
    if cause is not None and cause not in own:
        raise UsageError(f"{source.name} has no answer of its own for {cause!r} (it has: {', '.join(own)})")
    source.needed_file()
    return st.sampled_from(own if cause is None else [cause]).flatmap(lambda name: _refused(source, name))


@dataclass(frozen=True, slots=True)
class _Scene:
    """What happens before the answer: the world, the job, how long ago, and how it ends."""

    options: Mapping[str, Any]
    model: str | None
    failure: str
    wait: str


@st.composite
def _responses(draw: st.DrawFn, source: Source, name: str, model: str | None) -> Response:
    readings = draw(st.just({}) | readings_of(source.contract, 1)) if source.contract.readings else {}
    contract = source.needed_file().resolve(readings.get(source.name, {}))
    if name not in contract.operations:  # another reading knows nothing of it
        readings, contract = {}, source.contract
    operation = contract.operations[name]
    # A scenario speaks the words of the default readings.
    failure = draw(st.sampled_from(["", *(one for one in contract.failures if one in source.contract.failures)]))
    rules = [{"on": "job", "do": {"fail": failure}}] if failure else []
    options = {
        "readings": readings,
        "seed": draw(st.integers(0, 2**32)),
        "balances": {source.name: "1000000000"},
        "scenario": {"scenario": 1, "name": "drawn", "rules": rules},
    }
    scene = _Scene(options, model, failure, draw(moments(contract)).span)
    with playing(source, **options) as play:
        answer = _asked(draw, play, contract, operation, scene)
        entry = play.last("request")
    event(f"response: {name} {answer.status}")
    return _made(source, name, answer, entry)


def _made(source: Source, operation: str, answer: Answer, entry: Mapping[str, Any]) -> Response:
    return Response(
        provider=source.name,
        operation=operation,
        status=answer.status,
        headers=answer.headers,
        body=answer.body,
        cause=str(entry.get("cause") or ""),
        state=str(entry.get("state") or ""),
    )


def _asked(draw: st.DrawFn, play: Play, contract: Contract, operation: Operation, scene: _Scene) -> Answer:
    """Bring about what the operation is about, and ask."""
    if operation.kind == "submit":
        takes = targets_of(contract, scene.model, operation.name)
        return play.submit(
            draw(submissions(contract, takes[0].model.name if scene.model else None, operation=operation.name))
        )
    model, values = _model(contract, operation, scene.model), dict[str, str]()
    if operation.job is not None:
        hook = HOOK if contract.callbacks is not None else None
        first = targets_of(contract, scene.model)[0].model.name
        submission = draw(submissions(contract, first, callback_url=hook))
        play.submit(submission)
        model = contract.models[submission.model]
        play.world.advance(scene.wait)
        _place(values, operation.job, str(play.world.jobs()[0]["id"]))
        for fact, template in operation.where:
            _place(values, template, str(model.facts.get(fact[-1], "")))
    if operation.secret is not None:
        _place(values, operation.secret, secret_in(play, contract, draw))
    if operation.asset is not None:
        _place(values, operation.asset, _asset(play, contract, draw))
    key = next(iter(model.keys_of(len(operation.model))), model.key)
    for template, part in zip(operation.model, key, strict=False):
        _place(values, template, part)
    return _send(draw, play, operation, values)


def _model(contract: Contract, operation: Operation, name: str | None) -> Model:
    """Choose whose endpoint is asked: that of an owner, where only owners may."""
    models = [contract.models[name]] if name is not None else [one for one in contract.models.values() if one.active]
    owned = [one for one in models if one.facts.get("owned")]
    return owned[0] if operation.owner and owned else models[0]


def _place(values: dict[str, str], template: Any, value: str) -> None:
    place = place_of(template)
    if place is not None and place[0] == "path":
        values[place[1]] = value


def _send(draw: st.DrawFn, play: Play, operation: Operation, values: Mapping[str, str]) -> Answer:
    headers, body = _key(play.provider.contract), b""
    if operation.body == "json":
        validator = operation.validators.get("")
        schema = plain_json(validator.schema) if isinstance(validator, SchemaValidator) else {"type": "object"}
        rules = [schema, *_media_types(play.provider.contract, operation)]
        body = json.dumps(draw(from_schema({"allOf": rules}, extras=False))).encode()
        headers["Content-Type"] = "application/json"
    elif operation.body == "multipart":
        body = _UPLOAD % operation.part.encode()
        headers["Content-Type"] = "multipart/form-data; boundary=frontier"
    # What the path asks for and nothing says: a name of a model, as catalogues take it.
    known = {name: str(play.provider.contract.api.name) for name in _holes(operation)} | dict(values)
    origin = "" if operation.origin == play.provider.contract.api.name else operation.origin
    method = draw(st.sampled_from(operation.methods))
    return play.ask(method, path_of(operation, known), headers=headers, body=body, origin=origin)


def _media_types(contract: Contract, operation: Operation) -> list[dict[str, Any]]:
    """Give what an upload session needs beyond its schema: a sort of file that the provider takes."""
    place = operation.fields.get("media_type") if operation.kind == "asset_session" else None
    if not place or contract.assets is None or not contract.assets.media_types:
        return []
    return [constraint(place, {"enum": sorted(contract.assets.media_types)}, must_stand=True)]


def _holes(operation: Operation) -> list[str]:
    return [part[1:-1].removesuffix("+") for part in operation.path.split("/") if part.startswith("{")]


def _key(contract: Contract) -> dict[str, str]:
    first = contract.auth.accept[0]
    return {first.header: f"{first.scheme} {KEY}".strip()}


def secret_in(play: Play, contract: Contract, draw: st.DrawFn) -> str:
    """Have the provider make a secret to sign with; give its id ("no-such-secret" where it makes none)."""
    for operation in contract.operations.values():
        if operation.kind == "secret_create":
            _send(draw, play, operation, {})
            return play.server.call(play.provider.store.secrets())[-1].id
    return "no-such-secret"


def _asset(play: Play, contract: Contract, draw: st.DrawFn) -> str:
    """Upload something, or open a session for it and perhaps no more than that; give its id from the answer."""
    kinds = {operation.kind: operation for operation in contract.operations.values()}
    for operation in (kinds.get("asset_session"), kinds.get("asset_upload")):
        answer = _send(draw, play, operation, {}) if operation is not None else None
        if answer is None or answer.status >= 300:
            continue
        texts, store = _texts(answer.json()), play.provider.store
        found = next((text for text in texts if play.server.call(store.asset(text)) is not None), "")
        stage = draw(st.sampled_from(("confirmed", "uploaded", "open")))
        if stage != "open":
            _upload(draw, play, texts, kinds.get("asset_confirm") if stage == "confirmed" else None, found)
        return found
    return "no-such-asset"


def _upload(draw: st.DrawFn, play: Play, addresses: list[str], confirm: Operation | None, asset: str) -> None:
    """Send the file of a session, and confirm it where that is asked for."""
    for address in addresses:
        if address.startswith(("http://", "https://")):
            play.server.request("PUT", address, body=b"a picture", world=play.world.name)
    if confirm is not None and confirm.asset is not None:
        values = dict[str, str]()
        _place(values, confirm.asset, asset)
        _send(draw, play, confirm, values)


def _texts(tree: Any) -> list[str]:
    if isinstance(tree, str):
        return [tree]
    inner = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return [text for one in inner for text in _texts(one)]


@st.composite
def _refused(draw: st.DrawFn, source: Source, cause: str) -> Response:
    rules = [{"on": "request", "do": {"refuse": cause}}]
    scenario = {"scenario": 1, "name": "drawn", "rules": rules}
    with playing(source, seed=draw(st.integers(0, 2**32)), scenario=scenario) as play:
        address = _file_address(source.contract) if cause in _FILE else None
        if address is not None:
            origin, path = address
            answer, operation = play.ask("GET", path, headers={}, origin=origin), "file"
        else:
            submission = draw(submissions(source.contract))
            answer, operation = play.submit(submission), submission.operation
        entry = play.last("request")
    return _made(source, operation, answer, {**entry, "cause": cause})


def _file_address(contract: Contract) -> tuple[str, str] | None:
    """Give (origin, path) of a file that there could be."""
    url = next((one for one in contract.urls.values() if one.serves == "output"), None)
    if url is None:
        return None
    path = url.path
    for hole, text in (("token", "a" * 32), ("key", "folder/picture.png"), ("number", "0"), ("ext", "png")):
        path = path.replace(f"{{file.{hole}}}", text)
    return url.origin, quote(path.replace("{job.id}", "a-job"))
