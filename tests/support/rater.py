"""Somebody who judges pairs of pictures by a link, with a browser that keeps a cookie and runs no script."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from http.cookies import SimpleCookie

from db.states import Choice
from tests.support.visitor import Page, Visitor

Judge = Callable[[bytes, bytes], Choice]


@dataclass
class Rater:
    """One of them."""

    visitor: Visitor
    path: str
    """``/rate/…``."""
    cookies: dict[str, str] = field(default_factory=dict)
    answers: list[Page] = field(default_factory=list)
    """All that came back."""

    def get(self, path: str = "") -> Page:
        return self._keep(self.visitor.get(self.path + path, **self._headers()))

    def send(self, path: str, *fields: tuple[str, str]) -> Page:
        return self._keep(self.visitor.send(self.path + path, fields, **self._headers()))

    def pictures(self) -> tuple[Page, Page]:
        """The pair that waits: its left and its right picture."""
        left, right = self.get().html.xpath("//figure//img/@src")
        return self.get(left.removeprefix(self.path)), self.get(right.removeprefix(self.path))

    def choose(self, choice: Choice) -> Page:
        """Vote on the pair that waits."""
        (position,) = self.get().html.xpath("//input[@name='position']/@value")
        return self.send("/vote", ("position", position), ("choice", choice.value))

    def judge_all(self, judge: Judge) -> int:
        """Begin, and vote until there is no pair left; returns how many there were."""
        self.send("/begin")
        count = 0
        while self.get().html.xpath("//form[@data-vote]"):
            left, right = self.pictures()
            self.choose(judge(left.content, right.content))
            count += 1
        return count

    def _headers(self) -> dict[str, str]:
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}

    def _keep(self, page: Page) -> Page:
        for text in page.headers.get_list("set-cookie"):
            self.cookies |= {name: morsel.value for name, morsel in SimpleCookie(text).items()}
        self.answers.append(page)
        return page
