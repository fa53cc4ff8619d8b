"""Clients with one defect each, as cited incidents had it: `BUGS` says which, and what it must be found as."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from corpus.careful import AsyncPolling, Careful, Durable, Row, Webhook
from fauxvider.local import Answer, Callback
from pytest_fauxvider.machine import Intent, ProviderMachine
from support.dialects import at

__all__ = ["BUGS", "Bug"]

LOSING = frozenset({"down", "swallowed", "held"})
# Every callback comes in the end: what a client that relies on them may ask for.
RELIABLE = ProviderMachine.fates - LOSING


@dataclass(frozen=True)
class Bug:
    """A client, the invariants (or exceptions) that may tell it, and where it comes from."""

    client: type[ProviderMachine]
    found_as: tuple[str, ...]
    source: str

    def __str__(self) -> str:
        return self.client.__name__


# --- money


class ResendsPost(Careful):
    """Sends the POST again whenever its answer does not come."""

    def place(self, row: Row) -> str:
        for _ in range(3):
            try:
                answer = self.post(row, 0)
            except ConnectionError:
                continue
            if answer.status < 300:
                row.id = str(at(answer.json(), self.dialect.id))
                return row.id
        return ""


class ResendsAfterGateway(Careful):
    """Takes a gateway's page for a refusal."""

    provider = "onemin"

    def place(self, row: Row) -> str:
        for _ in range(3):
            try:
                answer = self.post(row, 0)
            except ConnectionError:
                return ""
            if answer.status < 300:
                row.id = str(at(answer.json(), self.dialect.id))
                return row.id
        return ""


class KeyPerTry(Careful):
    """Makes an idempotency key for each try."""

    provider = "runflow"

    def key_for(self, row: Row, number: int) -> str:
        return f"{row.intent}-{number}"


class OneKey(Careful):
    """Has one idempotency key for everything."""

    provider = "runflow"

    def key_for(self, row: Row, number: int) -> str:
        return "my-app"


class RunsAgainOnRestart(Durable):
    """Has what was not finished run again when the process comes up."""

    def resume(self, row: Row) -> None:
        self.place(row)


class NewKeyOnRestart(Durable):
    """Keeps the idempotency keys in memory."""

    provider = "runflow"

    def setup(self) -> None:
        self.process = 0

    def key_for(self, row: Row, number: int) -> str:
        return f"{self.process}-{row.intent}"

    def restart(self) -> None:
        self.process += 1
        super().restart()


class OrdersAgainOnPollError(Careful):
    """A poll that fails is a job that failed, and a job that failed is ordered once more."""

    def look(self, row: Row) -> None:
        try:
            super().look(row)
            answer = self.http.get(self.dialect.read.format(id=row.id)) if row.word == "open" else None
        except ConnectionError:
            answer = Answer(599)
        if answer is not None and answer.status >= 500:
            self.again(row)

    def again(self, row: Row) -> None:
        old = row.id
        self.place(row)
        row.id = old


class OrdersAgainAfterAWhile(Careful):
    """What takes longer than half a minute is ordered once more."""

    def look(self, row: Row) -> None:
        super().look(row)
        if row.word == "open" and self.now - row.since > 30:
            row.since = self.now
            old = row.id
            self.place(row)
            row.id = old


# --- callbacks


class CallbackOnly(Webhook):
    """Never looks for itself, but for a callback that says so."""

    poll = None  # type: ignore[assignment]


class SignsParsedJson(CallbackOnly):
    """Checks the signature over JSON that it has parsed and written again."""

    provider = "runflow"
    fates = RELIABLE

    def sign(self, key: str, callback: Callback) -> str:
        import hashlib
        import hmac

        return hmac.new(key.encode(), json.dumps(callback.json()).encode(), hashlib.sha256).hexdigest()


class Redirects(CallbackOnly):
    """Is registered under http and lives under https."""

    provider = "runflow"
    fates = RELIABLE

    def on_callback(self, callback: Callback) -> int:
        return 301


class TrustsTheLadder(CallbackOnly):
    """Is down for the few seconds that the provider tries, and never looks for itself."""

    provider = "runflow"


class AllCallbacksStopped(CallbackOnly):
    """Never looks for itself."""

    provider = "runpod"


class CreditsCopies(Webhook):
    """Works off every callback that comes."""

    provider = "runflow"

    def on_callback(self, callback: Callback) -> int:
        status = super().on_callback(callback)
        if row := self.row_of(str(at(callback.json(), self.dialect.callback_id))):
            row.word = "open"
        return status


class ErrorAfterTheWork(Webhook):
    """Hands the picture on, and then stumbles over the mail that says so: the callback comes again."""

    provider = "runpod"

    def setup(self) -> None:
        super().setup()
        self.has_mailed = False

    def called(self, row: Row, payload: Any) -> None:
        super().called(row, payload)
        if not self.has_mailed and row.word == "succeeded":
            self.has_mailed, row.word = True, "open"  # the transaction is rolled back, the credit is not

    def on_callback(self, callback: Callback) -> int:
        had = self.has_mailed
        super().on_callback(callback)
        return 500 if self.has_mailed and not had else 200


class RefusesUnknown(CallbackOnly):
    """Answers 404 to what it does not know yet."""

    provider = "runflow"
    fates = RELIABLE

    def on_callback(self, callback: Callback) -> int:
        if self.row_of(str(at(callback.json(), self.dialect.callback_id))) is None:
            return 404
        return super().on_callback(callback)


class EarlyMeansOther(Webhook):
    """Makes an order of its own of a callback that it cannot place, and hands that on, too."""

    provider = "runflow"

    def on_callback(self, callback: Callback) -> int:
        payload = callback.json()
        job = str(at(payload, self.dialect.callback_id))
        if self.row_of(job) is None and at(payload, self.dialect.callback_word) in self.dialect.done:
            self.handed.append((job, b"a picture"))
            return 200
        return super().on_callback(callback)


class ChecksNoSignature(Webhook):
    """Takes every callback."""

    provider = "runflow"

    def is_genuine(self, callback: Callback) -> bool:
        return True


class ForgetsTheOldSecret(CallbackOnly):
    """Makes a new secret whenever it is deployed, and knows that one alone."""

    provider = "runflow"
    fates = ProviderMachine.fates - {"swallowed"}

    def restart(self) -> None:
        self.secrets.clear()
        made = self.http.post(self.dialect.secrets, json={"label": "fresh"}).json()
        self.http.request("PATCH", f"{self.dialect.secrets}/{made['id']}", json={"is_current": True})
        self.secrets.append(made["plain_secret"])


class InboxInMemory(CallbackOnly):
    """Answers 200, and does the work later, from a list in memory."""

    provider = "runpod"
    fates = RELIABLE

    def on_callback(self, callback: Callback) -> int:
        self.inbox[str(at(callback.json(), self.dialect.callback_id))] = callback.json()
        if len(self.inbox) > 1:
            self.work()
        return 200

    def work(self) -> None:
        while self.inbox:
            job, payload = self.inbox.popitem()
            if row := self.row_of(job):
                self.called(row, payload)

    def restart(self) -> None:
        self.inbox.clear()

    def results(self) -> list[tuple[str, Any]]:
        self.work()
        return super().results()


class BothHandOn(Webhook):
    """The poll loop and the callback each hand on what they see, and neither asks the other."""

    provider = "runpod"
    poll_every = "10s"

    def setup(self) -> None:
        super().setup()
        self.polled: set[str] = set()

    def poll(self, job: str) -> None:
        row = self.row_of(job)
        if row is None or job in self.polled:
            return
        before, row.word = row.word, "open"
        self.look(row)
        if row.word == "open":
            row.word = before
        elif row.word == "succeeded":
            self.polled.add(job)


class ChecksThenFetches(Webhook):
    """Looks whether it has the picture, fetches it, and hands it on: meanwhile the callback has done so, too."""

    provider = "runpod"
    poll_every = "10s"

    def hand_on(self, row: Row, value: Any) -> None:
        row.word = "succeeded"
        self.handed.append((row.intent, value))


class AsyncRace(AsyncPolling):
    """The same between two coroutines."""

    provider = "runpod"

    def body_of(self, intent: Intent) -> Mapping[str, Any]:
        return {**super().body_of(intent), self.dialect.callback: intent.callback_url}

    async def on_callback(self, callback: Callback) -> int:
        job = str(at(callback.json(), self.dialect.callback_id))
        if job in self.words:
            await self.poll(job)
        return 200

    async def fetch(self, job: str, url: str) -> None:
        picture = await self.http.aget(url)
        if picture.status == 200:
            self.words[job] = "succeeded"
            self.handed.append((job, picture.body))


# --- polling


class NoStatusCheck(Careful):
    """Looks at no status on polls: a 404 is one more `not yet`."""

    poll_every = "2h"

    def look(self, row: Row) -> None:
        answer = self.http.get(self.dialect.read.format(id=row.id))
        try:
            tree = answer.json()
        except ValueError:
            return
        self.saw(row, str(at(tree, self.dialect.word)), tree)


class LooksTooLate(Careful):
    """Collects its results at night."""

    poll_every = "12h"


class UnknownWordEnds(Careful):
    """Takes a word that it does not know for the end of the matter."""

    def saw(self, row: Row, word: str, tree: Any) -> None:
        super().saw(row, word, tree)
        if row.word == "open" and word not in (*self.dialect.done, "IN_QUEUE", "IN_PROGRESS"):
            row.word = "failed"


class UnknownWordRaises(Careful):
    """Has a table of the words that the documentation of its day knew."""

    WORDS: ClassVar[dict[str, str]] = {
        "IN_QUEUE": "open",
        "IN_PROGRESS": "open",
        "COMPLETED": "done",
        "FAILED": "failed",
    }

    def saw(self, row: Row, word: str, tree: Any) -> None:
        if self.WORDS[word] != "open":
            super().saw(row, word, tree)


class FailedNeverStops(Careful):
    """The loop is left at success alone."""

    def saw(self, row: Row, word: str, tree: Any) -> None:
        if word in self.dialect.done:
            super().saw(row, word, tree)


class FixedCap(Careful):
    """Waits half a minute, and not a second longer."""

    def look(self, row: Row) -> None:
        super().look(row)
        if row.word == "open" and self.now - row.since >= 30:
            row.word = "gave up"


class OneFailedPoll(Careful):
    """Takes the first poll that fails for the end."""

    def look(self, row: Row) -> None:
        try:
            answer = self.http.get(self.dialect.read.format(id=row.id))
        except ConnectionError:
            row.word = "gave up"
            return
        if answer.status < 300:
            self.saw(row, at(answer.json(), self.dialect.word), answer.json())


class FreshNotFound(Careful):
    """Takes 404 right after the submit for a job that does not exist."""

    def denied(self, row: Row) -> None:
        self.set(row, "failed")


class BusyIsFailed(Careful):
    """Takes 429 for the end of the job."""

    provider = "onemin"

    def look(self, row: Row) -> None:
        try:
            answer = self.http.get(self.dialect.read.format(id=row.id))
        except ConnectionError:
            return
        if answer.status == 429:
            self.set(row, "failed")
        elif answer.status < 300:
            self.saw(row, at(answer.json(), self.dialect.word), answer.json())


class GoesBack(Careful):
    """Writes down whatever the last poll showed."""

    def poll(self, job: str) -> None:
        row = self.row_of(job)
        if row is not None:
            had, row.word = row.word, "open"
            self.look(row)
            if had == "succeeded" and row.word == "succeeded":
                self.handed.pop()


class GoneIsFailed(Careful):
    """Looks at old orders, too, and takes a record that is gone for a failure."""

    def poll(self, job: str) -> None:
        row = self.row_of(job)
        if row is not None and row.word == "succeeded":
            if self.http.get(self.dialect.read.format(id=job)).status == 404:
                row.word = "failed"
        else:
            super().poll(job)


class SubmitIsDone(Careful):
    """Knows a stand-in where every job was done at once."""

    def placed(self, row: Row) -> None:
        self.hand_on(row, "a picture")


class FailureForSuccess(Careful):
    """Hands out what is there, and never looks at the word beside it."""

    def saw(self, row: Row, word: str, tree: Any) -> None:
        if word in self.dialect.failed:
            self.hand_on(row, b"the text of an error")
        else:
            super().saw(row, word, tree)


# --- results


class KeepsLinks(Careful):
    """Stores the link in place of the picture."""

    def fetch(self, row: Row, url: Any) -> None:
        self.hand_on(row, url)


class OneDownload(Careful):
    """Tries a download once."""

    def fetch(self, row: Row, url: Any) -> None:
        super().fetch(row, url)
        if row.word == "open":
            row.word = "failed"


class ForgetsOnDeploy(Careful):
    """Keeps what it waits for in memory."""

    def restart(self) -> None:
        for row in list(self.rows.values()):
            if row.word == "open":
                del self.rows[row.intent]

    def open_jobs(self) -> list[str]:
        return [row.id for row in self.rows.values() if row.id]


class OneAtATime(Careful):
    """Remembers one job, in a global."""

    def submit(self, intent: Intent) -> str | None:
        for row in self.rows.values():
            row.id = ""
        return super().submit(intent)


BUGS: tuple[Bug, ...] = (
    Bug(ResendsPost, ("billed-twice",), "C1: Comfy-Org/ComfyUI PR #16204"),
    Bug(ResendsAfterGateway, ("billed-twice",), "C1: Comfy-Org/ComfyUI #15897"),
    Bug(KeyPerTry, ("billed-twice",), "C1: square/square-mcp-server#31"),
    Bug(OneKey, ("refused",), "C1: replicate/cog#905"),
    Bug(RunsAgainOnRestart, ("billed-twice",), "C1: axisrow/tg_content_factory PR #1140"),
    Bug(NewKeyOnRestart, ("billed-twice",), "C1: Augustas11/macprovider#762"),
    Bug(OrdersAgainOnPollError, ("billed-twice",), "C1: akash-network/console PR #3449"),
    Bug(OrdersAgainAfterAWhile, ("billed-twice",), "C1: Comfy-Org/ComfyUI #15897 (a deadline of its own)"),
    Bug(SignsParsedJson, ("lost", "open"), "C2: gabrielkoerich/orch#134, octokit/webhooks.js#76"),
    Bug(Redirects, ("lost", "open"), "C2: replicate/replicate-javascript#195"),
    Bug(TrustsTheLadder, ("lost", "open"), "C3: PHASE-STELLAR/Phase#29"),
    Bug(AllCallbacksStopped, ("lost", "open"), "C3: replicate-javascript#321"),
    Bug(InboxInMemory, ("lost", "open"), "C3: product-os/jellyfish#3840"),
    Bug(ForgetsOnDeploy, ("lost",), "C3: we were deploying (PHASE-STELLAR/Phase#29)"),
    Bug(CreditsCopies, ("twice", "terminal", "open"), "C4: wasp-lang/open-saas#688"),
    Bug(ErrorAfterTheWork, ("twice",), "C4: bettersg/checkMate#152"),
    Bug(BothHandOn, ("twice", "terminal"), "C4: scalekit-inc/org-brain-workshop#10"),
    Bug(ChecksThenFetches, ("twice",), "C4: sendgrid/docs#2933"),
    Bug(AsyncRace, ("twice",), "C4: huggingface/dataset-viewer#2651"),
    Bug(GoesBack, ("terminal",), "C5: google/go-github#2706; C8: runpod/runpod-python#250"),
    Bug(GoneIsFailed, ("terminal",), "C5: paypal/mirakl-hyperwallet-connector#35"),
    Bug(RefusesUnknown, ("lost", "open"), "C6: Wavix/Mokkify PR #30"),
    Bug(EarlyMeansOther, ("twice",), "C6: hardbyte/awa PR #17"),
    Bug(FreshNotFound, ("lost",), "C6: jhuckaby/Cronicle#156"),
    Bug(KeepsLinks, ("kept",), "C7: wandb/weave PR #1524"),
    Bug(OneDownload, ("lost",), "C7: reapit/foundations#10700"),
    Bug(LooksTooLate, ("lost",), "C7: premieroctet/photoshot#54; C8: runpod/runpod-python#56"),
    Bug(NoStatusCheck, ("lost", "open"), "C8: mutonby/openshorts#39, n8n-nodes-comfyui#16"),
    Bug(UnknownWordEnds, ("lost",), "C8: BitMind-AI/bitmind-subnet PR #312"),
    Bug(FailedNeverStops, ("open",), "C8: AIProxySwift PR #27"),
    Bug(FixedCap, ("lost",), "C8: moeru-ai/airi#2084"),
    Bug(OneFailedPoll, ("lost",), "C8: BitMind-AI/bitmind-subnet PR #312 (review)"),
    Bug(BusyIsFailed, ("lost",), "2.4 row 56: dotnet/dev-proxy#350"),
    Bug(ForgetsTheOldSecret, ("lost", "open"), "C9: octokit/webhooks.js#770, liwala/ay-framework#407"),
    Bug(UnknownWordRaises, ("KeyError",), "C11: runpod/docs#511"),
    Bug(FailureForSuccess, ("made-up",), "C11: runpod/runpod-python#410"),
    Bug(SubmitIsDone, ("made-up",), "C12: CopilotKit/aimock#170"),
    Bug(ChecksNoSignature, ("made-up",), "C2: replicate/replicate-javascript#195 (validation)"),
    Bug(OneAtATime, ("lost", "open"), "2.4 row 51: darbulat/orna-atlass#138"),
)
