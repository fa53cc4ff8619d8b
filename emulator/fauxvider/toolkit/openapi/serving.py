"""The documents of a running emulator: `/openapi/<provider>.json`, and below `/w/<world>` those of another world."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping

from fauxvider.contract.parse import ContractFile
from fauxvider.gate import dump_json
from fauxvider.service.emulator import Emulator

__all__ = ["OpenApiPages"]

_PATH = re.compile(r"/openapi/([a-z][a-z0-9-]*)\.json")
_MAX_KEPT = 32


class OpenApiPages:
    """Makes a document when it is first asked for, in a thread; a few are kept."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._kept: dict[tuple[str, ...], bytes] = {}

    async def __call__(self, world_name: str, path: str) -> bytes | None:
        """Give the document at a path in a world; None if there is none."""
        found = _PATH.fullmatch(path)
        world = self._emulator.find_world(world_name)
        if found is None or world is None or found[1] not in self._emulator.contracts:
            return None
        provider = world.provider(found[1])
        base_url = self._emulator.settings.local_base(world.name, provider.name, "")
        choice = provider.contract.choice
        key = (base_url, *choice.values())
        if key not in self._kept:
            file = self._emulator.contracts[found[1]]
            made = await asyncio.to_thread(_document, file, choice, base_url)
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            self._kept[key] = made
        return self._kept[key]


def _document(file: ContractFile, choice: Mapping[str, str], base_url: str) -> bytes:
    # Loaded when the first document is asked for: a server starts without them.
    from fauxvider.toolkit.openapi.document import openapi_document
    from fauxvider.toolkit.openapi.examples import add_examples

    document = openapi_document(file, choice, base_url=base_url)
    add_examples(document, file)
    return dump_json(document)
