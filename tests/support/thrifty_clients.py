"""Careful clients that keep a budget or fetch in parts, and one that only thinks so."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from support.clients import Answer, Client, WireError
from support.dialects import at

__all__ = ["JoinsParts", "KeepsABudget", "PaysByMemory"]

OPEN_ENDS = ("lost", "gone", "gave_up")


class KeepsABudget(Client):
    """Makes one picture after the other, as long as there is money for one more by the last cost: no defect."""

    budget = Decimal("0.0038")

    def run(self, prompts: list[str]) -> None:
        self.wire.note("budget", text=f"{self.budget} {self.dialect.unit}")
        for prompt in prompts:
            if self.spent() + self.price() <= self.budget:
                super().run([prompt])

    @property
    def costs(self) -> dict[str, Decimal]:
        """What the answers showed, by job, the last one at the end."""
        return self.__dict__.setdefault("_costs", {})

    def price(self) -> Decimal:
        return next((cost for cost in reversed(self.costs.values()) if cost), Decimal(0))

    def spent(self) -> Decimal:
        """What was shown, and as much as the last one for each job whose end is not known."""
        unsure = [order for order in self.orders if order.state in OPEN_ENDS and order.id not in self.costs]
        return sum(self.costs.values(), len(unsure) * self.price())

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        answer = super().send(method, path, body, **headers)
        job, cost = at(answer.tree, self.dialect.id), at(answer.tree, self.dialect.cost)
        if self.dialect.cost and isinstance(job, str) and cost is not None:
            self.costs.pop(job, None)
            self.costs[job] = Decimal(str(cost))
        return answer


class PaysByMemory(KeepsABudget):
    """Takes every picture to cost what the first one did."""

    def price(self) -> Decimal:
        return next(iter(self.costs.values()), Decimal(0))

    def spent(self) -> Decimal:
        return len(self.costs) * self.price()


class JoinsParts(Client):
    """Fetches a picture in two parts, and takes the whole where that comes: no defect."""

    first = 60

    def download(self, url: str) -> tuple[int, bytes]:
        data = b""
        for last in (str(self.first - 1), ""):
            try:
                answer = self.wire.http("GET", url, {"Range": f"bytes={len(data)}-{last}"})
            except WireError:
                return 599, b""
            if answer.status == 416:  # there is no more
                break
            if answer.status != 206:
                return answer.status, answer.body
            data += answer.body
            if len(answer.body) < self.first:
                break
        return 200, data
