"""The names that templates see, as far as somebody outside the server can know them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from fauxvider.contract.causes import FALLBACKS
from fauxvider.contract.model import Contract, Model, Operation, State, Url
from fauxvider.engine.facts import Shape
from fauxvider.engine.outputs import MEDIA_TYPES
from fauxvider.toolkit.verify.templates import TemplateReader
from fauxvider.toolkit.verify.wants import (
    ANY,
    Anything,
    Exactly,
    Fields,
    Like,
    Listed,
    Maybe,
    Repeated,
    Want,
    pattern_of,
)

__all__ = ["Names", "Run", "face_rule", "id_pattern"]

MOMENT = Like("integer", says="a moment")
_COUNT = Like("integer", says="a count")
_UUID = "[0-9a-f]{{8}}-[0-9a-f]{{4}}-{}[0-9a-f]{{3}}-[89ab][0-9a-f]{{3}}-[0-9a-f]{{12}}"
_ORIGIN = r"https?://[^/?#\s]+(?:/[^?#\s]*?)?"  # whatever stands in front of the path
_CLASSES = {"alnum": "[a-z0-9]", "upper": "[A-Z0-9]", "hex": "[0-9a-f]", "digits": "[0-9]", "base64": "[A-Za-z0-9+/]"}


@dataclass(slots=True)
class Run:
    """One job that was submitted: what was asked for, and what has been learnt of it."""

    operation: Operation
    model: Model
    body: Any
    given: Any  # the model input as sent
    param: Any  # with the schema's defaults
    shape: Shape | None = None
    price: Decimal | None = None
    id: str = ""
    failure: str = ""
    has_started: bool | None = None  # None: nobody outside can tell
    origin_state: str = ""
    word: str = ""  # last seen
    reason: str = ""
    removed: bool = False  # its data is gone by now
    captured: dict[str, Any] = field(default_factory=dict)


def id_pattern(tokens: tuple[str | tuple[str, str], ...]) -> str:
    """Give the regular expression of a minted value."""
    parts = []
    for token in tokens:
        if isinstance(token, str):
            parts.append(re.escape(token))
        elif token[0] in ("uuid4", "uuid7"):
            parts.append(_UUID.format(token[0][-1]))
        elif token[0] == "pick":
            parts.append(f"(?:{'|'.join(map(re.escape, token[1].split('|')))})")
        elif token[0] == "base64":
            parts.append(f"{_CLASSES[token[0]]}{{{-(-int(token[1]) * 4 // 3)}}}={{{-int(token[1]) % 3}}}")
        else:
            parts.append(f"{_CLASSES[token[0]]}{{{token[1]}}}")
    return "".join(parts)


class _Mints(Mapping[str, Any]):
    """`{mint.NAME}`: the look of a minted value."""

    def __init__(self, contract: Contract) -> None:
        self._ids = contract.ids

    def __getitem__(self, name: str) -> Like:
        kind = self._ids[name]
        return Like("text", id_pattern(kind.tokens), says=f"the id {name}", rule=f"/ids/{name}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


class Names:
    """Makes the scopes of one contract's templates."""

    def __init__(self, contract: Contract, tree: Mapping[str, Any]) -> None:
        self.contract = contract
        self.tree = tree
        self.reader = TemplateReader(tree.get("views", {}))
        self.mint = _Mints(contract)

    # --- what any request has

    def request(
        self,
        *,
        params: Mapping[str, str],
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: Any = None,
        given: Any = None,
        param: Any = None,
        model: Model | None = None,
    ) -> dict[str, Any]:
        number = Like("number")
        return {
            "path": params,
            "query": query,
            "header": {name.lower(): value for name, value in headers.items()},
            "body": body,
            "input": given,
            "param": param if param is not None else given,
            "model": self.model(model) if model else None,
            "models": Repeated(Anything()),
            "key": {"name": Like("text")},
            "account": dict.fromkeys(("balance", "used", "used_before"), number) | {"unit": self.contract.account.unit},
            "states": [
                {"word": state.word, "is": state.canonical, "terminal": state.is_terminal}
                for state in self.contract.states.values()
            ],
            "mint": self.mint,
            "origin": {name: Like("text", _ORIGIN, f"the address of {name}") for name in self.contract.origins},
            "now": MOMENT,
        }

    def model(self, model: Model) -> dict[str, Any]:
        at = f"/models/{model.name}"
        return {
            "name": model.name,
            "key": Exactly(list(model.key), f"{at}/key"),
            "status": Exactly("active" if model.active else "inactive", f"{at}/status"),
            "facts": Exactly(model.facts, f"{at}/facts"),
        }

    # --- a job

    def job(self, scope: dict[str, Any], run: Run, state: State) -> dict[str, Any]:
        """Give the scope with the names of a job that is in a state."""
        names = {
            **scope,
            "body": self.kept(run.body),
            "input": self.kept(run.given),
            "param": self.kept(run.param),
            "model": self.model(run.model),
            "job": self._snapshot(run, state),
            "outputs": [],
            "output": None,
        }
        if state.canonical == "succeeded":
            names["outputs"] = self._outputs(run, names)
            names["output"] = next(iter(names["outputs"]), None)
        if state.is_terminal and run.failure:
            names["job"]["failure"] = self._failure(run.failure, names)
        if state.canonical == "succeeded":
            at = f"/models/{run.model.name}/output/result"
            result = self.tree["models"][run.model.name]["output"]["result"]
            names["job"]["result"] = self.reader.want(result, at, names)
        return names

    def _snapshot(self, run: Run, state: State) -> dict[str, Any]:
        is_over, started = state.is_terminal, self._has_started(run, state)
        is_charged = is_over and state.canonical in self.contract.account.charge
        return {
            "id": self._job_id(run),
            "number": _COUNT,
            "status": Exactly(state.said, f"/lifecycle/states/{state.word}"),
            "state": state.canonical,
            "accepted": MOMENT,
            "started": _when(MOMENT, started),
            "ended": MOMENT if is_over else None,
            "queued_ms": _when(_COUNT, started),
            "run_ms": _when(_COUNT, started) if is_over else None,
            "total_ms": _COUNT if is_over else None,
            "cost": self._cost(run) if is_charged else None,
            "seed": self._seed(run),
            "retries": None,
            "progress": Like("number"),
            "origin_state": run.origin_state or Like("text"),
            "failure": {},
            "result": None,
            "removed": run.removed and is_over,
        }

    def kept(self, tree: Any) -> Any:
        """Give what a record shows of a request: as sent, but for inline pictures that are stored."""
        rules = self.contract.assets
        if rules is None or not rules.store_inline:
            return tree
        if isinstance(tree, Mapping):
            return Fields({key: _as_want(self.kept(value)) for key, value in tree.items()}, "/assets/store_inline")
        if isinstance(tree, list):
            return Listed([_as_want(self.kept(value)) for value in tree], "/assets/store_inline")
        if not isinstance(tree, str) or not tree.startswith("data:"):
            return tree
        pattern = re.escape(rules.prefix) + (
            id_pattern(self.contract.ids[rules.id].tokens) if rules.by == "id" else ".+"
        )
        return Like("text", pattern, "a reference to the stored picture", "/assets/store_inline")

    def _job_id(self, run: Run) -> Want:
        rule = f"/ids/{run.operation.id}"
        if run.id:
            return Exactly(run.id, rule)
        pattern = id_pattern(self.contract.ids[run.operation.id].tokens)
        return Like("text", pattern, f"the id {run.operation.id}", rule, capture="job.id")

    def _has_started(self, run: Run, state: State) -> bool | None:
        if state.canonical == "queued":
            return False
        if state.canonical in ("running", "succeeded"):
            return True
        if run.failure:
            return self.contract.failures[run.failure].after == "running"
        return run.has_started

    def _cost(self, run: Run) -> Want:
        rule = f"/models/{run.model.name}/cost"
        if run.price is None or run.model.cost.kind == "per_second":
            return Like("number", says="a price", rule=rule)
        return Exactly(run.price, rule)

    def _seed(self, run: Run) -> Want:
        given = run.param.get("seed") if isinstance(run.param, Mapping) else None
        rule = f"/models/{run.model.name}/picture"
        if run.model.picture.seed is not None and type(given) is int and given >= 0:
            return Exactly(given, rule)
        return Like("integer", says="a seed", rule=rule)

    def _failure(self, name: str, names: Mapping[str, Any]) -> dict[str, Any]:
        raw = self.tree["lifecycle"]["failures"][name].get("values", {})
        scope = {**names, "issue": {"text": Like("text")}}
        at = f"/lifecycle/failures/{name}/values"
        return {key: self.reader.want(one, f"{at}/{key}", scope) for key, one in raw.items()}

    # --- pictures and their addresses

    def _outputs(self, run: Run, names: Mapping[str, Any]) -> list[dict[str, Any]]:
        shape, output = run.shape, run.model.output
        if shape is None:
            return []
        rule = f"/models/{run.model.name}/output"
        url = next((one for one in self.contract.urls.values() if one.serves == "output"), None)
        made = []
        for number in range(1, shape.count + 1):
            ext = output.ext.get(shape.format, shape.format)
            file = {
                "token": Like("text", "[A-Za-z0-9_-]{8,}", says="a token", capture=f"token.{number}"),
                "number": number,
                "ext": Exactly(ext, f"{rule}/format"),
            }
            scope = {**names, "file": file}
            key = self._file_key(url, scope) if url else None
            file["key"] = key or ANY
            made.append(
                {
                    "number": number,
                    "url": self.url(url, scope, f"output.{number}") if url else None,
                    "key": key,
                    "width": Exactly(shape.width, f"{rule}/size"),
                    "height": Exactly(shape.height, f"{rule}/size"),
                    "format": Exactly(shape.format, f"{rule}/format"),
                    "ext": Exactly(ext, f"{rule}/ext"),
                    "media_type": Exactly(MEDIA_TYPES[shape.format], f"{rule}/format"),
                    "bytes": _COUNT,
                }
            )
        return made

    def _file_key(self, url: Url, names: Mapping[str, Any]) -> Want | None:
        raw = self.tree["urls"][url.name].get("key")
        if raw is None:
            return None
        return self.reader.want(raw, f"/urls/{url.name}/key", names)

    def url(self, url: Url, names: Mapping[str, Any], capture: str, *, is_bare: bool = False) -> Want:
        """Give the look of an address: any host, the path as the contract builds it, a query if it is signed."""
        at = f"/urls/{url.name}"
        path = self.reader.want(self.tree["urls"][url.name]["path"], f"{at}/path", names)
        found = pattern_of(path)
        tail = r"\?[^#]+" if url.signer == "sigv4" and not is_bare else ""
        pattern = f"{_ORIGIN}{found[0] if found else '/[^?#]*'}{tail}"
        if not isinstance(path, Like):
            return Like("text", pattern, f"an address as {at} builds it", f"{at}/path", capture=capture)
        pieces = ((_ORIGIN, ""), *path.pieces, (tail, ""))
        return Like(
            "text",
            pattern,
            f"an address like {path.says}",
            f"{at}/path",
            capture=capture,
            groups=path.groups,
            pieces=pieces,
        )

    # --- refusals

    def error(
        self, cause: str, names: dict[str, Any], *, values: Mapping[str, Any] | None = None, at: str = ""
    ) -> dict[str, Any]:
        """Give the scope of an error's envelope: each value with its own place."""
        rule = f"/errors/{face_rule(cause, self.tree['errors'])}"
        raw = self.tree[rule.split("/")[1]][rule.split("/")[2]]
        scope = {**names, "error": {"status": Exactly(raw["status"], f"{rule}/status")}}
        own = {key: self.reader.want(one, f"{rule}/values/{key}", scope) for key, one in raw.get("values", {}).items()}
        own |= {key: self.reader.want(one, f"{at}/values/{key}", scope) for key, one in (values or {}).items()}
        scope["error"] = {**scope["error"], **own}
        return scope


def _as_want(value: Any) -> Want:
    return value if isinstance(value, Exactly | Like | Fields | Listed) else Exactly(value)


def face_rule(cause: str, errors: Mapping[str, Any]) -> str:
    """Name the entry of `errors` that gives a cause its face."""
    while cause not in errors and cause:
        cause = FALLBACKS.get(cause, "")
    return cause


def _when(want: Want, known: bool | None) -> Want | None:
    if known is None:
        return Maybe(want, can_be_absent=True)
    return want if known else None
