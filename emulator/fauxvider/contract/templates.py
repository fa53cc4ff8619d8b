"""Templates: a YAML tree compiled once into closures that fill it from a scope. Pure.

Values are put into the tree as they are, in one pass; what comes from a request is never read as
a template, a name or code. See section 12 of docs/contract-language.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from fauxvider.contract.formats import FORMATS, json_text, text_of
from fauxvider.contract.model import Scope, Template
from fauxvider.contract.placeholders import OMIT, Lazy, Node, WrongTemplateError, joined, name_node, text_node
from fauxvider.errors import ContractError, Place

__all__ = ["FORMATS", "OMIT", "Lazy", "TemplateCompiler", "compile_template", "json_text", "names_used", "text_of"]

Where: TypeAlias = Callable[[str], Place]


class TemplateCompiler:
    """Compiles templates that share the same views; each view is compiled once."""

    def __init__(self, views: Mapping[str, Any]) -> None:
        self._views = views
        self._done: dict[str, Node] = {}
        self._open: list[str] = []

    def compile(self, tree: Any, *, where: Where | None = None) -> Template:
        """Compile a tree into a callable: scope -> JSON tree (decimals left in), None if omitted.

        The result shares the template's constant parts and the scope's values: read it, and do
        not change it. Raises ContractError, placed by `where` (pointer inside `tree` -> Place).
        """
        node = self._node(tree, where)
        render = node.call()
        if not node.optional:
            return render

        def top(scope: Scope) -> Any:
            value = render(scope)
            return None if value is OMIT else value

        return top

    def names(self, tree: Any, *, where: Where | None = None) -> set[str]:
        """Give every dotted name that the tree or a view that it shows looks up."""
        return set(self._node(tree, where).names)

    def _node(self, tree: Any, where: Where | None) -> Node:
        try:
            return self._tree(tree)
        except WrongTemplateError as wrong:
            place = where(wrong.pointer) if where else None
            raise ContractError(wrong.problem, place=place, allowed=wrong.allowed) from None
        finally:
            self._open.clear()

    def _tree(self, tree: Any) -> Node:
        if isinstance(tree, str):
            return text_node(tree)
        if isinstance(tree, Mapping):
            special = next((key for key in tree if isinstance(key, str) and key.startswith("$")), None)
            return _mapping(self._items(tree.items())) if special is None else self._special(tree)
        if isinstance(tree, list | tuple):
            return _list([node for _, node in self._items(enumerate(tree))])
        return Node(value=tree)

    def _items(self, items: Any) -> list[tuple[Any, Node]]:
        return [(key, self._at(key, tree)) for key, tree in items]

    def _at(self, key: Any, tree: Any) -> Node:
        try:
            return self._tree(tree)
        except WrongTemplateError as wrong:
            step = str(key).replace("~", "~0").replace("/", "~1")
            wrong.pointer = f"/{step}{wrong.pointer}"
            raise

    def _special(self, tree: Mapping[str, Any]) -> Node:
        for name, (make, further) in _FORMS.items():
            if name in tree:
                for key in tree:
                    if key != name and key not in further:
                        raise WrongTemplateError(f"{key!r} does not belong to {name}", allowed=" ".join(further))
                return make(self, tree)
        raise WrongTemplateError(f"unknown form {' '.join(map(str, tree))!r}", allowed=" ".join(_FORMS))

    def _view(self, tree: Mapping[str, Any]) -> Node:
        name = tree["$view"]
        if not isinstance(name, str) or name not in self._views:
            raise WrongTemplateError(f"there is no view {name!r}", allowed=" ".join(self._views))
        if name in self._open:
            raise WrongTemplateError(f"the view {name!r} shows itself: {' -> '.join([*self._open, name])}")
        if name not in self._done:
            self._open.append(name)
            try:
                self._done[name] = self._tree(self._views[name])
            except WrongTemplateError as wrong:
                if not wrong.problem.startswith(("the view ", "in view ")):
                    wrong.problem = f"in view {name!r} at {wrong.pointer or '/'}: {wrong.problem}"
                wrong.pointer = "/$view"
                raise
            self._open.pop()
        return self._done[name]

    def _case(self, tree: Mapping[str, Any]) -> Node:
        asked = name_node(tree["$case"], "$case")
        of = tree.get("$of")
        if not isinstance(of, Mapping):
            raise WrongTemplateError("$case needs $of, a mapping of values", pointer="/$of")
        try:
            nodes = dict(self._items((_case_key(key), branch) for key, branch in of.items()))
        except WrongTemplateError as wrong:
            wrong.pointer = f"/$of{wrong.pointer}"
            raise
        other = self._at("$else", tree["$else"]) if "$else" in tree else Node()
        branches = {key: node.call() for key, node in nodes.items()}
        look_up, otherwise = asked.call(), other.call()

        def render(scope: Scope) -> Any:
            value = look_up(scope)
            return branches.get(value if value.__class__ is str else _case_key(value), otherwise)(scope)

        return joined(render, [asked, *nodes.values(), other], optional=[*nodes.values(), other])

    def _each(self, tree: Mapping[str, Any]) -> Node:
        source = name_node(tree["$each"], "$each")
        if "$item" not in tree:
            raise WrongTemplateError("$each needs $item, the template of one element")
        bound = tree.get("$as", "item")
        if not isinstance(bound, str) or not bound.isidentifier():
            raise WrongTemplateError("$as is a name, such as attempt", pointer="/$as")
        item = self._at("$item", tree["$item"])
        look_up, render_item = source.call(), item.call()

        def render(scope: Scope) -> list[Any]:
            values = look_up(scope)
            if not isinstance(values, Sequence) or isinstance(values, str | bytes):
                return []
            inner, out = _fork(scope), []
            for element in values:
                inner[bound] = element
                value = render_item(inner)
                if value is not OMIT:
                    out.append(value)
            return out

        return joined(render, [source, item])

    def _json(self, tree: Mapping[str, Any]) -> Node:
        node = self._at("$json", tree["$json"])
        inner = node.call()

        def render(scope: Scope) -> Any:
            value = inner(scope)
            return OMIT if value is OMIT else json_text(value)

        return joined(render, [node], optional=[node])

    def _text_of(self, tree: Mapping[str, Any]) -> Node:
        node = self._at("$text", tree["$text"])
        inner = node.call()

        def render(scope: Scope) -> str:
            parts = inner(scope)
            return "".join(map(text_of, parts)) if isinstance(parts, list) else text_of(parts)

        return joined(render, [node])

    def _first(self, tree: Mapping[str, Any]) -> Node:
        nodes = self._list_of(tree, "$first")
        renders = [node.call() for node in nodes]

        def render(scope: Scope) -> Any:
            value = None
            for option in renders:
                value = option(scope)
                if value is not None and value is not OMIT:
                    break
            return value

        return joined(render, nodes, optional=nodes[-1:])

    def _merge(self, tree: Mapping[str, Any]) -> Node:
        nodes = self._list_of(tree, "$merge")
        renders = [node.call() for node in nodes]

        def render(scope: Scope) -> dict[str, Any]:
            out: dict[str, Any] = {}
            for part in renders:
                value = part(scope)
                if isinstance(value, Mapping):
                    out.update(value)
            return out

        return joined(render, nodes)

    def _list_of(self, tree: Mapping[str, Any], form: str) -> list[Node]:
        parts = tree[form]
        if not isinstance(parts, list | tuple) or not parts:
            raise WrongTemplateError(f"{form} takes a list", pointer=f"/{form}")
        try:
            return [node for _, node in self._items(enumerate(parts))]
        except WrongTemplateError as wrong:
            wrong.pointer = f"/{form}{wrong.pointer}"
            raise


_FORMS: dict[str, tuple[Callable[[TemplateCompiler, Mapping[str, Any]], Node], tuple[str, ...]]] = {
    "$view": (TemplateCompiler._view, ()),
    "$case": (TemplateCompiler._case, ("$of", "$else")),
    "$each": (TemplateCompiler._each, ("$item", "$as")),
    "$json": (TemplateCompiler._json, ()),
    "$first": (TemplateCompiler._first, ()),
    "$merge": (TemplateCompiler._merge, ()),
    "$text": (TemplateCompiler._text_of, ()),
}


def compile_template(tree: Any, *, views: Mapping[str, Any], where: Where | None = None) -> Template:
    """Compile one tree; see `TemplateCompiler.compile`."""
    return TemplateCompiler(views).compile(tree, where=where)


def names_used(tree: Any, views: Mapping[str, Any]) -> set[str]:
    """Give every dotted name that a tree looks up, through views too: `{"job.id", "now"}`."""
    return TemplateCompiler(views).names(tree)


def _fork(scope: Scope) -> dict[str, Any]:
    """Copy a scope so that it can bind one more name; lazy scopes know how to stay lazy."""
    fork = getattr(scope, "fork", None)
    return dict(scope) if fork is None else fork()


def _case_key(value: Any) -> str:
    return "null" if value is None else text_of(value)


def _mapping(items: list[tuple[Any, Node]]) -> Node:
    # Copying a dict that has every key already keeps the key order and costs nothing for constants.
    base = {key: node.value for key, node in items}
    live = [(key, node.render) for key, node in items if node.render is not None]
    nodes = [node for _, node in items]
    if not live:
        return Node(value=base)

    def render(scope: Scope) -> dict[str, Any]:
        out = base.copy()
        for key, fill in live:
            out[key] = fill(scope)
        return out

    def render_some(scope: Scope) -> dict[str, Any]:
        out = base.copy()
        for key, fill in live:
            value = fill(scope)
            if value is OMIT:
                del out[key]
            else:
                out[key] = value
        return out

    return joined(render_some if any(node.optional for node in nodes) else render, nodes)


def _list(nodes: list[Node]) -> Node:
    if all(node.render is None for node in nodes):
        return Node(value=[node.value for node in nodes])
    renders = [node.call() for node in nodes]

    def render(scope: Scope) -> list[Any]:
        return [value for fill in renders if (value := fill(scope)) is not OMIT]

    return joined(render, nodes)
