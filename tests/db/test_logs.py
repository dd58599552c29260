from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from db.logs import log_to


@pytest.fixture(autouse=True)
def _keep_the_logging_of_other_tests() -> Iterator[None]:
    before, raising, handlers = structlog.get_config(), logging.raiseExceptions, list(logging.root.handlers)
    yield
    structlog.configure(**before)
    logging.raiseExceptions, logging.root.handlers = raising, handlers


class Full(io.StringIO):
    """A file on a disk that is full for a while."""

    full = True

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(28, "No space left on device")
        return super().write(text)


def test_a_full_disk_costs_lines_and_no_work() -> None:
    stream = Full()
    log_to(stream, "INFO")
    log = structlog.get_logger()
    log.error("lost")
    stream.full = False
    log.error("back")
    said = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [each["event"] for each in said] == ["back", "log lines missing"]
    log.error("whole")
    assert json.loads(stream.getvalue().splitlines()[-1])["event"] == "whole"


def test_a_device_without_room_raises_nothing() -> None:
    with open("/dev/full", "w") as stream:
        log_to(stream, "INFO")
        structlog.get_logger().error("lost")
        with pytest.raises(OSError, match="No space"):
            stream.close()


def test_a_closed_stream_raises_nothing() -> None:
    stream = io.StringIO()
    log_to(stream, "INFO", libraries=True)
    stream.close()
    structlog.get_logger().error("lost")
    logging.getLogger("celery").error("lost")


def test_an_encoding_that_lacks_letters_raises_nothing() -> None:
    raw = io.BytesIO()
    log_to(io.TextIOWrapper(raw, encoding="ascii"), "INFO", libraries=True)
    structlog.get_logger().error("père", path="\udcff")
    logging.getLogger("celery").error("père")
    assert json.loads(raw.getvalue().splitlines()[0])["event"] == "père"


def test_an_exception_is_logged_with_its_trace() -> None:
    stream = io.StringIO()
    log_to(stream, "INFO")
    try:
        raise ZeroDivisionError("of all things")
    except ZeroDivisionError:
        structlog.get_logger().exception("failed")
    assert "ZeroDivisionError: of all things" in json.loads(stream.getvalue())["exception"]
