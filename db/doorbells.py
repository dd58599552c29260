"""What a doorbell looks like under way, and the one reader of messages: what is not exactly ours reaches nobody.

A message may come from anybody who can write to the home or to Redis. Two numbers are taken out of it, and the message
that Celery gets to see is made anew around them: nothing else that somebody wrote is ever interpreted.
"""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

TASK_NAME = "reelwright.attempt"
LOOK_NAME = "reelwright.look"
"""Of a doorbell whose number is a look's, not a task's."""
MOST_BYTES = 64 << 10
"""Longest message that is read; ours have 1 kB."""
_MOST_NUMBER = 2**63 - 1


class NotADoorbell(ValueError):
    """A message is not of our making."""


def read_payload(data: bytes) -> dict[str, Any]:
    """Read a message's bytes; raises :class:`NotADoorbell` as :func:`clean_payload`."""
    if len(data) > MOST_BYTES:
        raise NotADoorbell(f"more than {MOST_BYTES} bytes")
    try:
        return clean_payload(json.loads(data))
    except (ValueError, RecursionError) as error:
        raise NotADoorbell(str(error)[:200]) from error


def clean_payload(payload: Any) -> dict[str, Any]:
    """Return a message with the task and epoch of ``payload``, and with nothing else of it.

    Raises:
        NotADoorbell: It is of another shape or kind, or a number is out of bounds.
    """
    match payload:
        case {
            "body": str(body),
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": {"task": str(name)},
            "properties": {"body_encoding": "base64", "delivery_info": {"routing_key": str(queue)}},
        } if name in (TASK_NAME, LOOK_NAME):
            return _payload(name, *_numbers(body), queue)
    raise NotADoorbell("not a message of ours")


def _numbers(body: str) -> tuple[int, int]:
    try:
        content = json.loads(base64.b64decode(body, validate=True))
    except (ValueError, RecursionError) as error:
        raise NotADoorbell("its body cannot be read") from error
    match content:
        case [[int(task_id), int(epoch)], {**kwargs}, _] if not kwargs and all(
            type(number) is int and 0 <= number <= _MOST_NUMBER for number in (task_id, epoch)
        ):
            return task_id, epoch
    raise NotADoorbell("its body is not a task and an epoch")


def _payload(name: str, task_id: int, epoch: int, queue: str) -> dict[str, Any]:
    message_id = str(uuid.uuid4())
    body = json.dumps([[task_id, epoch], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    return {
        "body": base64.b64encode(body.encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py", "task": name, "id": message_id, "root_id": message_id, "parent_id": None, "group": None,
            "retries": 0, "eta": None, "expires": None, "timelimit": [None, None], "ignore_result": True,
        },
        "properties": {
            "correlation_id": message_id,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
        },
    }  # fmt: skip
