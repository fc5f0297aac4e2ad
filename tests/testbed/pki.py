# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""A throw-away public key infrastructure, for tests, demo and benchmarks.

    grid = Authority.create('/C=EU/O=Example Grid/CN=Example Grid CA')
    alice = grid.issue('/C=EU/O=Example Grid/CN=Alice Endorser')
    late = grid.crl(revoked=[alice], next_update=YESTERDAY)
    write_folder(path, [grid, other.files(crl=False)])

It makes wrong things as readily as right ones. Certificate authorities
have EC keys (quick to make); endorsers share a small pool of RSA keys
that is made once a process. Never use any of it outside tests.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import datetime
import functools
import hashlib
import itertools
import os
import pathlib
from typing import Any

from asn1crypto import algos as asn1_algos
from asn1crypto import core as asn1_core
from asn1crypto import crl as asn1_crl
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography import x509

DAY = datetime.timedelta(days=1)
KEY_USAGES = ('digital_signature', 'content_commitment', 'key_encipherment',
              'data_encipherment', 'key_agreement', 'key_cert_sign',
              'crl_sign', 'encipher_only', 'decipher_only')
PURPOSES = {'serverAuth': '1.3.6.1.5.5.7.3.1',
            'clientAuth': '1.3.6.1.5.5.7.3.2',
            'codeSigning': '1.3.6.1.5.5.7.3.3',
            'emailProtection': '1.3.6.1.5.5.7.3.4',
            'timeStamping': '1.3.6.1.5.5.7.3.8',
            'anyExtendedKeyUsage': '2.5.29.37.0'}
ATTRIBUTES = {'C': '2.5.4.6', 'ST': '2.5.4.8', 'L': '2.5.4.7',
              'O': '2.5.4.10', 'OU': '2.5.4.11', 'CN': '2.5.4.3',
              'serialNumber': '2.5.4.5',
              'DC': '0.9.2342.19200300.100.1.25',
              'UID': '0.9.2342.19200300.100.1.1',
              'emailAddress': '1.2.840.113549.1.9.1'}
_POOL_SIZE = 4
_turn = itertools.count()

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
Extension = tuple[x509.ExtensionType, bool]


@functools.cache
def rsa_key(number: int = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return the RSA key with this number; made once a process."""
    return rsa.generate_private_key(65537, bits)


def make_key(kind: str | Key) -> Key:
    """Return a key: ``rsa`` (pool), ``rsa-1024``, ``ec``, ``ec-384``..."""
    if not isinstance(kind, str):
        return kind
    name, _, bits = kind.partition('-')
    if name == 'rsa':
        return rsa_key(next(_turn) % _POOL_SIZE, int(bits or 2048))
    curves: dict[str, ec.EllipticCurve] = {
        '256': ec.SECP256R1(), '384': ec.SECP384R1(),
        '521': ec.SECP521R1()}
    return ec.generate_private_key(curves[bits or '256'])


def make_name(dn: str | x509.Name) -> x509.Name:
    """Return the name for ``/C=EU/CN=...``.

    A value may hold slashes so long as what follows them is not the short
    name of an attribute: ``/CN=host/example.org`` is one attribute.
    """
    if isinstance(dn, x509.Name):
        return dn
    pairs: list[list[str]] = []
    for piece in dn[1:].split('/'):
        key, equals, value = piece.partition('=')
        if equals and key in ATTRIBUTES:
            pairs.append([key, value])
        else:
            pairs[-1][1] += '/' + piece
    return x509.Name([x509.NameAttribute(
        x509.ObjectIdentifier(ATTRIBUTES[k]), v) for k, v in pairs])


def utcnow() -> datetime.datetime:
    """Return the time, to the second, as certificates carry it."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def pem(thing: Any) -> bytes:
    """Return the PEM form of a certificate or CRL."""
    encoded: bytes = thing.public_bytes(serialization.Encoding.PEM)
    return encoded


@dataclasses.dataclass(frozen=True)
class Identity:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        """The certificate as PEM."""
        return pem(self.certificate)

    @property
    def key_pem(self) -> bytes:
        """The key as unencrypted PKCS#8 PEM."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption())

    def write(self, folder: str | os.PathLike[str],
              name: str) -> tuple[pathlib.Path, pathlib.Path]:
        """Write ``NAME.pem`` and ``NAME.key``; return both paths."""
        cert = pathlib.Path(folder, f'{name}.pem')
        key = pathlib.Path(folder, f'{name}.key')
        cert.write_bytes(self.pem)
        key.touch(mode=0o600)
        key.write_bytes(self.key_pem)
        return cert, key


class Authority(Identity):
    """A certificate authority."""

    @classmethod
    def create(cls, dn: str | x509.Name, **options: Any) -> 'Authority':
        """Make a self-signed CA; the options are those of :func:`build`.

        A second one with the same name is a rogue: another key.
        """
        key = make_key(options.pop('key', 'ec'))
        settings: dict[str, Any] = {
            'ca': True, 'years': 10,
            'key_usage': ('key_cert_sign', 'crl_sign')} | options
        return cls(build(dn, key, issuer=None, issuer_key=key, **settings),
                   key)

    def intermediate(self, dn: str | x509.Name,
                     **options: Any) -> 'Authority':
        """Make a CA below this one; options as in :func:`build`."""
        key = make_key(options.pop('key', 'ec'))
        settings: dict[str, Any] = {
            'ca': True, 'years': 5,
            'key_usage': ('key_cert_sign', 'crl_sign')} | options
        return Authority(
            build(dn, key, issuer=self.certificate, issuer_key=self.key,
                  **settings), key)

    def issue(self, dn: str | x509.Name, **options: Any) -> Identity:
        """Make an end entity; options as in :func:`build`.

        :param key: ``rsa`` (default), ``ec`` or a key of your own
        """
        key = make_key(options.pop('key', 'rsa'))
        settings: dict[str, Any] = {
            'ca': False, 'eku': ('emailProtection', 'clientAuth'),
            'key_usage': ('digital_signature',
                          'content_commitment')} | options
        return Identity(
            build(dn, key, issuer=self.certificate, issuer_key=self.key,
                  **settings), key)

    def crl(self, revoked: Iterable[Identity | int] = (), *,
            now: datetime.datetime | None = None,
            this_update: datetime.datetime | None = None,
            next_update: datetime.datetime | None = None,
            number: int | None = 1, digest: str = 'sha256',
            extensions: Sequence[Extension] = (),
            key: Key | None = None) -> x509.CertificateRevocationList:
        """Make a CRL: from a day ago to in 30 days unless told otherwise.

        :param revoked: identities or serial numbers
        :param key: sign with another key: a forged CRL
        """
        now = now or utcnow()
        start = this_update or now - DAY
        builder = x509.CertificateRevocationListBuilder(
            self.certificate.subject, start, next_update or now + 30 * DAY)
        for each in revoked:
            serial = each if isinstance(each, int) else (
                each.certificate.serial_number)
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder(serial, start).build())
        if number is not None:
            builder = builder.add_extension(x509.CRLNumber(number), False)
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        signer = key or self.key
        made = builder.sign(signer, hashes.SHA256())
        if digest == 'sha256':
            return made
        parsed = asn1_crl.CertificateList.load(
            made.public_bytes(serialization.Encoding.DER))
        return x509.load_der_x509_crl(
            _sign_again(parsed, 'tbs_cert_list', signer, digest))

    def signing_policy(self, *subjects: str) -> bytes:
        """Return a Globus EACL that permits these subject globs."""
        globs = ' '.join(f'"{s}"' for s in subjects or ('*',))
        return (f"access_id_CA X509 '{self.one_line}'\n"
                'pos_rights globus CA:sign\n'
                f"cond_subjects globus '{globs}'\n").encode()

    @property
    def one_line(self) -> str:
        """The subject as OpenSSL's one line (ASCII names only)."""
        short = {oid: key for key, oid in ATTRIBUTES.items()}
        return ''.join(
            f'/{short[a.oid.dotted_string]}={a.value!s}'
            for a in self.certificate.subject)

    def files(self, crl: x509.CertificateRevocationList | bytes | bool = True,
              policy: bytes | bool = True, alias: str | None = None,
              index: int = 0) -> dict[str, bytes]:
        """Return file name -> content, as in an IGTF folder.

        :param crl: a CRL, or True for a fresh empty one, or False
        :param policy: text, or True for one that permits all, or False
        :param alias: base of the names; default the subject hash
        :param index: the digit at the end of HASH.0 and HASH.r0
        """
        base = alias or subject_hash(self.certificate)
        made = {f'{base}.{index}': self.pem}
        if crl is True:
            crl = self.crl()
        if crl is not False:
            made[f'{base}.r{index}'] = (
                crl if isinstance(crl, bytes) else pem(crl))
        if policy is True:
            policy = self.signing_policy()
        if policy is not False:
            made[f'{base}.signing_policy'] = policy
        return made


def folder(members: Iterable[Authority | Mapping[str, bytes]],
           ) -> dict[str, bytes]:
    """Merge CAs, or what their ``files()`` returned, into one folder."""
    merged: dict[str, bytes] = {}
    for member in members:
        files = (member.files() if isinstance(member, Authority)
                 else member)
        if clash := merged.keys() & files.keys():
            raise ValueError(f'two files are called {sorted(clash)}; '
                             'give an index or alias to files()')
        merged.update(files)
    return merged


def write_folder(path: str | os.PathLike[str],
                 members: Iterable[Authority | Mapping[str, bytes]],
                 ) -> pathlib.Path:
    """Write a folder that ``openssl -CApath`` and we can use."""
    target = pathlib.Path(path)
    target.mkdir(parents=True, exist_ok=True)
    for name, content in folder(members).items():
        (target / name).write_bytes(content)
    return target


def subject_hash(certificate: x509.Certificate) -> str:
    """Return what ``openssl x509 -subject_hash`` prints."""
    canonical = b''.join(
        asn1_core.SetOf(contents=b''.join(sorted(map(_canonical, rdn))),
                        spec=asn1_core.Any).dump()
        for rdn in certificate.subject.rdns)
    digest = hashlib.sha1(canonical, usedforsecurity=False).digest()
    return f'{int.from_bytes(digest[:4], "little"):08x}'


def _canonical(attribute: 'x509.NameAttribute[Any]') -> bytes:
    """Return an attribute as OpenSSL's x509_name_canon encodes it."""
    text = ' '.join(str(attribute.value).lower().split())
    encoded: bytes = asn1_core.Sequence(contents=(
        asn1_core.ObjectIdentifier(attribute.oid.dotted_string).dump()
        + asn1_core.UTF8String(text).dump())).dump()
    return encoded


def build(dn: str | x509.Name, key: Key, *,
          issuer: x509.Certificate | None, issuer_key: Key,
          ca: bool | None = False, path_length: int | None = None,
          key_usage: Sequence[str] | None = None,
          eku: Sequence[str] | None = None,
          now: datetime.datetime | None = None,
          not_before: datetime.datetime | None = None,
          not_after: datetime.datetime | None = None, years: int = 1,
          serial: int | None = None, digest: str = 'sha256',
          email: str = '', ski: bool = True, aki: bool = True,
          extensions: Sequence[Extension] = ()) -> x509.Certificate:
    """Make a certificate; nothing stops it from being a bad one.

    :param ca: BasicConstraints CA flag; None leaves the extension out
    :param key_usage: names of :data:`KEY_USAGES`; None leaves it out
    :param eku: names of :data:`PURPOSES` or dotted; None leaves it out
    :param now: what the default validity is relative to: a day before to
        ``years`` after
    :param serial: any integer, also zero or negative
    :param digest: such as sha512; also sha1 and, if the issuer has an RSA
        key, md5
    :param extensions: (extension, critical) to add
    """
    now = now or utcnow()
    builder = x509.CertificateBuilder(
        (issuer.subject if issuer else make_name(dn)), make_name(dn),
        key.public_key(),
        serial if serial and serial > 0 else x509.random_serial_number(),
        not_before or now - DAY,
        not_after or now + years * 365 * DAY)
    wanted = [*_usual_extensions(ca, path_length, key_usage, eku, email),
              *extensions]
    if ski:
        wanted.append((x509.SubjectKeyIdentifier.from_public_key(
            key.public_key()), False))
    if aki:
        wanted.append((x509.AuthorityKeyIdentifier.from_issuer_public_key(
            issuer_key.public_key()), False))
    for extension, critical in wanted:
        builder = builder.add_extension(extension, critical)
    made = builder.sign(issuer_key, hashes.SHA256())
    if digest == 'sha256' and (serial is None or serial > 0):
        return made
    parsed = asn1_x509.Certificate.load(
        made.public_bytes(serialization.Encoding.DER))
    if serial is not None:
        parsed['tbs_certificate']['serial_number'] = serial
    return x509.load_der_x509_certificate(
        _sign_again(parsed, 'tbs_certificate', issuer_key, digest))


def _usual_extensions(ca: bool | None, path_length: int | None,
                      key_usage: Sequence[str] | None,
                      eku: Sequence[str] | None,
                      email: str) -> list[Extension]:
    wanted: list[Extension] = []
    if ca is not None:
        wanted.append((x509.BasicConstraints(ca, path_length), True))
    if key_usage is not None:
        wanted.append((x509.KeyUsage(**{
            usage: usage in key_usage for usage in KEY_USAGES}), True))
    if eku is not None:
        wanted.append((x509.ExtendedKeyUsage([x509.ObjectIdentifier(
            PURPOSES.get(p, p)) for p in eku]), False))
    if email:
        wanted.append((x509.SubjectAlternativeName(
            [x509.RFC822Name(email)]), False))
    return wanted


def _sign_again(parsed: Any, inner: str, key: Key, digest: str) -> bytes:
    """Sign what cryptography would not sign: old digests, odd serials."""
    kind = 'rsa' if isinstance(key, rsa.RSAPrivateKey) else 'ecdsa'
    algorithm = asn1_algos.SignedDigestAlgorithm(
        {'algorithm': f'{digest}_{kind}'})
    parsed[inner]['signature'] = algorithm
    parsed['signature_algorithm'] = algorithm.copy()
    tbs = parsed[inner].dump(force=True)
    parsed['signature' if inner == 'tbs_cert_list'
           else 'signature_value'] = sign_raw(key, tbs, digest)
    encoded: bytes = parsed.dump(force=True)
    return encoded


def sign_raw(key: Key, data: bytes, digest: str) -> bytes:
    """Return the PKCS#1 v1.5 or ECDSA signature with a digest by name."""
    algorithm: hashes.HashAlgorithm = getattr(hashes, digest.upper())()
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), algorithm)
    return key.sign(data, ec.ECDSA(algorithm))
