"""Everything heddle raises, as one tree.

Each error answers four questions: what, where, whose fault, what to do (`hint`). A failing step
is never among them: a step's failure is a value in the stream of events.

    HeddleError(message, code, hint)
    ├── ConfigError            you: a flag, a key, a tools file, a plan file      exit 2
    ├── PlanRejected           the model's or your text: `.findings` say where    exit 3
    ├── JournalError           where runs are kept, or who else holds the run     exit 2
    ├── BudgetExceeded         nobody: a deadline or a budget ran out             exit 5
    ├── ModelError             the provider, or the line to it                    exit 4
    ├── ToolFailed             a tool; becomes the step's error, never escapes    exit 1
    │   └── NotSent            a tool whose effect surely did not happen          exit 1
    └── InternalError          us: please report                                  exit 70
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heddle.models.protocol import Usage
    from heddle.plan.findings import Finding

__all__ = [
    "BudgetExceeded",
    "ConfigError",
    "HeddleError",
    "InternalError",
    "JournalError",
    "ModelError",
    "NotSent",
    "PlanRejected",
    "ToolFailed",
]


class HeddleError(Exception):
    """What went wrong, with a stable kebab-case code and the remedy.

    Attributes:
        code: stable kebab-case name of the fault.
        hint: what to do about it; empty when there is nothing to add.
        exit_status: the command line's exit status for this kind.
        run_id: the run that it is about, where that is known.
    """

    exit_status = 1
    run_id = ""

    def __init__(self, message: str, *, code: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint
        if hint:
            self.add_note(f"hint: {hint}")  # a traceback shows it


class ConfigError(HeddleError):
    """You gave a setting, a key, a file or an argument that cannot be used."""

    exit_status = 2


class PlanRejected(HeddleError):
    """A plan has error findings, so nothing of it was run.

    Attributes:
        findings: all findings of the plan, warnings included.
    """

    exit_status = 3

    def __init__(self, findings: Sequence[Finding], message: str = "") -> None:
        errors = [finding for finding in findings if finding.severity == "error"]
        first = errors[0] if errors else None
        super().__init__(
            message or (f"plan rejected: {first.message}" if first else "plan rejected"),
            code=first.code if first else "plan-rejected",
            hint=first.hint if first else "",
        )
        self.findings = list(findings)


class JournalError(HeddleError):
    """The journal cannot be written or read, or the run is not ours to go on with.

    Codes: `journal-unwritable` (no such folder, read-only, no permission), `journal-full`,
    `journal-locked` (waited for in vain), `journal-lost` (the connection to its server),
    `journal-damaged`, `journal-newer` (written by a later version), `journal-gap`, `run-unknown`,
    `run-exists`, `run-leased` (another process runs it), `lease-lost` (another process took it
    over), `tools-changed`, `run-other` (it is none of this kind), `not-unknown` (what was to be
    resolved is not in doubt).
    """

    exit_status = 2


class BudgetExceeded(HeddleError):
    """A deadline, a number of rounds or another budget ran out before an answer was found."""

    exit_status = 5


class ModelError(HeddleError):
    """A model did not answer, or not in the way its protocol promises.

    Attributes:
        provider: the provider's name, as in `openai:gpt-5-mini`.
        retryable: whether the same request may succeed later.
        retry_after_s: the provider's own wish in seconds, a floor and not an estimate.
        usage: what was spent before it failed (a `heddle.models.Usage`), where somebody counted:
            the `llm` tool does, whose failure would else take its tokens with it.
        cost_usd: the price of that, where it is known.
    """

    exit_status = 4
    usage: Usage | None = None
    cost_usd: float | None = None

    def __init__(
        self,
        message: str,
        *,
        code: str,
        provider: str,
        hint: str = "",
        retryable: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.provider = provider
        self.retryable = retryable
        self.retry_after_s = retry_after_s


class ToolFailed(HeddleError):
    """A tool could not do its work; raise it from a tool to choose the step's error code.

    Attributes:
        retryable: whether the same call may succeed later; the step is then tried again, unless it
            is a write.
        retry_after_s: how long to wait before that at least, in seconds.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "tool-failed",
        hint: str = "",
        retryable: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.retryable = retryable
        self.retry_after_s = retry_after_s


class NotSent(ToolFailed):
    """An effect that surely did not happen; raise it from a tool, and even a write is tried again.

    Only for what the tool knows: that it had no connection, that it was refused before anything was
    done. A connection that was lost after the request is not such a thing.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "not-sent",
        hint: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint, retryable=True, retry_after_s=retry_after_s)


class InternalError(HeddleError):
    """Our fault. Please report it, with the run's id."""

    exit_status = 70

    def __init__(self, message: str) -> None:
        super().__init__(
            message,
            code="internal",
            hint="this is a bug in heddle: please report it with the text above",
        )
