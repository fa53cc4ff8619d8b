"""A submission that calls back, the receiver of its calls, and what one call must be."""

from __future__ import annotations

import re
from typing import Any

from fauxvider.clock import monotonic_ms
from fauxvider.contract.model import Callbacks
from fauxvider.engine.signing import is_signed, sign
from fauxvider.gate import dump_json
from fauxvider.receiver import NotReceivedError, Received, Receiver
from fauxvider.toolkit.verify.jobs import Watch
from fauxvider.toolkit.verify.names import MOMENT, Run, id_pattern
from fauxvider.toolkit.verify.samples import Call, NotAskedError
from fauxvider.toolkit.verify.session import Session
from fauxvider.toolkit.verify.signatures import other_signing, signing_header
from fauxvider.toolkit.verify.wants import Exactly, Fields, Like, Want, decoded, match, text_want

__all__ = ["Hook", "callback_rules", "check_message", "receiver"]

_WHOLE = re.compile(r"\{([a-z_.]+)\}")  # a header that is one name and nothing else


class Hook:
    """A submission that calls back, and the receiver of its calls."""

    def __init__(
        self, session: Session, receiver: Receiver, operation: str, model: str, events: list[str] | None = None
    ) -> None:
        self.session = session
        self.receiver = receiver
        self.address = f"{receiver.url}/hook"
        contract = session.contract
        self.rules: Callbacks = callback_rules(session)
        submit = contract.operations[operation]
        self.call: Call = session.samples.call(submit, contract.models[model])
        if self.rules.query:
            self.call.query[self.rules.query] = self.address
        else:
            _put(self.call.body, self.rules.address, self.address)
        if self.rules.progress and not self.rules.filter:
            raise NotAskedError("what is told before the end cannot be told apart from the end")
        if self.rules.filter:
            _put(self.call.body, self.rules.filter, events or sorted(set(self.rules.events.values())))
        self.run: Run = session.run_of(self.call)

    def submit(self) -> Watch:
        self.session.submit(self.call, self.run)
        return Watch(self.session, self.call, self.run)

    def wait(self, count: int) -> list[Received]:
        """Wait for so many requests; those that have come if the rest does not."""
        # By the time that an advance returns, what fell due has been sent and answered.
        limit = 0.3 if self.session.world else self.session.patience_ms / 1000
        if self.session.world is None:
            self.session.waiting(f"for {count} callback{'s' if count > 1 else ''}", self.session.patience_ms)
        try:
            return self.receiver.wait(count, limit)
        except NotReceivedError:
            return list(self.receiver.received)


def _put(body: Any, pointer: tuple[str, ...], value: Any) -> None:
    for name in pointer[:-1]:
        body = body.setdefault(name, {})
    body[pointer[-1]] = value


def callback_rules(session: Session) -> Callbacks:
    if session.contract.callbacks is None:
        raise NotAskedError("the contract has no callbacks")
    return session.contract.callbacks


def receiver(session: Session, answers: Any = 200) -> Receiver:
    host, port = session.receiver_at
    return Receiver(answers, host=host, port=port, clock=monotonic_ms)


def check_message(session: Session, hook: Hook, received: Received, word: str, secret: dict[str, Any]) -> None:
    state = session.contract.states[word]
    scope = session.names.job(session.scope(hook.call), hook.run, state)
    event = hook.rules.events.get(state.canonical, state.canonical)
    scope["delivery"] = {
        "event": Exactly(event, f"/callbacks/events/{state.canonical}"),
        "address": hook.address,
        "created": MOMENT,
    }
    tree, problem = decoded(received.body)
    if problem:
        session.fail("/callbacks/body", "callback", "JSON", problem)
        return
    want = session.names.reader.want(session.tree["callbacks"]["body"], "/callbacks/body", scope)
    session.note(match(_ordered(want), tree, ""))
    if dump_json(tree) != received.body:
        session.fail(
            "/callbacks/body", "the callback's bytes", "compact JSON", received.body[:120].decode("utf-8", "replace")
        )
    _check_headers(session, hook, received, scope, secret)


def _ordered(want: Want) -> Want:
    return Fields(want.fields, want.at, is_ordered=True) if isinstance(want, Fields) else want


def _check_headers(
    session: Session, hook: Hook, received: Received, scope: dict[str, Any], secret: dict[str, Any]
) -> None:
    scope["signature"], signature = None, hook.rules.signature
    if signature is not None and secret.get("secret.value"):
        made = sign(signature, str(secret["secret.value"]), _signed(session, hook, received))
        scope["signature"] = Exactly(made, "/callbacks/signature")
    elif signature is not None and secret.get("secret.public"):
        scope["signature"] = Like("text", "[A-Za-z0-9+/=]+", "a signature", "/callbacks/signature", capture="signature")
    kind = session.contract.ids[hook.rules.delivery_id]
    minted = Like("text", id_pattern(kind.tokens), f"the id {kind.name}", f"/ids/{kind.name}")
    scope["delivery"] = {**scope["delivery"], "id": minted}
    scope["timestamp"] = Like("text", r"\d+", "a moment in s")
    scope["attempt"] = {"number": 1, "id": Like("text"), "at": MOMENT}
    for name, raw in session.tree["callbacks"].get("headers", {}).items():
        want = text_want(session.names.reader.want(raw, f"/callbacks/headers/{name}", scope))
        got = received.header(name)
        if isinstance(want, Exactly) and want.value in (None, ""):
            if got is not None:
                session.fail(f"/callbacks/headers/{name}", f"header {name}", "no such header", got)
        elif got is None:
            session.fail(f"/callbacks/headers/{name}", f"header {name}", "this header", "none")
            _elsewhere(session, hook, received, secret, name)
        else:
            found = match(want, got, f"header {name}")
            if any(one.rule == "/callbacks/signature" for one in found.mismatches):
                _otherwise(session, hook, received, secret, name)
            session.note(found)
            if "signature" in found.captured and signature is not None:
                given, names = str(found.captured["signature"]), _signed(session, hook, received)
                if not is_signed(signature, str(secret["secret.public"]), names, given):
                    session.fail("/callbacks/signature", f"header {name}", "a signature of this message", "another")


def _otherwise(session: Session, hook: Hook, received: Received, secret: dict[str, Any], header: str) -> None:
    """Tell in which other way the callback is signed, if it is one of the usual ones."""
    signature, value = hook.rules.signature, str(secret.get("secret.value") or "")
    if signature is None or not value:
        return
    names = _signed(session, hook, received)
    if way := other_signing(signature, value, names, received.header(header) or ""):
        told = ", ".join(f"{key} {text}" for key, text in way.items())
        session.fail("/callbacks/signature", "the way of signing", "the contract's", told, way)


def _elsewhere(session: Session, hook: Hook, received: Received, secret: dict[str, Any], header: str) -> None:
    """Tell under which other header the signature came."""
    signature, value = hook.rules.signature, str(secret.get("secret.value") or "")
    raw = str(session.tree["callbacks"]["headers"][header])
    if signature is None or not value or "{signature" not in raw:
        return
    if name := signing_header(signature, value, _signed(session, hook, received), received):
        session.fail(f"/callbacks/headers/{header}", "the signature's header", header, name, {"header": name})


def _signed(session: Session, hook: Hook, received: Received) -> dict[str, Any]:
    """Give the names of the signed text: those that headers carry, as they came."""
    names: dict[str, Any] = {"payload": received.body.decode("utf-8", "replace"), "job": {"id": hook.run.id}}
    for name, raw in session.tree["callbacks"].get("headers", {}).items():
        found = _WHOLE.fullmatch(str(raw))
        if found is not None:
            *above, last = found[1].split(".")
            inner = names
            for step in above:
                inner = inner.setdefault(step, {})
            inner.setdefault(last, received.header(name))
    if session.world is not None and "id" not in names.setdefault("delivery", {}):
        names["delivery"]["id"] = session.world.delivery_id()
    return names
