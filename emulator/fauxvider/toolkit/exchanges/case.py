"""One exchange that a contract's documents describe: a request, and the provider's whole answer to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fauxvider.messages import HttpMessage

__all__ = ["ContractCase", "Sent"]


@dataclass(frozen=True, slots=True)
class Sent(HttpMessage):
    """A request, at the provider's own address."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True, repr=False)
class ContractCase(HttpMessage):
    """`status`, `headers` and `body` are the answer's; `request` is what it answers.

    `operation` and `kind`: of the contract ("file" for downloads, "unknown" for a path of nobody's, "callback" for a
    POST of the provider's, whose `status` is 0 and whose `headers` and `body` are what a receiver gets).
    `state` and `word`: the job's state as the contract's language and as the provider calls it; `cause`: why it was
    refused. `rule`: the contract's JSON pointer that answers for it, with its `line` in `file` and who says so.
    `source`: where the exchange itself is documented, "" for one that was made from the contract.
    `readings`: those that differ from the default.
    """

    id: str
    provider: str
    title: str
    source: str
    operation: str
    kind: str
    model: str
    request: Sent
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    state: str = ""
    word: str = ""
    cause: str = ""
    rule: str = ""
    file: str = ""
    line: int = 0
    evidence: tuple[str, ...] = ()
    readings: Mapping[str, str] | None = None

    def __repr__(self) -> str:
        """Say what it is and who says so, for the message of an assertion."""
        said = self.source or "; ".join(self.evidence) or "no source"
        return f"{self.id}: {self.title} ({said}) [{self.file}:{self.line} {self.rule}]"

    def httpx(self, module: Any = None) -> Any:
        """Give the answer as an `httpx.Response` (or as that of the `module` that is given, such as httpx2)."""
        if module is None:
            import importlib

            module = importlib.import_module("httpx")
        request = module.Request(
            self.request.method, self.request.url, headers=list(self.request.headers), content=self.request.body
        )
        return module.Response(self.status, headers=list(self.headers), content=self.body, request=request)

    def requests(self) -> Any:
        """Give the answer as a `requests.Response`."""
        import importlib

        requests = importlib.import_module("requests")
        sent = self.request
        answer = requests.Response()
        answer.status_code = self.status
        answer.headers = requests.structures.CaseInsensitiveDict(self.headers)
        answer._content = self.body
        answer.url = sent.url
        answer.encoding = requests.utils.get_encoding_from_headers(answer.headers)
        answer.request = requests.Request(sent.method, sent.url, headers=dict(sent.headers), data=sent.body).prepare()
        return answer
