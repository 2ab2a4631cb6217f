"""`model_named`: a name gives a model, or an error that says what to write instead."""

import subprocess
import sys

import pytest

from heddle.errors import ConfigError
from heddle.models import PROVIDERS, model_named

KEY = "sk-secret-key-0123456789"


def refused(name: str, environment: dict[str, str] | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        model_named(name, environment=environment or {})
    return caught.value


@pytest.mark.parametrize(
    ("name", "provider", "model"),
    [
        ("openai:gpt-5-mini", "openai", "gpt-5-mini"),
        ("openai/gpt-5-mini", "openai", "gpt-5-mini"),
        ("ollama:llama3:8b", "ollama", "llama3:8b"),
        ("ollama/llama3:8b", "ollama", "llama3:8b"),
        ("openrouter:meta/llama-4", "openrouter", "meta/llama-4"),
        ("openrouter/meta/llama-4", "openrouter", "meta/llama-4"),
        ("vllm:qwen", "vllm", "qwen"),
    ],
)
def test_a_name_is_a_provider_and_its_own_name_for_the_model(name, provider, model):
    keys = {"OPENAI_API_KEY": KEY, "OPENROUTER_API_KEY": KEY}
    made = model_named(name, environment=keys)
    assert (made.provider, made.name) == (provider, model)


def test_an_unknown_provider_gets_the_closest_one_and_the_list():
    error = refused("opnai:gpt-5")
    assert error.code == "unknown-provider"
    assert "did you mean openai:gpt-5?" in error.hint
    assert all(provider in error.hint for provider in PROVIDERS)


def test_a_model_without_a_provider_is_told_how_to_write_it():
    assert "openai:gpt-5-mini" in refused("gpt-5-mini").hint
    assert refused("").code == "unknown-provider"


def test_a_provider_without_a_model_is_refused():
    assert refused("openai:").code == "no-model-name"
    assert refused("ollama").code == "no-model-name"


def test_a_provider_that_is_not_in_this_version_says_so():
    error = refused("anthropic:claude")
    assert error.code == "unknown-provider"
    assert "not in this version" in error.message
    assert "openrouter:anthropic/MODEL" in error.hint


@pytest.mark.parametrize("provider", ["openai", "openrouter"])
def test_a_missing_key_names_the_variable(provider):
    error = refused(f"{provider}:m")
    assert error.code == "no-key"
    assert f"{provider.upper()}_API_KEY" in error.hint
    assert refused(f"{provider}:m", {f"{provider.upper()}_API_KEY": "  "}).code == "no-key"


def test_a_server_of_ones_own_needs_no_key():
    model = model_named("openai:m", environment={"OPENAI_BASE_URL": "http://localhost:1234/v1"})
    assert "http://localhost:1234/v1" in repr(model)
    assert "localhost:11434" in repr(model_named("ollama:m", environment={}))
    assert "localhost:8000" in repr(model_named("vllm:m", environment={}))


@pytest.mark.parametrize(
    "url",
    [
        "localhost:1234/v1",
        "ftp://x/v1",
        "http://",
        "http://[::1/v1",
        "http://h:port/v1",
        "nonsense",
    ],
)
def test_an_address_that_cannot_be_one_is_refused(url):
    error = refused("openai:m", {"OPENAI_BASE_URL": url})
    assert error.code == "bad-base-url"
    assert "https://api.openai.com/v1" in error.hint


@pytest.mark.parametrize("key", [KEY + "\n" + KEY, KEY + "\u201d", KEY + "\x00"])
def test_a_key_that_no_header_can_hold_is_refused_without_being_shown(key):
    error = refused("openai:m", {"OPENAI_API_KEY": key})
    assert error.code == "bad-key"
    assert KEY not in f"{error.message} {error.hint} {error!r}"


def test_user_and_password_of_an_address_are_not_shown():
    model = model_named("openai:m", environment={"OPENAI_BASE_URL": "http://me:pw123@h:1/v1"})
    assert "pw123" not in repr(model)


def test_naming_a_model_does_not_import_the_http_client():
    code = (
        "import sys; from heddle.models import model_named;"
        "model_named('openai:m', environment={'OPENAI_API_KEY': 'k'});"
        "print('httpx2' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
