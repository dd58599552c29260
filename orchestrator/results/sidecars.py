"""What is written beside an item's outputs: its PREMIS record, its C2PA sidecars. ``export`` and ``bag`` place them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from orchestrator.results import provenance
from orchestrator.results.bag import TAG_FOLDER
from orchestrator.results.export import ExportItem, Sidecar, SidecarMaker
from orchestrator.results.signing import Signer


def sidecar_maker(*, premis: bool, signer: Signer | None, in_bag: bool = False) -> SidecarMaker | None:
    """Return what makes the papers that are wanted; none where none are.

    Args:
        premis: Whether each item gets its PREMIS record.
        signer: Who signs the outputs; none signs nothing.
        in_bag: Whether records are tag files of a bag instead of lying beside the outputs.
    """
    if not premis and signer is None:
        return None

    def make_sidecars(subject: ExportItem, folder: Path) -> Iterator[Sidecar]:
        assert subject.lineage is not None
        if premis:
            names = {output.output: output.name for output in (*subject.outputs, *subject.parts)}
            name = f"{TAG_FOLDER}/premis/{subject.stem}.xml" if in_bag else f"{subject.stem}.premis.xml"
            yield Sidecar(name, provenance.premis(subject.lineage, names))
        if signer is not None:
            yield from signer.sidecars(subject, folder)

    return make_sidecars
