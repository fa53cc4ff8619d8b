"""What one section of a contract needs from another one."""

from __future__ import annotations

from collections.abc import Iterator

from fauxvider.contract.nodes import Node

__all__ = ["check_sections"]

# kind of operation -> the section that it works on
_SECTIONS = {
    "asset_upload": "assets",
    "asset_session": "assets",
    "asset_confirm": "assets",
    "asset_read": "assets",
    "secret_create": "secrets",
    "secret_read": "secrets",
    "secret_list": "secrets",
    "secret_update": "secrets",
    "secret_delete": "secrets",
    "deliveries": "callbacks",
    "redeliver": "callbacks",
}


def check_sections(root: Node) -> None:
    """Raise ContractError for the first thing that is asked of a section that is not there."""
    for node, problem in _problems(root):
        raise node.wrong(problem)


def _problems(root: Node) -> Iterator[tuple[Node, str]]:
    urls = {node.name: node.text("serves") for node in root.at("urls").entries()}
    for node in root.at("operations").entries():
        kind = node.text("kind")
        section = _SECTIONS.get(kind, "")
        if section and not root.has(section):
            yield node.at("kind"), f"the kind {kind!r} needs the section `{section}`"
        if node.has("url") and urls.get(node.text("url")) != "upload":
            yield node.at("url"), f"the URL {node.text('url')!r} does not serve uploads"
    for node in root.at("urls").entries():
        if node.text("serves") != "output" and not root.has("assets"):
            yield node.at("serves"), "a URL of assets needs the section `assets`"
    if root.at("callbacks").has("signature") and not root.has("secrets"):
        yield root.at("callbacks").at("signature"), "a signature needs the section `secrets`"
