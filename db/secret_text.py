"""Secrets are kept as digests alone: who reads the database learns none, and a guess is looked up, not compared."""

from __future__ import annotations

import hashlib


def digest(secret: str) -> str:
    """Return what is kept of a secret: sha256 in hex digits, enough for one of 256 random bits."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()
