"""The page of networks."""

from __future__ import annotations

from db.catalog.weights import CARDS
from tests.support.visitor import Visitor


def test_every_card_is_shown_with_licence_and_what_can_be_used_first(viewer: Visitor) -> None:
    page = viewer.get("/models")
    names = [each.text_content().strip() for each in page.html.xpath("//tbody//th//code")]
    assert set(names) >= {card.name for card in CARDS.values() if ":" not in card.name}
    states = [each.text_content().strip() for each in page.html.xpath("//tbody/tr/td[2]")]
    assert states == sorted(states, key=lambda word: word == "no")


def test_only_an_admin_is_offered_to_register_and_to_remove(viewer: Visitor, admin: Visitor) -> None:
    assert viewer.get("/models").html.xpath("//main//form") == []
    assert admin.get("/models").html.xpath("//input[@type='file']")
    assert viewer.send("/models/remove", [("name", "eccv16")]).status == 403


def test_what_is_not_registered_cannot_be_removed(admin: Visitor) -> None:
    page = admin.send("/models/remove", [("name", "eccv16")])
    assert "MODEL_MISSING" in page.words
