"""Section 10 of a contract: envelopes, the faces of causes, and the wording of violations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from fauxvider.contract.causes import FALLBACKS, face_for
from fauxvider.contract.model import Envelope, ErrorFace, Template
from fauxvider.contract.nodes import Node

__all__ = ["answer_faces", "errors_of", "issue_texts_of", "issue_types_of"]


def errors_of(root: Node) -> dict[str, ErrorFace]:
    """Give a face to every cause that has one or falls back to one, and to the named extras."""
    envelopes = {node.name: _envelope(node) for node in root.at("envelopes").entries()}
    own = {node.name: _face(node, envelopes) for node in root.at("errors").entries()}
    _check_extras(root, own)
    faces = dict(own)
    for cause in FALLBACKS:
        if (face := face_for(cause, own)) is not None:
            faces[cause] = face if face.cause == cause else replace(face, cause=cause)
    return faces


def answer_faces(root: Node, faces: Mapping[str, ErrorFace]) -> dict[str, ErrorFace]:
    """Give a face of its own to each `{error: CAUSE, values: ...}` among the answers."""
    made: dict[str, ErrorFace] = {}
    for node in _answers(root):
        if node.has("values"):
            face = faces[node.chosen("error", faces, "error")]
            made[answer_face_name(node)] = replace(face, values={**face.values, **node.templates("values")})
    return made


def answer_face_name(node: Node) -> str:
    """Name the face of an answer that changes the values of an error: ``job_state@cancel.already``."""
    _, operation, _, outcome = node.path
    return f"{node.text('error')}@{operation}.{outcome}"


def issue_texts_of(root: Node) -> dict[str, Template]:
    return root.at("issues").templates("texts") or {"other": Node(root.context, "{issue.text}").template()}


def issue_types_of(root: Node) -> dict[str, str]:
    types = {node.name: str(node.value) for node in root.at("issues").at("types").entries()}
    return types or {"other": "invalid"}


def _answers(root: Node) -> Iterator[Node]:
    for operation in root.at("operations").entries():
        yield from operation.at("answers").entries()


def _envelope(node: Node) -> Envelope:
    is_text = node.has("text")
    root = node.text("root")
    default = "text/plain; charset=utf-8" if is_text else "application/xml" if root else "application/json"
    return Envelope(
        name=node.name,
        content_type=node.text("content_type", default),
        body=node.at("text" if is_text else "body").template(),
        root=root,
        is_text=is_text,
    )


def _face(node: Node, envelopes: Mapping[str, Envelope]) -> ErrorFace:
    return ErrorFace(
        cause=node.name,
        status=node.number("status", 500),
        envelope=envelopes[node.chosen("envelope", envelopes, "envelope")],
        values=node.templates("values"),
        headers=node.headers(),
    )


def _check_extras(root: Node, own: Mapping[str, ErrorFace]) -> None:
    """A name that is no cause must be asked for by a URL or an answer; else it is a slip of the pen."""
    asked = {str(one.value) for url in root.at("urls").entries() for one in url.at("errors").entries()}
    asked |= {answer.text("error") for answer in _answers(root)}
    for node in root.at("errors").entries():
        if node.name not in FALLBACKS and node.name not in asked:
            problem = f"{node.name!r} is not a cause, and no URL or answer names it"
            raise node.wrong(problem, allowed=[cause for cause in FALLBACKS if cause not in own], of_key=True)
