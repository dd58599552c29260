"""C2PA sidecars: a signed statement beside each picture and film of who made it of what, how. Needs the extra ``c2pa``.

The sidecar holds the hash of the file that it stands beside, which is not touched: ``c2patool`` and c2pa's readers take
both together. The key and its certificates are the user's own, and are read once, when the signer is made.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path, PurePath
from typing import Any

from db import source_types
from db.beneath import read_small
from db.catalog.stages import STAGES
from db.errors import InputError
from db.lineage import Generation, Lineage
from orchestrator.results.export import ExportItem, OutputFile, Sidecar
from orchestrator.results.premis import iso_time
from orchestrator.results.provenance import MEDIA_TYPES

ALGORITHMS = ("es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519")
SUFFIX = ".c2pa"
_HOLDS = ("Valid", "Trusted")
_MOST_PEM_BYTES = 1 << 20
_STRANGER = "signingCredential.untrusted"
_SIGNED = ("master", "access", "still", "audio")
_TYPES = {"mkv": "video/x-matroska", "avi": "video/avi"}
"""Where C2PA's library knows another media type than the IANA."""


class Signer:
    """Signs with one key."""

    def __init__(self, library: Any, signer: Any) -> None:
        """Take c2pa's module and its signer; :func:`open_signer` makes both."""
        self._library, self._signer = library, signer

    def sidecars(self, subject: ExportItem, folder: Path) -> Iterator[Sidecar]:
        """Yield a sidecar for every picture, film and sound file of an item's newest result.

        Raises:
            InputError: ``SIGNING_FAILED`` when the key does not fit the certificate, which has expired, or the
                library refuses the file.
        """
        lineage = subject.lineage
        if lineage is None or lineage.newest is None:
            return
        for output in subject.outputs:
            if output.output in _SIGNED:
                manifest = claim(lineage, lineage.newest, output)
                yield Sidecar(f"{output.name}{SUFFIX}", self._sign(manifest, folder / output.name))

    def _sign(self, manifest: dict[str, Any], path: Path) -> bytes:
        library = self._library
        try:
            plain = library.Context(library.Settings.from_dict({"builder": {"thumbnail": {"enabled": False}}}))
            # The library writes a copy of what it signs; a sidecar needs none.
            with library.Builder(manifest, plain) as builder, path.open("rb") as file, open(os.devnull, "w+b") as sink:
                builder.set_no_embed()
                signature: bytes = builder.sign(self._signer, manifest["format"], file, sink)
        except (library.C2paError, OSError) as error:
            raise _signing_error(str(path.name), error) from error
        return signature


def open_signer(certificates: Path, key: Path, *, algorithm: str = "es256", timestamp_url: str = "") -> Signer:
    """Read a key and its certificates.

    Args:
        certificates: PEM: the signer's own certificate first, then those that vouch for it.
        key: PEM, PKCS 8, without a password.
        algorithm: One of :data:`ALGORITHMS`.
        timestamp_url: A time-stamping authority that is asked at each signature; empty asks none.

    Raises:
        InputError: ``C2PA_EXTRA_MISSING``, ``SIGNING_FAILED``, ``FILE_MISSING``, ``BAD_VALUE``.
    """
    library = _load_library()
    if algorithm not in ALGORITHMS:
        raise InputError(f"No signature algorithm {algorithm!r:.40}", remedy=f"One of: {', '.join(ALGORITHMS)}.")
    chain, secret = _read_pem(certificates, "CERTIFICATE"), _read_pem(key, "PRIVATE KEY")
    try:
        signing_algorithm = library.C2paSigningAlg[algorithm.upper()]
        url = timestamp_url.encode() if timestamp_url else None
        signer = library.Signer.from_info(library.C2paSignerInfo(signing_algorithm, chain, secret, url))
    except (library.C2paError, ValueError, TypeError) as error:
        raise _signing_error(str(certificates), error) from error
    return Signer(library, signer)


def _load_library() -> Any:
    try:
        import c2pa
    except (ImportError, OSError) as error:  # its native library may be lacking as well
        raise InputError(f"C2PA's library cannot be loaded: {error}", code="C2PA_EXTRA_MISSING") from error
    return c2pa


def find_sidecars(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Yield every C2PA sidecar below a folder and the file that it stands beside."""
    for sidecar in sorted(folder.rglob(f"*{SUFFIX}")):
        if sidecar.is_file() and not sidecar.is_symlink():
            yield sidecar, sidecar.with_name(sidecar.name.removesuffix(SUFFIX))


def sidecar_fault(path: Path, sidecar: Path) -> str | None:
    """Return what is wrong with a sidecar, by C2PA's own reader; none when its signature holds for the file.

    Whether the signer is one to be trusted is another question, which only the reader's own list can answer.

    Raises:
        InputError: ``C2PA_EXTRA_MISSING``.
    """
    library = _load_library()
    try:
        with path.open("rb") as file, library.Reader(_media_type(path.name), file, sidecar.read_bytes()) as reader:
            if reader.get_validation_state() in _HOLDS:
                return None
            statuses = json.loads(reader.json()).get("validation_status") or []
    except (library.C2paError, OSError, ValueError) as error:
        return " ".join(str(error).split())[:300]
    faults = [str(each.get("code")) for each in statuses if each.get("code") != _STRANGER]
    return ", ".join(faults)[:300] or "no valid signature"


def claim(lineage: Lineage, generation: Generation, placed: OutputFile) -> dict[str, Any]:
    """Return what is claimed of one output, as c2pa's builder takes it."""
    facts = generation.result.facts
    source = f"sha256:{facts.get('sha256', 'unknown')}"
    parent = {
        "title": PurePath(lineage.uri).name or lineage.external_id,
        "format": _media_type(lineage.uri),
        "instance_id": source,
        "label": source,
        "relationship": "parentOf",
        "description": f"The source as it was read, {source}.",
    }  # fmt: skip
    return {
        "claim_generator_info": [{"name": "Reelwright", "version": version("reelwright")}],
        "title": PurePath(placed.name).name,
        "format": _media_type(placed.blob.name),
        "ingredients": [parent],
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": list(_actions(lineage, generation, source, placed))}},
            {"label": "org.reelwright.provenance", "data": _provenance(lineage, generation, placed)},
        ],
    }


def _actions(lineage: Lineage, generation: Generation, source: str, placed: OutputFile) -> Iterator[dict[str, Any]]:
    yield {"action": "c2pa.opened", "parameters": {"ingredientIds": [source]}}
    at, rows = iso_time(generation.accepted_at), generation.result.facts.get("steps") or []
    recipe = lineage.record.recipe if lineage.record else None
    invented = source_types.inventions(generation.result.facts)
    for number, row in enumerate(rows):
        spec = STAGES.get(row["stage"])
        step = recipe.steps[number] if recipe and number < len(recipe.steps) else None
        paints = spec is not None and spec.invents in invented and step is not None and bool(step.cards())
        yield {
            "action": spec.c2pa_action if spec else "c2pa.edited",
            "when": at,
            "description": f"{row['stage']}: {spec.summary if spec else 'a stage of an outside package'}",
            "softwareAgent": {"name": "Reelwright", "version": version("reelwright")},
            "digitalSourceType": source_types.uri(source_types.INVENTED if paints else source_types.ENHANCED),
            "parameters": {"org.reelwright.parameters": _claim_parameters(step.params) if step else {}},
        }
    if placed.output == "access":
        yield {"action": "c2pa.transcoded", "when": at, "description": "Access copy, made from the master."}


def _provenance(lineage: Lineage, generation: Generation, placed: OutputFile) -> dict[str, Any]:
    facts = generation.result.facts
    return {
        "job": lineage.job.id,
        "item": lineage.external_id,
        "generation": generation.number,
        "output": placed.output,
        "output_sha256": placed.blob.sha256,
        "source_sha256": str(facts.get("sha256", "")),
        "recipe": str(facts.get("recipe", "")),
        "recipe_fingerprint": str(facts.get("recipe_fingerprint", "")),
    }


def _media_type(name: str) -> str:
    suffix = PurePath(name).suffix.lstrip(".").lower()
    return _TYPES.get(suffix) or MEDIA_TYPES.get(suffix, ("", ""))[1] or "application/octet-stream"


def _claim_parameters(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters without those that are none: a claim says what was set."""
    return {name: value for name, value in params.items() if value is not None}


def _read_pem(path: Path, what: str) -> bytes:
    try:
        data = read_small(path, _MOST_PEM_BYTES)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})", code="FILE_MISSING") from error
    except ValueError as error:
        raise InputError(f"{path}: {error}", code="SIGNING_FAILED") from error
    if f"{what}-----".encode() not in data:
        raise InputError(f"{path}: there is no {what.lower()} in PEM form in it", code="SIGNING_FAILED")
    return data


def _signing_error(where: str, error: Exception) -> InputError:
    return InputError(f"{where}: {' '.join(str(error).split())[:300]}", code="SIGNING_FAILED")
