"""Who thinks: one small streaming protocol and its implementations.

A model is named `provider:model`, as in "openai:gpt-5-mini" or "replay:brief.jsonl". A new
provider is one file and one line of `PROVIDERS`; its module is imported when it is first named.
"""

from __future__ import annotations

import difflib
import os
import re
from importlib import import_module
from typing import TYPE_CHECKING, cast

from heddle.errors import ConfigError
from heddle.models.protocol import Message, Model, Request, ToolCall, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["PROVIDERS", "Message", "Model", "Request", "ToolCall", "Usage", "model_named"]

PROVIDERS: dict[str, tuple[str, str]] = {
    "openai": ("heddle.models.openai", "openai"),
    "ollama": ("heddle.models.openai", "ollama"),
    "openrouter": ("heddle.models.openai", "openrouter"),
    "vllm": ("heddle.models.openai", "vllm"),
    "replay": ("heddle.models.replay", "replay"),
    "python": ("heddle.models.python", "python"),
}
"""Every provider by name: the module and the function(model, environment) that makes a model."""

PLANNED = ("anthropic",)
SEPARATOR = re.compile("[:/]")


def model_named(name: str, *, environment: Mapping[str, str] | None = None) -> Model:
    """The model of that name, not yet connected.

    Args:
        name: "provider:model" or "provider/model".
        environment: where keys and addresses are looked up; None for the process's own.

    Raises:
        ConfigError: `unknown-provider`, `no-model-name`, `no-key`, or what the provider finds
            wrong with its own part of the name.
    """
    provider, _, model = SEPARATOR.sub(":", name.strip(), count=1).partition(":")
    if provider not in PROVIDERS:
        raise _unknown(provider, model)
    if not model:
        raise ConfigError(
            f"{name!r} names a provider but no model",
            code="no-model-name",
            hint=f"write {provider}:MODEL",
        )
    module, attribute = PROVIDERS[provider]
    make = cast(
        "Callable[[str, Mapping[str, str]], Model]", getattr(import_module(module), attribute)
    )
    return make(model, os.environ if environment is None else environment)


def _unknown(provider: str, model: str) -> ConfigError:
    known = f"known: {', '.join(PROVIDERS)}"
    if provider in PLANNED:
        return ConfigError(
            f"the provider {provider!r} is not in this version",
            code="unknown-provider",
            hint=f"{known}; openrouter:{provider}/MODEL reaches its models",
        )
    if not model:
        return ConfigError(
            f"{provider!r} names no provider",
            code="unknown-provider",
            hint=f"write PROVIDER:MODEL, as in openai:{provider or 'gpt-5-mini'}; {known}",
        )
    near = difflib.get_close_matches(provider.lower(), PROVIDERS, 1)
    return ConfigError(
        f"there is no provider {provider!r}",
        code="unknown-provider",
        hint=(f"did you mean {near[0]}:{model}? " if near else "") + known,
    )
