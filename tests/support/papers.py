"""Readers that are not ours, for papers that we wrote: PREMIS's schema, bagit-python; and keys to sign with."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bagit
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from lxml import etree

SCHEMA = Path(__file__).parent / "premis" / "premis-3.0.xsd"
NS = {"p": "http://www.loc.gov/premis/v3"}


def premis(data: bytes) -> Any:
    """Validate a record against the Library of Congress's schema; returns its root."""
    root = etree.fromstring(data)
    etree.XMLSchema(etree.parse(str(SCHEMA))).assertValid(root)
    return root


def texts(node: Any, path: str) -> list[str]:
    """Texts of all elements at a path, in which ``p:`` is PREMIS."""
    return [each.text for each in node.iterfind(path, NS)]


def valid_bag(folder: Path) -> Any:
    """Validate a bag by bagit-python, every digest too."""
    bag = bagit.Bag(str(folder))
    bag.validate()
    return bag


@dataclass(frozen=True)
class Key:
    """A signer's files, and the certificate of the authority that vouches for it."""

    certificates: Path
    key: Path
    root: str


def key(folder: Path, *, since_days: int = 1, valid_days: int = 30) -> Key:
    """Make an authority and a signer that it vouches for, as C2PA wants them."""
    begins = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=since_days)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [_name("Authority of the tests"), _name("Archive of the tests")]
    certificates = []
    for number, (name, own) in enumerate(zip(names, keys, strict=True)):
        made = x509.CertificateBuilder(names[0], name, own.public_key(), x509.random_serial_number(), begins,
                                       begins + datetime.timedelta(days=valid_days))  # fmt: skip
        for extension, critical in _extensions(own, keys[0], authority=number == 0):
            made = made.add_extension(extension, critical)
        certificates.append(made.sign(keys[0], hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    folder.mkdir(parents=True, exist_ok=True)
    found = Key(folder / "chain.pem", folder / "key.pem", certificates[0].decode())
    found.certificates.write_bytes(certificates[1] + certificates[0])
    found.key.write_bytes(
        keys[1].private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return found


def _name(common: str) -> x509.Name:
    parts = ((NameOID.COUNTRY_NAME, "CH"), (NameOID.ORGANIZATION_NAME, "Archive"), (NameOID.COMMON_NAME, common))
    return x509.Name([x509.NameAttribute(*part) for part in parts])


def _extensions(own: Any, authority_key: Any, *, authority: bool) -> list[tuple[Any, bool]]:
    uses = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only",
         "decipher_only"), False,
    )  # fmt: skip
    found = [
        (x509.BasicConstraints(ca=authority, path_length=None), True),
        (x509.KeyUsage(digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, **uses), True),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), False),
        (x509.SubjectKeyIdentifier.from_public_key(own.public_key()), False),
    ]
    return found if authority else [*found, (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)]
