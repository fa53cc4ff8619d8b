"""Each bad client with the verdict rule that must catch it, and the scenario that exposes it.

The reference client goes through the same scenario unharmed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from support.bad_clients import (
    CancelsLate,
    ComesLate,
    FailureForSuccess,
    ForgetsTheResult,
    GivesUpEarly,
    GoesBack,
    Hammers,
    IgnoresRetryAfter,
    KeyPerTry,
    NeverLeaves,
    NoBackoff,
    NumberForStatus,
    OneKey,
    OrdersAgain,
    PollsWithAWrongKey,
    Resends,
    RetriesRefusals,
    SendsWhatIsForbidden,
    StopsAtUnknown,
    WaitsForEver,
)
from support.bad_takers import (
    AnswersAfterTheWork,
    AsksForCopies,
    BelievesTheLabel,
    BelievesTheLastEvent,
    ChecksNoSignature,
    FetchesInParts,
    KeepsAnySize,
    KeepsBlack,
    KeepsHalves,
    KeepsLinks,
    KeepsOneSecret,
    KeepsTheLabel,
    KnowsItselfByTheKey,
    KnowsItsOwn,
    MatchesByOrder,
    OneSession,
    OneTry,
    ProcessesCopies,
    Redirects,
    Rotates,
    RunsAgain,
    RunsAgainForOldNews,
    SavesTheLink,
    SignsParsedJson,
    TrustsTheCallback,
)
from support.clients import Client, Style
from support.thrifty_clients import JoinsParts, KeepsABudget, PaysByMemory

__all__ = ["BUGS", "Bug"]

DAY = 86_400.0
HOUR = 3_600.0


@dataclass(frozen=True)
class Bug:
    """A client, the rule that must catch it, where it comes from, and what exposes it."""

    client: type[Client]
    rule: str
    source: str
    provider: str = "runpod"
    style: Style = "polling"
    rules: tuple[Mapping[str, Any], ...] = ()  # of the scenario
    world: Mapping[str, Any] = field(default_factory=dict)
    failures: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ("a fox",)
    after: float = 2 * HOUR
    reference: type[Client] = Client  # comes through the same unharmed
    beside: tuple[str, ...] = ()  # rules that the same defect breaks, too

    def __str__(self) -> str:
        return f"{self.client.__name__} on {self.provider}"


def _on(on: str, do: Mapping[str, Any], **when: Any) -> Mapping[str, Any]:
    return {"on": on, "do": do, **({"when": when} if when else {})}


LOST = _on("request", {"lose": "reset"}, does="submit", nth=1)
SLOW = _on("job", {"slow": "2m"})

BUGS: tuple[Bug, ...] = (
    Bug(Resends, "retried-without-key", "incidents.md C1: Comfy-Org/ComfyUI PR #16204", rules=(LOST,)),
    Bug(
        Resends,
        "retried-without-key",
        "incidents.md C1: ComfyUI #15897 (a proxy's page)",
        provider="onemin",
        rules=(_on("request", {"lose": "html_522"}, does="submit", nth=1),),
    ),
    Bug(KeyPerTry, "retried-with-new-key", "incidents.md C1: square-mcp-server#31", provider="runflow", rules=(LOST,)),
    Bug(OneKey, "reused-key", "incidents.md C1: replicate/cog#905", provider="runflow", prompts=("a fox", "a hare")),
    Bug(CancelsLate, "cancelled-too-late", "incidents.md C10"),
    Bug(
        PaysByMemory,
        "passed-own-budget",
        "incidents.md C10: CopilotKit/aimock#269",
        rules=(_on("account", {"reading": {"megapixel": "decimal"}}, nth=2),),
        world={"readings": {"runpod": {"megapixel": "binary"}}},
        prompts=("a fox", "a hare", "an owl"),
        reference=KeepsABudget,
    ),
    Bug(
        OrdersAgain,
        "ordered-again",
        "incidents.md C8 (poll loops that end too soon)",
        provider="onemin",
        rules=(_on("request", {"lose": "hang"}, does="read", nth=1),),
    ),
    Bug(ForgetsTheResult, "paid-never-fetched", "incidents.md C1 (four charges, no image)"),
    Bug(ComesLate, "came-after-retention", "incidents.md C8: runpod/runpod-python#56"),
    Bug(NeverLeaves, "polled-finished-job", "incidents.md C8: AIProxySwift PR #27", failures=("handler_error",)),
    Bug(
        NumberForStatus,
        "polled-denied-job",
        "incidents.md C8: n8n-nodes-comfyui#16; runpod.md 11.1",
        beside=("came-after-retention",),
    ),
    Bug(Hammers, "hammered", "incidents.md C8", provider="onemin"),
    Bug(
        NoBackoff,
        "no-backoff",
        "incidents.md row 56; runpod.md 5",
        rules=(_on("request", {"refuse": "rate"}, does="read", nth="1-6"),),
    ),
    Bug(
        IgnoresRetryAfter,
        "ignored-retry-after",
        "incidents.md row 56: mimickerhq/mimicker PR #38",
        provider="onemin",
        rules=(_on("request", {"refuse": "rate", "retry_after": "40s"}, does="read", nth=1),),
    ),
    Bug(GivesUpEarly, "gave-up-early", "incidents.md C8: moeru-ai/airi#2084", rules=(SLOW,)),
    Bug(
        WaitsForEver,
        "waited-for-ever",
        "incidents.md C8: bitmind-subnet PR #312",
        rules=(_on("job", {"stuck": "IN_PROGRESS"}),),
    ),
    Bug(
        WaitsForEver,
        "waited-for-ever",
        "incidents.md C3 (stuck `processing` for ever)",
        provider="onemin",
        rules=(_on("job", {"stuck": "PROCESSING"}),),
    ),
    Bug(
        StopsAtUnknown,
        "stopped-at-unknown-word",
        "incidents.md C8: bitmind-subnet PR #312",
        rules=(SLOW, _on("job", {"words": {"IN_PROGRESS": "WARMING_UP"}})),
    ),
    Bug(
        GoesBack,
        "went-back",
        "incidents.md C5: google/go-github#2706; C8: runpod-python#250",
        rules=(_on("job", {"flicker": {"word": "IN_PROGRESS", "after": "1s", "lasts": "30s"}}),),
    ),
    Bug(
        RetriesRefusals,
        "retried-refusal",
        "incidents.md C8",
        provider="runflow",
        beside=("forbidden-request",),
    ),
    Bug(PollsWithAWrongKey, "retried-refusal", "incidents.md C8: mutonby/openshorts#39", provider="onemin"),
    Bug(SendsWhatIsForbidden, "forbidden-request", "incidents.md C11", provider="onemin"),
    Bug(
        SendsWhatIsForbidden,
        "forbidden-request",
        "runpod.md C8 (accepted, and failed for it)",
    ),
    Bug(
        FailureForSuccess,
        "took-failure-for-success",
        "runpod.md 11.7 (FAILED swallowed)",
        failures=("handler_error",),
    ),
    Bug(
        TrustsTheCallback,
        "lost-callback-not-reconciled",
        "incidents.md C3: replicate-javascript#321",
        style="webhook",
        rules=(_on("delivery", {"lose": True}),),
    ),
    Bug(
        TrustsTheCallback,
        "lost-callback-not-reconciled",
        "incidents.md C3: PHASE-STELLAR/Phase#29 (we were deploying)",
        provider="runflow",
        style="webhook",
        rules=(_on("attempt", {"answer": 503}),),
    ),
    Bug(AnswersAfterTheWork, "slow-acknowledgement", "incidents.md C4: bettersg/checkMate#152", style="webhook"),
    Bug(
        ProcessesCopies,
        "processed-twice",
        "incidents.md C4: wasp-lang/open-saas#688",
        provider="runflow",
        style="webhook",
        rules=(_on("delivery", {"duplicate": 2}),),
    ),
    Bug(
        ChecksNoSignature,
        "accepted-bad-signature",
        "incidents.md C2; replicate-javascript#195",
        provider="runflow",
        style="webhook",
        rules=(_on("attempt", {"tamper": "body"}),),
    ),
    Bug(SignsParsedJson, "refused-good-signature", "incidents.md C2: orch#134", provider="runflow", style="webhook"),
    Bug(
        KeepsOneSecret,
        "refused-old-secret",
        "incidents.md C9: octokit/webhooks.js#770",
        provider="runflow",
        style="webhook",
        rules=(_on("attempt", {"sign": "rotated"}),),
        reference=Rotates,
    ),
    Bug(
        Redirects,
        "redirected-callback",
        "incidents.md C2: replicate-javascript#195",
        provider="runflow",
        style="hybrid",
    ),
    Bug(
        KnowsItsOwn,
        "refused-unknown-job",
        "incidents.md C6: Wavix/Mokkify PR #30",
        provider="runflow",
        style="webhook",
        rules=(_on("delivery", {"early": True}),),
    ),
    Bug(
        BelievesTheLastEvent,
        "believed-old-event",
        "incidents.md C5: mirakl-hyperwallet-connector#35",
        style="hybrid",
        rules=(_on("delivery", {"delay": "30m"}, nth=1),),
        failures=("handler_error",),
        reference=RunsAgain,
    ),
    Bug(
        RunsAgainForOldNews,
        "believed-old-event",
        "incidents.md C5: google/go-github#2706",
        style="hybrid",
        rules=(_on("delivery", {"delay": "30m"}, nth=1),),
        failures=("handler_error",),
        reference=RunsAgain,
    ),
    Bug(AsksForCopies, "redelivery-storm", "incidents.md C4: sendgrid/docs#2933", provider="runflow", style="webhook"),
    Bug(
        KeepsLinks,
        "used-expired-url",
        "incidents.md C7: wandb/weave PR #1524",
        provider="runflow",
        after=2 * DAY,
        beside=("never-downloaded",),
    ),
    Bug(
        KeepsLinks,
        "never-downloaded",
        "incidents.md C7: premieroctet/photoshot#54",
        after=8 * DAY,
        beside=("used-expired-url",),
    ),
    Bug(
        OneTry,
        "download-not-retried",
        "incidents.md C7: reapit/foundations#10700",
        rules=(_on("output", {"late": "20s"}),),
    ),
    Bug(
        SavesTheLink,
        "saved-nothing",
        "onemin.md 4 (SUCCESS with an empty temporaryUrl)",
        provider="onemin",
        rules=(_on("output", {"empty_url": True}),),
    ),
    Bug(KeepsHalves, "kept-damaged-picture", "incidents.md C12", rules=(_on("output", {"short": 0.5}),)),
    Bug(KeepsHalves, "kept-damaged-picture", "incidents.md C12", "onemin", rules=(_on("output", {"corrupt": True}),)),
    Bug(
        KeepsHalves,
        "kept-damaged-picture",
        "incidents.md C12",
        "runflow",
        rules=(_on("request", {"garble": "json"}, does="file"),),
    ),
    Bug(KeepsBlack, "kept-black-picture", "incidents.md C12", rules=(_on("output", {"black": True}),)),
    Bug(
        KeepsAnySize,
        "kept-other-size",
        "incidents.md C10, C12",
        "runflow",
        rules=(_on("output", {"resize": [64, 64]}),),
    ),
    Bug(
        BelievesTheLabel,
        "believed-content-type",
        "incidents.md C12",
        rules=(_on("output", {"content_type": "text/html"}),),
    ),
    Bug(
        KeepsTheLabel,
        "believed-content-type",
        "incidents.md row 47",
        "onemin",
        rules=(_on("output", {"content_type": "text/html"}),),
    ),
    Bug(
        MatchesByOrder,
        "mixed-up-jobs",
        "incidents.md C5: mirakl-hyperwallet-connector#35",
        "runflow",
        style="webhook",
        rules=(_on("delivery", {"delay": "5s"}, job=1),),
        prompts=("a fox", "a hare"),
    ),
    Bug(
        FetchesInParts,
        "took-whole-for-part",
        "incidents.md row 47: byoutline/MockServer#4",
        "onemin",
        rules=(_on("output", {"no_range": True}),),
        reference=JoinsParts,
    ),
    Bug(KnowsItselfByTheKey, "leaked-key-to-callback", "incidents.md appendix 1", provider="runflow", style="hybrid"),
    Bug(OneSession, "leaked-key-to-file-host", "runflow.md 10", provider="onemin"),
)
