"""Cases of files: what a picture is, how its address is signed, and when it dies."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit, urlunsplit

from fauxvider.contract.model import Url
from fauxvider.engine.outputs import MEDIA_TYPES, sniff
from fauxvider.engine.signing import amz_moment
from fauxvider.toolkit.verify.case import Case
from fauxvider.toolkit.verify.client import Answer
from fauxvider.toolkit.verify.jobs import Watch, start, submissions
from fauxvider.toolkit.verify.names import Run
from fauxvider.toolkit.verify.samples import Call, NotAskedError
from fauxvider.toolkit.verify.session import Session

_LONGEST_S = 60 * 86_400

__all__ = ["check_pictures", "check_query", "file_cases"]


def file_cases(session: Session) -> Iterator[Case]:
    url = _output_url(session)
    found = next(((operation, models[0]) for operation, models in submissions(session) if models), None)
    if url is None or found is None:
        return
    operation, model = found
    about: dict[str, Any] = {"operation": operation.name, "model": model}
    price = session.price_of(start(session, operation, model)[0])
    rule = f"/urls/{url.name}"
    if url.lives is not None:
        yield Case(
            "a picture's address dies when it must", f"{rule}/lives", partial(_life, **about), ("control",), price
        )
    yield Case("a picture's address that was changed", f"{rule}/signer", partial(_forged, **about), (), price)
    if url.signer == "sigv4":
        yield Case(
            "a picture's address without its signature", f"{rule}/signer", partial(_unsigned, **about), (), price
        )
    yield Case("a picture's address with another method", f"{rule}/errors", partial(_method, **about), (), price)


def _output_url(session: Session) -> Url | None:
    return next((one for one in session.contract.urls.values() if one.serves == "output"), None)


def _addresses(run: Run) -> list[tuple[int, str]]:
    return [
        (int(name.partition(".")[2]), str(value))
        for name, value in sorted(run.captured.items())
        if name.startswith("output.")
    ]


def check_pictures(session: Session, run: Run) -> None:
    """Download what a job shows, and look at what it is."""
    url = _output_url(session)
    if url is None or run.shape is None:
        return
    at = f"/models/{run.model.name}/output"
    for _, address in _addresses(run):
        check_query(session, url, address)
        answer = _get(session, address)
        if answer.status != 200 or answer.problem:
            session.fail(
                f"/urls/{url.name}", "status", "200", f"{answer.status} {answer.problem}".strip(), answer.status
            )
            continue
        wanted = MEDIA_TYPES[run.shape.format]
        if (answer.header("content-type") or "").partition(";")[0] != wanted:
            session.fail(f"{at}/format", "header content-type", wanted, answer.header("content-type") or "none")
        found = sniff(answer.body)
        if found is None or found[0] != run.shape.format:
            session.fail(f"{at}/format", "the picture", run.shape.format, found[0] if found else "no picture")
        elif found[1:] != (run.shape.width, run.shape.height):
            size = f"{run.shape.width} x {run.shape.height} pixels"
            session.fail(f"{at}/size", "the picture", size, f"{found[1]} x {found[2]} pixels", list(found[1:]))
        else:
            session.held |= {f"{at}/format", f"{at}/size"}


def _get(session: Session, address: str, method: str = "GET") -> Answer:
    # No key goes to a file host: there it is nobody's business.
    return session.client.send(method, address)


def check_query(session: Session, url: Url, address: str) -> None:
    """Look at what a signed address says of itself."""
    rules = url.sigv4
    if rules is None:
        return
    at = f"/urls/{url.name}"
    given = {name: values[0] for name, values in parse_qs(urlsplit(address).query, keep_blank_values=True).items()}
    wanted = {"X-Amz-Algorithm": ("AWS4-HMAC-SHA256", f"{at}/signer"), "X-Amz-SignedHeaders": ("host", f"{at}/signer")}
    if url.lives is not None:
        wanted["X-Amz-Expires"] = (str(min(url.lives // 1000, 604_800)), f"{at}/lives")
    wanted |= {name: (value, f"{at}/sigv4/query/{name}") for name, value in rules.query.items()}
    for name, (value, rule) in wanted.items():
        if given.get(name) != value:
            session.fail(rule, f"query {name}", value, given.get(name, "none"), given.get(name))
    scope = given.get("X-Amz-Credential", "").split("/")
    for index, name in ((2, "region"), (3, "service")):
        value = getattr(rules, name)
        seen = scope[index] if len(scope) == 5 else None
        if seen != value:
            session.fail(f"{at}/sigv4/{name}", "query X-Amz-Credential", value, seen or "none", seen)
    if len(given.get("X-Amz-Signature", "")) != 64:
        session.fail(
            f"{at}/signer", "query X-Amz-Signature", "64 hexadecimal digits", given.get("X-Amz-Signature", "none")
        )


def _finished(session: Session, operation: str, model: str) -> tuple[Run, Watch, Url, str]:
    call, run = start(session, session.contract.operations[operation], model)
    state = session.submit(call, run)
    watch = Watch(session, call, run)
    if not state.is_terminal:
        watch.finish()
    url, found = _output_url(session), _addresses(run)
    if url is None or not found:
        raise NotAskedError("the job shows no address of a picture")
    return run, watch, url, found[0][1]


def _refused(session: Session, url: Url, address: str, cause: str, method: str = "GET") -> None:
    name = url.errors.get(cause, cause)
    call = Call(next(iter(session.contract.operations.values())), method)
    wanted = session.error(name, session.scope(call))
    session.note(session.compare(_get(session, address, method), wanted))


def _life(session: Session, operation: str, model: str) -> None:
    """Ask just before and just after the moment of death."""
    _, _, url, address = _finished(session, operation, model)
    world, lives = session.world, url.lives or 0
    if world is None:
        raise NotAskedError("it needs a clock that can be moved (--control)")
    rule = f"/urls/{url.name}/lives"
    if url.origin_moment == "issue":
        signed = parse_qs(urlsplit(address).query).get("X-Amz-Date", [""])[0]
        born = amz_moment(signed) or world.now()
    else:
        shown = [entry for entry in [world.job(_job_of(session))] if entry.get("ends") is not None]
        born = int(shown[0]["ends"]) if shown else world.now()
    world.advance_to(born + lives - 2_000)
    answer = _get(session, address)
    if answer.status != 200:
        session.fail(rule, "2 s before its end", "200", str(answer.status), _search(session, operation, model))
        return
    world.advance_to(born + lives + 1_000)
    answer = _get(session, address)
    if answer.status == 200:
        session.fail(rule, "1 s after its end", "a refusal", "200", _search(session, operation, model))
        return
    _refused(session, url, address, "url_expired")


def _search(session: Session, operation: str, model: str) -> int | None:
    """Find out, to the second, how long an address lives: with a fresh one for each try."""
    world, low, high = session.world, 0, _LONGEST_S
    if world is None:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        _, _, _, address = _finished(session, operation, model)
        world.advance(middle * 1000 - 500)
        if _get(session, address).status == 200:
            low = middle
        else:
            high = middle
    return None if high == _LONGEST_S else (low + 1) // 60 * 60_000 if (low + 1) % 60 < 2 else low * 1000


def _job_of(session: Session) -> str:
    return session.last_job


def _forged(session: Session, operation: str, model: str) -> None:
    run, _, url, address = _finished(session, operation, model)
    if url.signer == "sigv4":
        parts = urlsplit(address)
        query = [
            (name, f"{'0' * 63}1" if name == "X-Amz-Signature" else value) for name, value in parse_qsl(parts.query)
        ]
        _refused(session, url, urlunsplit(parts._replace(query=urlencode(query))), "url_forged")
        return
    if url.signer != "opaque":
        raise NotAskedError("these addresses are not signed")
    token = str(run.captured.get("token.1", ""))
    if not token:
        raise NotAskedError("the address shows no token")
    _refused(session, url, address.replace(token, token[::-1]), "url_forged")


def _unsigned(session: Session, operation: str, model: str) -> None:
    _, _, url, address = _finished(session, operation, model)
    _refused(session, url, address.partition("?")[0], "url_unsigned")


def _method(session: Session, operation: str, model: str) -> None:
    _, _, url, address = _finished(session, operation, model)
    _refused(session, url, address, "url_method", "POST")
