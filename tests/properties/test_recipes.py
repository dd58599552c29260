"""Whatever stands in a recipe, it is one or is refused by name."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from db import documents, recipe
from db.errors import RecipeError
from tests.properties.hostile import MANY, RECIPES, TEXTS

_PIECES = st.lists(
    TEXTS
    | st.sampled_from(
        ["recipe:", "- ", "\n", "\n  ", ": ", "{", "}", "[", "]", ",", "denoise", "strength", "!!int ", "&a ", "*a",
         "? ", "<<: ", "#", "|\n", ">-\n", "%YAML 1.1\n", "---\n", "...\n", '"', "'", "shots: ", "1:1", "\t"]
    ),
    max_size=14,
).map("".join)  # fmt: skip


@MANY
@given(_PIECES)
def test_any_text_is_a_recipe_or_is_refused(text: str) -> None:
    with contextlib.suppress(RecipeError):
        recipe.parse(text, "r")
    with contextlib.suppress(documents.DocumentError, documents.BrokenDocument):
        documents.from_text(text)


@MANY
@given(RECIPES)
def test_any_document_is_a_recipe_or_is_refused(document: Any) -> None:
    try:
        made = recipe.from_document(document, "r")
    except RecipeError:
        return
    again = recipe.Recipe.model_validate_json(made.model_dump_json())
    assert again.fingerprint() == made.fingerprint()
    assert again.reel_needs == made.reel_needs


@MANY
@given(RECIPES)
def test_yaml_says_what_json_says(document: Any) -> None:
    """As far as YAML can: it has no halves of characters."""
    outcomes = []
    for write in (json.dumps, lambda each: yaml.safe_dump(each, default_flow_style=True, width=1 << 20)):
        try:
            outcomes.append(recipe.parse(write(document), "r").fingerprint())  # type: ignore[operator]
        except (RecipeError, yaml.YAMLError, UnicodeError):
            outcomes.append("")
    assert "" in outcomes or outcomes[0] == outcomes[1]
