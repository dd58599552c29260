"""S3, or a server that speaks its language: the client, and what its errors mean. Needs the ``server`` extra.

``db.store.s3`` keeps our own blobs there, ``db.sources`` reads users' sources.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from db.errors import InputError, StoreUnavailable, TransientError
from db.settings import Settings

try:
    import boto3
    from boto3.s3.transfer import TransferConfig
    from botocore import exceptions as boto_errors
    from botocore.config import Config
except ModuleNotFoundError as _error:
    raise InputError("S3's library boto3 is not installed", code="SERVER_EXTRA_MISSING") from _error

__all__ = [
    "MISSING",
    "TransferConfig",
    "boto_errors",
    "client_for",
    "connect",
    "error_code",
    "reach",
    "translate_errors",
]

MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
"""Codes by which a server says that there is no such object."""
_AWAY = {"500", "502", "503", "504", "SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "Throttling"}


def connect(settings: Settings, *, in_pieces: bool = False) -> Any:
    """Return a boto3 client for the settings' S3 server: short timeouts, three tries.

    ``in_pieces`` is for reading ranges: a server's checksum is of the whole object and would not fit any of them. A
    client keeps its connections, and threads may share it: a sequence's files need not each shake hands anew.
    """
    return client_for(*reach(settings), in_pieces=in_pieces)


def reach(settings: Settings) -> tuple[str, str, str, str]:
    """Return what of the settings leads to the server: address, keys and region. Settings themselves have no hash."""
    return settings.s3_endpoint_url, settings.s3_access_key, settings.s3_secret_key, settings.s3_region


@lru_cache(maxsize=8)
def client_for(endpoint_url: str, access_key: str, secret_key: str, region: str, *, in_pieces: bool = False) -> Any:
    """Return the one client for what :func:`reach` gives."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint_url or None,
        aws_access_key_id=access_key or None,
        aws_secret_access_key=secret_key or None,
        region_name=region,
        config=Config(
            connect_timeout=5,
            read_timeout=60,
            retries={"max_attempts": 3, "mode": "standard"},
            s3={"addressing_style": "path"} if endpoint_url else {},
            response_checksum_validation="when_required" if in_pieces else "when_supported",
        ),
    )


def error_code(error: Any) -> str:
    """Return the server's own code of a ``ClientError``; empty when it gave none."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def translate_errors(key: str) -> Iterator[None]:
    """Translate what goes wrong with a blob of ours.

    Raises:
        InputError: ``BLOB_MISSING``, naming ``key``, or ``BAD_SETTING`` without credentials.
        StoreUnavailable: The server does not answer.
        TransientError: It refused.
    """
    try:
        yield
    except boto_errors.ClientError as error:
        raise _refusal(error, key) from error
    except boto3.exceptions.S3UploadFailedError as error:
        if isinstance(error.__context__, boto_errors.ClientError):  # no rights, for one: waiting gives none
            raise _refusal(error.__context__, key) from error
        raise StoreUnavailable(f"The upload of {key} broke off: {error}") from error
    except (boto_errors.NoCredentialsError, boto_errors.PartialCredentialsError) as error:
        raise InputError("There are no S3 credentials", code="BAD_SETTING") from error
    except (boto_errors.BotoCoreError, boto_errors.HTTPClientError, OSError) as error:
        raise StoreUnavailable(f"The store does not answer: {error}") from error


def _refusal(error: Any, key: str) -> Exception:
    """Return what a server's answer means."""
    code = error_code(error)
    if code in MISSING:
        return InputError(f"Blob {key} is not in the store", code="BLOB_MISSING")
    if code in _AWAY:
        return StoreUnavailable(f"The store does not answer: {code}")
    if code == "NoSuchBucket":  # not one blob is gone, but all of them
        return StoreUnavailable(f"The store's bucket is not there: {code}")
    return TransientError(f"The store refused {key}: {code}")
