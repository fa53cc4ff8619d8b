"""What a test's world is checked for at its end, beside what the test itself asserts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fauxvider.analysis.entries import shown
from fauxvider.analysis.verdict import verdict_text
from fauxvider.values import span_text
from pytest_fauxvider.options import CHECKS

if TYPE_CHECKING:
    from pytest_fauxvider.world import FauxWorld

__all__ = ["Problem", "StrictError", "problems", "stray_lines", "told"]


class StrictError(AssertionError):
    """A world ended otherwise than its plan says."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What a check found. `text` may have several lines."""

    check: str
    text: str


def problems(world: FauxWorld) -> list[Problem]:
    """Run the checks that are on, in their order."""
    return [
        Problem(name, text)
        for name in CHECKS
        if name in world.plan.strict
        for text in _FOUND_BY[name](world)
        if not (name == "verdict" and "risks" in world.plan.strict)  # which says that too
    ]


def told(found: Iterable[Problem], *, where: str) -> str:
    """Put it into words, and say how and `where` to switch it off."""
    kept = list(found)
    names = list(dict.fromkeys(one.check for one in kept))
    lines = [f"fauxvider ({', '.join(names)}): the test's own assertions hold, but its world did not end well"]
    for one in kept:
        first, *rest = one.text.splitlines()
        lines += ["", f"{one.check}: {first}", *rest]
    off = ", ".join(f"-{name}" for name in names)
    lines += ["", f'If this is meant to be so: strict="{off}" in {where}.']
    return "\n".join(lines)


def _unexpected(world: FauxWorld) -> Iterator[str]:
    named = world.plan.providers
    entries = world.requests()
    unknown = [one for one in entries if one["does"] == "unknown"]
    strangers = [one for one in entries if named and one["provider"] not in named and one["does"] != "unknown"]
    if unknown:
        missed = world.near_misses()
        lines = [_explained(one, missed) for one in unknown]
        head = f"{_count(len(unknown), 'request')} for what the provider does not have"
        yield "\n".join([head, *dict.fromkeys(lines)])
    if world.strays():
        yield "\n".join(stray_lines(world))
    if strangers:
        lines = [f"  {one['provider']}: {_request_text(one)}" for one in strangers]
        head = f"{_count(len(strangers), 'request')} to a provider that the test does not name ({', '.join(named)})"
        yield "\n".join([head, *dict.fromkeys(lines)])


def stray_lines(world: FauxWorld) -> Iterator[str]:
    """Tell of requests that found no provider: most often the client has joined a path so that the world's is lost."""
    if found := world.strays():
        yield f"{_count(len(found), 'request')} that reached the server and no provider on it"
        yield from dict.fromkeys(f"  {shown(text)}" for text in found)
        yield f"  (this world is below {world.server.url}/w/{world.name}/; urljoin, for one, drops a base URL's path)"


def _request_text(entry: Mapping[str, Any]) -> str:
    return f"{shown(entry['method'], 20)} {shown(entry['path'])} -> {entry['status']}"


def _explained(entry: Mapping[str, Any], missed: Iterable[str]) -> str:
    asked = f"{shown(entry['method'], 20)} {shown(entry['path'])}"
    return f"  {next((text for text in missed if text.startswith(asked)), _request_text(entry))}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _scenario(world: FauxWorld) -> Iterator[str]:
    report = world.scenario()
    never = set(report["never"])
    for rule in report["rules"]:
        if rule["rule"] in never:
            note = f" ({rule['note']})" if rule["note"] else ""
            what = f"on {rule['on']}: {rule['do']}{note}"
            yield f"rule {rule['rule']} of the scenario {report['name']!r} never took effect; {what}"


def _callbacks(world: FauxWorld) -> Iterator[str]:
    attempts = [entry for entry in world.journal()["entries"] if entry["kind"] == "attempt"]
    meant = {entry["delivery"] for entry in attempts if "fault" in entry}  # what a scenario did, the test is about
    for one in world.deliveries():
        if one["state"] != "delivered" and one["id"] not in meant:
            what = f"{shown(one['event'], 40)} of job {shown(one['job_id'], 60)}"
            yield f"{what} never arrived at {shown(one['address'])}{_why(world, one)}"


def _why(world: FauxWorld, one: Mapping[str, Any]) -> str:
    tries = [str(tried["status"] or tried["error"]) for tried in one["attempts"]]
    tried = f"; attempts: {shown(', '.join(tries))}" if tries else ""
    if one["state"] == "pending":
        left = max(one["next_at"] - world.now(), 0)
        return (
            f"{tried}; the next one is due in {span_text(left)}: let that time pass"
            if left
            else f"{tried}; it is due now"
        )
    return f"{tried}; it was given up: {one['failure']} ({shown(one['failure_detail'])})"


def _verdict(world: FauxWorld) -> Iterator[str]:
    verdict = world.verdict(ignore=world.plan.ignore)
    harms = tuple(one for one in verdict.findings if one.severity == "harm")
    if harms:
        yield verdict_text(replace(verdict, findings=harms)).rstrip()


def _risks(world: FauxWorld) -> Iterator[str]:
    verdict = world.verdict(ignore=world.plan.ignore)
    if not verdict.is_clean:
        yield verdict_text(verdict).rstrip()


_FOUND_BY: Mapping[str, Callable[[FauxWorld], Iterator[str]]] = {
    "unexpected": _unexpected,
    "scenario": _scenario,
    "callbacks": _callbacks,
    "verdict": _verdict,
    "risks": _risks,
}
