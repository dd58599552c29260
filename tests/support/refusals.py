"""What is refused, and under which code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from db.errors import InputError


@contextmanager
def refused(code: str, said: str = "") -> Iterator[None]:
    """Expect an error with a code, and a message in which a pattern is found."""
    with pytest.raises(InputError) as caught:
        yield
    assert caught.value.code == code
    assert re.search(said, caught.value.message)
