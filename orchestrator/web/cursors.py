"""Places in lists, as they travel in addresses: what was last seen, and in which direction to go on."""

from __future__ import annotations

import re
from dataclasses import dataclass

from db.errors import InputError

_FORM = re.compile(r"([ab])(\d{1,18})", re.ASCII)


@dataclass(frozen=True)
class Cursor:
    """Go on behind a place (``after``), or before it; neither begins anew."""

    after: int | None = None
    before: int | None = None

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Read what :meth:`__str__` wrote; raises ``InputError`` ``BAD_VALUE``."""
        if not text:
            return cls()
        found = _FORM.fullmatch(text)
        if found is None:
            raise InputError(f"{text!r:.60} is no place in this list", remedy="Take `next` or `prev` of an answer.")
        return cls(after=int(found[2])) if found[1] == "a" else cls(before=int(found[2]))

    def __str__(self) -> str:
        """Write it."""
        if self.after is not None:
            return f"a{self.after}"
        return f"b{self.before}" if self.before is not None else ""
