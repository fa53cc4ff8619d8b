"""Cases of callback signing secrets: made, shown, listed, changed, taken away."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from fauxvider.contract.model import Operation
from fauxvider.toolkit.verify.case import Case
from fauxvider.toolkit.verify.names import MOMENT, id_pattern
from fauxvider.toolkit.verify.samples import Call, NotAskedError
from fauxvider.toolkit.verify.session import Session
from fauxvider.toolkit.verify.wants import Exactly, Like, Maybe

__all__ = ["current_secret", "secret_cases"]

_KINDS = ("secret_read", "secret_list", "secret_update", "secret_delete")


def secret_cases(session: Session) -> Iterator[Case]:
    for operation in session.model_operations("secret_create"):
        # A secret that is made on a real account stays there, and may begin to sign.
        yield Case(f"{operation.name}: a secret is made", f"/operations/{operation.name}", _made, ("control",))
    for operation in session.model_operations(*_KINDS):
        yield Case(
            f"{operation.name} of a secret",
            f"/operations/{operation.name}",
            partial(_asked, operation=operation),
            ("control",),
        )
        if operation.kind != "secret_list" and operation.secret is not None:
            yield Case(
                f"{operation.name} of a secret that does not exist",
                f"/operations/{operation.name}/answers/missing",
                partial(_missing, operation=operation),
            )


def _scope(session: Session, call: Call, known: dict[str, Any]) -> dict[str, Any]:
    rules = session.contract.secrets
    if rules is None:
        raise NotAskedError("the contract has no secrets")
    value = Like("text", id_pattern(rules.value), "a secret", "/secrets/value", capture="secret.value")
    secret = {
        "id": known.get("secret.id")
        or Like(
            "text", id_pattern(session.contract.ids[rules.id].tokens), "an id", f"/ids/{rules.id}", capture="secret.id"
        ),
        "value": Exactly(known["secret.value"], "/secrets/value") if "secret.value" in known else value,
        "public": Like("text", "[A-Za-z0-9_-]{43}", "a public key", "/secrets/value", capture="secret.public"),
        "prefix": Exactly(str(known["secret.value"])[:10]) if "secret.value" in known else Like("text"),
        "current": Exactly(rules.first_is_current, "/secrets/first_is_current"),
        "label": Like("text"),
        "disabled": None,
        "created": MOMENT,
        "updated": MOMENT,
        "last_used": Maybe(MOMENT),
    }
    return {**session.scope(call), "secret": secret, "secrets": [secret]}


def _call(session: Session, operation: Operation, secret: str = "") -> Call:
    call = session.samples.call(operation)
    raw = str(session.tree["operations"][operation.name].get("secret", ""))
    if raw.startswith("{path."):
        call.params[raw.strip("{}").split(".")[1]] = secret
    schema = session.tree["operations"][operation.name].get("schema", {})
    if operation.body == "json":
        for name in schema.get("required", []):
            call.body[name] = "made by verify"
    return call


def current_secret(session: Session) -> dict[str, Any]:
    """Make a signing secret, which becomes the current one; give what is told of it (`secret.id`, `secret.value`).

    Where an account has one from its start, that one is looked up; of a pair of keys the public one is told.
    """
    rules = session.contract.secrets
    if rules is not None and rules.present:
        return _present_secret(session)
    operation = next(iter(session.model_operations("secret_create")), None)
    if operation is None:
        raise NotAskedError("no operation of the contract makes a signing secret")
    if session.world is None:
        raise NotAskedError("a secret that is made on a real account would stay there")
    call = _call(session, operation)
    found = session.expect(call, "ok", scope=_scope(session, call, {}))
    if "secret.id" not in found.captured:
        raise NotAskedError("no signing secret could be made")
    return found.captured


def _present_secret(session: Session) -> dict[str, Any]:
    found = [one for one in session.model_operations("secret_read", "secret_list") if one.secret is None]
    if not found:
        raise NotAskedError("no operation of the contract shows the signing secret")
    call = _call(session, found[0])
    return session.expect(call, "ok", scope=_scope(session, call, {})).captured


def _made(session: Session) -> None:
    current_secret(session)


def _asked(session: Session, operation: Operation) -> None:
    known = current_secret(session)
    call = _call(session, operation, str(known.get("secret.id", "")))
    scope = _scope(session, call, known)
    if operation.kind == "secret_delete":
        scope["secret"] = {**scope["secret"], "disabled": MOMENT, "current": False}
    session.expect(call, "ok", scope=scope)


def _missing(session: Session, operation: Operation) -> None:
    call = _call(session, operation, "00000000-0000-4000-8000-000000000000")
    if "missing" in session.tree["operations"][operation.name]["answers"]:
        session.expect(call, "missing")
    else:
        session.expect_error(call, "secret_unknown")
