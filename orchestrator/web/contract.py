"""What of the command line the API does under which address, and what it leaves to a shell, with the reason."""

from __future__ import annotations

ROUTES: dict[str, tuple[str, ...]] = {
    "submit": ("POST /api/v1/jobs",),
    "plan": ("POST /api/v1/plans",),
    "status": ("GET /api/v1/jobs", "GET /api/v1/jobs/{job_id}", "GET /api/v1/jobs/{job_id}/items"),
    "watch": ("GET /api/v1/jobs/{job_id}/events",),
    "failures": ("GET /api/v1/jobs/{job_id}/failures",),
    "rerun": ("POST /api/v1/jobs/{job_id}/rerun",),
    "pause": ("POST /api/v1/jobs/{job_id}/pause",),
    "resume": ("POST /api/v1/jobs/{job_id}/resume",),
    "cancel": ("POST /api/v1/jobs/{job_id}/cancel",),
    "priority": ("PATCH /api/v1/jobs/{job_id}",),
    "get": ("GET /api/v1/jobs/{job_id}/results.tar", "GET /api/v1/items/{item_id}/premis.xml"),
    "verify": ("POST /api/v1/jobs/{job_id}/verify",),
    "compare": ("POST /api/v1/comparisons",),
    "evaluate": ("POST /api/v1/evaluations",),
    "stages": ("GET /api/v1/stages", "GET /api/v1/stages/{name}"),
    "metrics": ("GET /api/v1/metrics",),
    "doctor": ("GET /api/v1/doctor",),
    "models list": ("GET /api/v1/models",),
    "models show": ("GET /api/v1/models/{name}",),
    "models add": ("POST /api/v1/models",),
    "models verify": ("POST /api/v1/models/verify",),
    "models remove": ("DELETE /api/v1/models/{name}",),
    "tokens add": ("POST /api/v1/tokens",),
    "tokens list": ("GET /api/v1/tokens",),
    "tokens revoke": ("DELETE /api/v1/tokens/{name}",),
    "db check": ("GET /health/ready",),
}
"""By command."""
SHELL_ALONE: dict[str, str] = {
    "run": "It is `submit` and the work itself; a server of an embedded home does the work already.",
    "worker": "It starts processes on the machine where it is typed.",
    "orchestrate": "It is a server itself.",
    "serve": "It is this server.",
    "train": "It takes hours of a machine's cores, and paths of its own.",
    "pack": "It writes files where it is typed.",
    "backup": "It writes files where it is typed.",
    "restore": "It fills an installation that has no server yet.",
    "db copy": "Nobody may work in the installation meanwhile, its server neither.",
    "prune": "What it removes is gone for good: whoever may do that has the machine.",
    "db upgrade": "The server does not start with a schema of another release.",
}
"""Commands without an address, each with its reason."""
