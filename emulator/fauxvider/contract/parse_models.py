"""Section 13 of a contract: the catalogue of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

from fauxvider.contract.expressions import compile_formula
from fauxvider.contract.model import Cost, Model, Output, Picture, SizeRule, State, Template
from fauxvider.contract.nodes import Node
from fauxvider.contract.parse_lifecycle import span_law
from fauxvider.contract.schemas import defaults_of, plain_schema
from fauxvider.contract.strict import pointer_parts
from fauxvider.contract.validation import check_schema
from fauxvider.errors import ExpressionError

__all__ = ["check_schema_node", "models_of"]

# What a formula can always use.
FORMULA_NAMES = ("width", "height", "count", "steps", "seconds")


def models_of(root: Node, states: Mapping[str, State]) -> dict[str, Model]:
    models: dict[str, Model] = {}
    seen: dict[tuple[str, ...], str] = {}
    phases = list(root.at("lifecycle").at("phases").elements())
    for node in root.at("models").entries():
        model = _model(node, states, phases)
        for key in (model.key, *model.also):
            if key in seen:
                raise node.wrong(f"the models {seen[key]!r} and {model.name!r} have the same key", of_key=True)
            seen[key] = model.name
        models[model.name] = model
    return models


def check_schema_node(node: Node) -> None:
    """Refuse a JSON Schema that a contract may not hold."""
    problem = check_schema(plain_schema(node.value))
    if problem is not None:
        inner, colon, text = problem.partition(": ")
        if not colon or not inner.startswith("/"):
            raise node.wrong(problem)
        raise Node(node.context, None, (*node.path, *(part for part in pointer_parts(inner) if part))).wrong(text)


def _model(node: Node, states: Mapping[str, State], phases: Sequence[Node]) -> Model:
    schema: Any = node.at("input").value
    if schema is None:
        schema = {"type": "object"}
    else:
        check_schema_node(node.at("input"))
    plain = plain_schema(schema)
    timing = node.at("timing")
    return Model(
        name=node.name,
        key=node.names_list("key", (node.name,)),
        also=tuple(tuple(map(str, one.value)) for one in node.at("also").elements()),
        active=node.text("status", "active") == "active",
        facts=node.at("facts").value or {},
        input=plain if isinstance(plain, dict) else {},
        defaults=defaults_of(plain),
        output=_output(node.at("output")),
        cost=_cost(node.at("cost")),
        timing={_word(timing, one.name, states): span_law(one) for one in timing.entries()},
        picture=_picture(node.at("picture")),
        quoted_by=_quoted_by(node, phases),
    )


def _quoted_by(node: Node, phases: Sequence[Node]) -> frozenset[str] | None:
    """Name the parameters that decide what a job delivers, takes and costs; None if more than those do."""
    output, cost, timing = node.at("output"), node.at("cost"), node.at("timing")
    if output.at("size").text("kind") in ("source", "aspect") or cost.text("kind") in ("per_second", "formula"):
        return None
    words = [phase.text("state") for phase in phases]
    laws = [
        timing.at(word) if timing.has(word) else phase.at("lasts") for word, phase in zip(words, phases, strict=True)
    ]
    parts = [output.at("count"), output.at("size"), output.at("format"), cost.at("by"), *laws]
    names = {name for part in parts for name in part.names_used()}
    fields = {name.removeprefix("param.") for name in names}
    is_plain = all(name.startswith("param.") and name.count(".") == 1 for name in names)
    return frozenset(fields) if is_plain else None


def _word(timing: Node, word: str, states: Mapping[str, State]) -> str:
    if word not in states:
        raise timing.at(word).wrong(f"there is no state {word!r}", allowed=states, of_key=True)
    return word


def _output(node: Node) -> Output:
    return Output(
        count=node.template_at("count") or _constant(1),
        size=_size(node.at("size")),
        format=node.at("format").template(),
        ext={one.name: str(one.value) for one in node.at("ext").entries()},
        quality=node.template_at("quality"),
        result=node.at("result").template(),
        names=frozenset(node.at("result").names_used()),
    )


def _size(node: Node) -> SizeRule:
    kind = node.text("kind")
    pairs = node.at("sizes").value
    sizes = {word: (pair[0], pair[1]) for word, pair in pairs.items()} if isinstance(pairs, Mapping) else {}
    default = node.at("default").value
    if kind == "table" and default is not None and default not in sizes:
        raise node.at("default").wrong(f"there is no size {default!r}", allowed=sizes)
    return SizeRule(
        kind=cast("Any", kind),
        value=node.template_at("value"),
        width=node.template_at("width"),
        height=node.template_at("height"),
        separator=node.text("separator", "*"),
        sizes=sizes,
        default=(default[0], default[1]) if isinstance(default, list) else default,
        fixed=(pairs[0], pairs[1]) if kind == "fixed" else (1024, 1024),
        megapixels=node.template_at("megapixels"),
        multiple=node.number("multiple", 1),
        match=node.text("match"),
        source=node.template_at("source"),
    )


def _cost(node: Node) -> Cost:
    names = node.templates("names")
    rounding = node.at("round")
    return Cost(
        kind=node.text("kind"),
        price=node.decimal("price"),
        first=node.decimal("first") if node.has("first") else None,
        pixels_per_megapixel=node.number("pixels_per_megapixel", 1_000_000),
        megapixels=cast("Any", node.text("megapixels", "exact")),
        by=tuple(one.template() for one in node.at("by").elements()),
        rows={one.name: one.as_money() for one in node.at("rows").entries()},
        default=node.decimal("default") if node.has("default") else None,
        formula=_formula(node, names) if node.text("kind") == "formula" else None,
        names=names,
        digits=rounding.number("digits", 0) if rounding.value else None,
        rounding=rounding.text("mode", "half_even"),
    )


def _formula(node: Node, names: Mapping[str, Template]) -> Any:
    known = {*FORMULA_NAMES, *names}
    try:
        formula = compile_formula(node.text("value"), known)
        formula(dict.fromkeys(known, Decimal(1)))
    except ExpressionError as error:
        raise node.at("value").wrong(str(error)) from None
    return formula


def _picture(node: Node) -> Picture:
    return Picture(
        prompt=node.template_at("prompt") or _constant(""),
        negative=node.template_at("negative"),
        seed=node.template_at("seed"),
        steps=node.template_at("steps"),
        guidance=node.template_at("guidance"),
        strength=node.template_at("strength"),
        sources=tuple(one.template() for one in node.at("sources").elements()),
        pipeline=node.text("pipeline"),
    )


def _constant(value: Any) -> Template:
    return lambda _scope: value
