"""Callbacks as a receiver gets them: made, signed and sent by the emulator itself."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from hypothesis import event, target
from hypothesis import strategies as st

from fauxvider.contract.model import Contract
from fauxvider.errors import UsageError
from fauxvider.local import CallbackAnswer
from fauxvider.service.recorder import message_print
from pytest_fauxvider.strategies.answers import secret_in
from pytest_fauxvider.strategies.faults import kinds_of
from pytest_fauxvider.strategies.playing import HOOK, Play, playing
from pytest_fauxvider.strategies.provider import ProviderLike, Source, source_of
from pytest_fauxvider.strategies.requests import submissions
from pytest_fauxvider.strategies.values import Delivery

__all__ = ["callbacks", "deliveries"]

_FORGED: Final = ("sign", "tamper", "reserialise")
_ANSWERS: Final[st.SearchStrategy[list[CallbackAnswer]]] = st.lists(
    st.sampled_from((200, 200, 500, "timeout", "reset")), max_size=8
)
_LONG: Final = "60d"  # until everything has been sent that is going to be: a run takes up to thirty days


def callbacks(provider: ProviderLike, model: str | None = None, *, genuine: bool = True) -> st.SearchStrategy[Delivery]:
    """Give single callbacks of jobs that ended in any way that the contract calls back for.

    Genuine ones are as the provider sends them, signed with `Delivery.secret` where it signs. Others have been
    tampered with, or carry a signature that a receiver must not take: `breaks` and `signature` say so.
    Raises UsageError for a provider without callbacks.
    """
    source = _source_with_callbacks(provider)
    if genuine:
        return _callbacks(source, model, st.just([]))
    forged = [kind.do for kind in kinds_of(source.contract) if kind.stage == "attempt" and kind.name in _FORGED]
    return _callbacks(source, model, st.one_of(*forged).map(lambda do: [{"on": "attempt", "do": do}]))


def deliveries(provider: ProviderLike, model: str | None = None, *, jobs: int = 2) -> st.SearchStrategy[list[Delivery]]:
    """Give everything that a receiver gets for one to `jobs` jobs, in the order in which it comes.

    Deliveries come late, early, more than once, in another order or not at all, and attempts are repeated as
    the receiver's own answers (drawn too) make the provider do.
    """
    source = _source_with_callbacks(provider)
    faults = [kind for kind in kinds_of(source.contract) if kind.stage == "delivery" and kind.legal]
    which = st.fixed_dictionaries({}, optional={"nth": st.sampled_from((1, 2)), "job": st.integers(1, jobs)})
    rules = st.sampled_from(faults).flatmap(
        lambda kind: st.fixed_dictionaries({"on": st.just("delivery"), "do": kind.do, "when": which})
    )
    return _deliveries(source, model, st.lists(rules, max_size=3), jobs)


def _source_with_callbacks(provider: ProviderLike) -> Source:
    source = source_of(provider)
    if source.contract.callbacks is None:
        raise UsageError(f"{source.name} sends no callbacks")
    source.needed_file()
    return source


@st.composite
def _callbacks(draw: st.DrawFn, source: Source, model: str | None, rules: st.SearchStrategy[list[Any]]) -> Delivery:
    drawn = [*_ends(draw, source.contract), *draw(rules)]
    with playing(source, seed=draw(st.integers(0, 2**32)), balances=_rich(source), scenario=_scenario(drawn)) as play:
        _secrets(draw, play, source.contract)
        play.submit(draw(submissions(source.contract, model, callback_url=HOOK)))
        play.world.advance(_LONG)
        return _told(play, source)[0]


def _ends(draw: st.DrawFn, contract: Contract) -> list[Any]:
    """Draw how the job ends, of the ends that call back."""
    events = contract.callbacks.events if contract.callbacks is not None else {}
    failures = [name for name, failure in contract.failures.items() if failure.end in events]
    ends = [""] if "succeeded" in events else []
    failure = draw(st.sampled_from([*ends, *failures]))
    return [{"on": "job", "do": {"fail": failure}}] if failure else []


@st.composite
def _deliveries(
    draw: st.DrawFn, source: Source, model: str | None, rules: st.SearchStrategy[list[Any]], jobs: int
) -> list[Delivery]:
    drawn = [*_ends(draw, source.contract), *draw(rules)]
    count = draw(st.integers(1, jobs))
    with playing(source, seed=draw(st.integers(0, 2**32)), balances=_rich(source), scenario=_scenario(drawn)) as play:
        _secrets(draw, play, source.contract)
        play.answers = iter(draw(_ANSWERS))
        for _ in range(count):
            play.submit(draw(submissions(source.contract, model, callback_url=HOOK)))
        play.world.advance(_LONG)
        told = _told(play, source)
    event(f"deliveries: {min(len(told), 5)}")
    target(float(len(told)), label="deliveries")
    return told


def _rich(source: Source) -> Mapping[str, str]:
    return {source.name: "1000000000"}


def _scenario(rules: list[Any]) -> Mapping[str, Any]:
    return {"scenario": 1, "name": "drawn", "rules": rules}


def _secrets(draw: st.DrawFn, play: Play, contract: Contract) -> None:
    """Have a secret to sign with, and one before it, where the provider keeps any."""
    for _ in range(2 if contract.secrets is not None else 0):
        secret_in(play, contract, draw)


def _told(play: Play, source: Source) -> list[Delivery]:
    """Give what came, with what the journal says of it: the attempt, its signature, what was done to it."""
    known: dict[str, deque[Mapping[str, Any]]] = {}
    for entry in play.world.journal()["entries"]:
        if entry["kind"] == "attempt" and entry["outcome"] != "lost":
            for _ in range(1 + (entry.get("copies") or 0)):
                known.setdefault(entry["digest"], deque()).append(entry)
    secrets = {secret.id: secret.value for secret in play.server.call(play.provider.store.secrets())}
    owners = {shown["id"]: shown["secret_id"] for shown in play.world.deliveries()}
    told = []
    for callback in play.came:
        entry = known[message_print(callback.body)].popleft()
        told.append(
            Delivery(
                provider=source.name,
                job=entry["job"],
                event=entry["event"],
                attempt=entry["number"],
                method=callback.method,
                headers=callback.headers,
                body=callback.body,
                signature=entry["signature"],
                breaks=_breaks(entry.get("fault") or ""),
                secret=secrets.get(owners.get(entry["delivery"]) or "", ""),
            )
        )
    return told


def _breaks(fault: str) -> str:
    """Name what makes a callback one that is not to be trusted; coming late or twice does not."""
    return ", ".join(one for one in fault.split(", ") if one.split(" ")[0] in _FORGED)
