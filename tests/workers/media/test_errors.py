"""What libraries say, as people are shown it."""

from __future__ import annotations

import errno

import pytest

from db.errors import InputError
from workers.media.errors import error_text, reading


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError(b"Token too long:\n \xff7"), "Token too long: \ufffd7"),
        (ValueError("two\n lines"), "two lines"),
        (OSError(errno.EIO, "Input/output error", "/a"), "Input/output error"),
        (KeyError("name"), "'name'"),
        (ValueError(), "ValueError"),
    ],
)
def test_a_librarys_message_is_one_line_of_text(error: Exception, text: str) -> None:
    assert error_text(error) == text


def test_bytes_that_a_library_raises_are_shown_as_text() -> None:
    with pytest.raises(InputError, match=r"^a\.pbm: no figure$"), reading("a.pbm"):
        raise ValueError(b"no figure")
