"""Which errors are whose: exit codes of commands, from which the web face takes its status codes."""

from __future__ import annotations

from db.errors import InputError, OutageError, ReelwrightError, TransientError

OK, FAILURES, BAD_INPUT, UNAVAILABLE, REFUSED, FAULT, INTERRUPTED = 0, 1, 2, 3, 4, 70, 130
_REFUSALS = frozenset(
    {
        "WRONG_STATE",
        "COUNT_DIFFERS",
        "HOME_IN_USE",
        "HOME_READ_ONLY",
        "DATABASE_OUTDATED",
        "DATABASE_NEWER",
        "DATABASE_DAMAGED",
        "TARGET_IN_USE",
        "WORKERS_AT_WORK",
    }
)
_LACKING = frozenset(
    {
        "WORKER_EXTRA_MISSING", "SERVER_EXTRA_MISSING", "C2PA_EXTRA_MISSING", "OTIO_EXTRA_MISSING",
        "WEB_EXTRA_MISSING", "NO_SPACE",
        "OUT_OF_MEMORY",
    }
)  # fmt: skip
_SPOILT = frozenset({"CHECKSUM_MISMATCH", "BLOB_MISSING"})
"""What was kept is not as it was: no fault of the command."""


def exit_code(error: ReelwrightError) -> int:
    """Return the exit code for an error: by its class, and by its code where a class holds several sorts."""
    if error.code in _REFUSALS:
        return REFUSED
    if isinstance(error, OutageError | TransientError) or error.code in _LACKING:
        return UNAVAILABLE
    if error.code in _SPOILT:
        return FAILURES
    return BAD_INPUT if isinstance(error, InputError) else FAULT
