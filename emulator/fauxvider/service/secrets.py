"""Signing secrets: those that clients made, and the one that an account has had from its start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fauxvider.engine import signing
from fauxvider.engine.facts import Secret

if TYPE_CHECKING:
    from fauxvider.service.provider import Provider

__all__ = ["current_secret", "known_secrets", "secret_scope"]


async def known_secrets(provider: Provider) -> list[Secret]:
    """List the secrets; one that every account has is made when it is first looked for, the same each time."""
    known = list(await provider.store.secrets())
    rules = provider.contract.secrets
    if known or rules is None or not rules.present:
        return known
    began = provider.world.began
    first = Secret(
        id=provider.mint.value(provider.contract.ids[rules.id], 0, moment=began),
        number=0,
        value=provider.mint.pattern("secret", rules.value, 0, moment=began),
        created=began,
        updated=began,
    )
    await provider.store.put_secret(first)
    return [first]


async def current_secret(provider: Provider) -> Secret | None:
    return next((secret for secret in await known_secrets(provider) if secret.current and not secret.disabled), None)


def secret_scope(provider: Provider, secret: Secret) -> dict[str, Any]:
    """Give `{secret.*}`; `public` is what verifies a signature by a pair of keys, null for a shared secret."""
    callbacks = provider.contract.callbacks
    rule = callbacks.signature if callbacks is not None else None
    return {
        "id": secret.id, "value": secret.value, "prefix": secret.value[:10], "current": secret.current,
        "label": secret.label, "disabled": secret.disabled, "created": secret.created, "updated": secret.updated,
        "last_used": secret.last_used, "public": signing.public_key(rule, secret.value) if rule is not None else None,
    }  # fmt: skip
