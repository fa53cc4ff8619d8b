"""What every HTTP message of ours can be asked, whoever sent it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

__all__ = ["HttpMessage", "first_header"]


def first_header(headers: Iterable[tuple[str, str]], name: str) -> str | None:
    """Give the first header of a name, in whatever case; None without one."""
    wanted = name.lower()
    return next((value for key, value in headers if key.lower() == wanted), None)


class HttpMessage:
    """A mixin for classes with `headers`, pairs of texts, and `body`, bytes."""

    __slots__ = ()

    if TYPE_CHECKING:
        headers: Any
        body: Any

    @property
    def text(self) -> str:
        """The body as text; what is no UTF-8 is replaced."""
        text: str = self.body.decode("utf-8", "replace")
        return text

    def json(self) -> Any:
        """Read the body. Raises ValueError when it is no JSON."""
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """Give the first header of this name, in whatever case."""
        return first_header(self.headers, name)
