"""docs/strategies.md says what there is: its example is a file that runs, its table names what is public."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest_fauxvider.strategies as public

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "strategies.md").read_text(encoding="utf-8")


def test_the_code_is_that_of_the_example() -> None:
    blocks = re.findall(r"<!-- file: (\S+) -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    assert [name for name, code in blocks if (ROOT / name).read_text(encoding="utf-8") != code] == []
    assert len(blocks) == 1


def test_every_strategy_is_in_the_table_with_its_parameters() -> None:
    shown = dict(re.findall(r"`(\w+)\(([^`]*)\)`", PAGE))
    for name in public.__all__:
        made = getattr(public, name)
        if inspect.isfunction(made) and name != "any_json":
            parameters = list(inspect.signature(made).parameters)
            assert [one for one in parameters if not re.search(rf"\b{one}\b", shown[name])] == [], name


def test_every_public_value_is_named() -> None:
    values = [name for name in public.__all__ if inspect.isclass(getattr(public, name))]
    assert [name for name in values if f"`{name}`" not in PAGE and f"`{name}`s" not in PAGE] == []


def test_the_index_leads_there() -> None:
    assert "(strategies.md)" in (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
