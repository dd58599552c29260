"""Object storage: one contract, a local folder and S3."""

from __future__ import annotations

from db.settings import Settings
from db.store.base import Store


def open_store(settings: Settings) -> Store:
    """Open the store that the settings name.

    Raises:
        InputError: The URI is of no known kind, or the library for it is not installed.
        StoreUnavailable: It does not answer.
    """
    if settings.store.startswith("s3://"):
        from db.store.s3 import S3Store  # boto3 costs a third of a second and the embedded default needs none of it

        return S3Store.open(settings)
    from db.store.local import LocalStore

    return LocalStore.open(settings)
