"""Two cost rules on the same pictures: where is the new one dearer?"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from fauxvider.contract.model import Model
from fauxvider.engine.cost import price_of
from fauxvider.errors import FauxviderError
from fauxvider.toolkit.diff.judges import Verdict
from fauxvider.values import decimal_text

__all__ = ["judge_prices"]

_PICTURES = [(256, 256), (512, 512), (1024, 768), (1024, 1024), (1013, 769), (1536, 1536), (2048, 2048), (4096, 4096)]


def judge_prices(old: Model, new: Model, unit: str) -> Verdict:
    """Compare what pictures of several sizes and numbers cost under two models' rules, by their defaults."""
    dearer, cheaper, same = [], [], 0
    for width, height in _PICTURES:
        for count in (1, 4):
            before, after = _price(old, width, height, count), _price(new, width, height, count)
            if before is None or after is None:
                return "unknown", "another cost rule, which a request's parameters decide"
            told = f"{count} of {width}x{height}: {decimal_text(before)} -> {decimal_text(after)} {unit}"
            if after > before:
                dearer.append(told)
            elif after < before:
                cheaper.append(told)
            else:
                same += 1
    if dearer:
        return "breaking", f"dearer ({dearer[0]})"
    if cheaper:
        return "compatible", f"cheaper ({cheaper[0]})"
    return "unknown", "another cost rule; the pictures tried cost the same"


def _price(model: Model, width: int, height: int, count: int) -> Decimal | None:
    scope: dict[str, Any] = {"param": dict(model.defaults)}
    try:
        return price_of(model.cost, width=width, height=height, count=count, run_ms=1000, scope=scope)
    except (FauxviderError, ValueError, ArithmeticError):
        return None
