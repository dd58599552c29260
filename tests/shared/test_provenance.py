"""Real photographs with XMP of their own: it comes through a restoration word for word, but for our mark."""

from __future__ import annotations

from pathlib import Path

import pytest

from db.recipe import parse
from db.states import ItemKind
from tests.support.reels import house, item
from workers.media.stills import xmp
from workers.tasks.restore_still import restore_still

MEDIA = Path(__file__).parents[3] / "shared" / "media" / "photos_bw"
NAMES = ("armstrong_1946.jpg", "migrant_mother_1936.jpg", "saratoga_broadway_1900s.jpg")

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not MEDIA.is_dir(), reason="no shared media beside the checkout"),
]


@pytest.mark.parametrize("name", NAMES)
def test_the_photographers_words_come_through(tmp_path: Path, name: str) -> None:
    at, photo = house(tmp_path), item(MEDIA / name, kind=ItemKind.STILL)
    own = xmp.read(MEDIA / name)
    assert own is not None
    copied = restore_still(photo, at.bench())
    found = xmp.read(at.path(copied.outputs["still"]))
    assert found is not None
    assert found.body == own.body
    changed = restore_still(photo.model_copy(update={"recipe": parse("- color_enhance", "r")}), at.bench())
    found = xmp.read(at.path(changed.outputs["still"]))
    assert found is not None
    assert xmp.properties(found)["DigitalSourceType"].endswith("algorithmicallyEnhanced")
    head, _, tail = own.body.rpartition(b"</rdf:RDF>")
    assert found.body.startswith(head)
    assert found.body.endswith(tail)
