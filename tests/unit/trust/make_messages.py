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

"""Makers of signed messages, right and wrong, for the matrix of cases.

Everything that ``openssl smime -sign`` would not write is built here from
the structures of RFC 5652. To look at the messages:

    python -m tests.unit.trust.make_messages FOLDER
"""

import base64
from collections.abc import Callable
from collections.abc import Sequence
import datetime
import functools
import hashlib
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

from asn1crypto import algos
from asn1crypto import cms
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography import x509

from tests.testbed import pki

NOW = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC)
GRID = '/C=EU/O=Example Grid'
TEXT = b"""{
  "hv:imagelist": {
    "dc:identifier": "8d1c6f6e-6a0a-4b7c-9d67-0f6f5d9d7a11",
    "dc:title": "two trailing blanks  ",
    "hv:images": []
  }
}
"""
CRLF = TEXT.replace(b'\n', b'\r\n')
Attributes = Sequence[tuple[str, Sequence[Any]]]


class World:
    """Authorities, endorsers and a folder of anchors, made when asked."""

    @functools.cached_property
    def grid(self) -> pki.Authority:
        return self.authority('Example Grid CA')

    @functools.cached_property
    def rogue(self) -> pki.Authority:
        """The same name and another key."""
        return self.authority('Example Grid CA')

    @functools.cached_property
    def sub(self) -> pki.Authority:
        return self.grid.intermediate(f'{GRID}/CN=Example Sub CA', now=NOW)

    @functools.cached_property
    def alice(self) -> pki.Identity:
        return self.endorser()

    @functools.cached_property
    def carol(self) -> pki.Identity:
        return self.endorser('Carol', key='ec')

    @functools.cached_property
    def dave(self) -> pki.Identity:
        """An endorser of the intermediate CA."""
        return self.sub.issue(f'{GRID}/CN=Dave', now=NOW)

    def authority(self, name: str, **options: Any) -> pki.Authority:
        return pki.Authority.create(f'{GRID}/CN={name}', now=NOW, **options)

    def endorser(self, name: str = 'Alice Endorser',
                 **options: Any) -> pki.Identity:
        return self.grid.issue(f'{GRID}/CN={name}', now=NOW, **options)

    def crl(self, *revoked: pki.Identity,
            **options: Any) -> x509.CertificateRevocationList:
        return self.grid.crl(revoked, now=NOW, **options)

    def folder(self, **options: Any) -> dict[str, bytes]:
        """Return the grid CA's files; options as in Authority.files."""
        return self.grid.files(**{'crl': self.crl()} | options)

    def folder_with_sub(self, **options: Any) -> dict[str, bytes]:
        """Return the files of both CAs; the options are the sub CA's."""
        return pki.folder([self.folder(), self.sub.files(
            **{'crl': self.sub.crl(now=NOW)} | options)])


def attributes_of(content: bytes, digest: str = 'sha256') -> Attributes:
    """Return the signed attributes that a message has to have."""
    return (('content_type', ['data']),
            ('message_digest', [hashlib.new(digest, content).digest()]))


def signer_info(who: pki.Identity, content: bytes = CRLF, *,
                digest: str = 'sha256', scheme: str = '',
                attributes: Attributes | None = (), by_key: bool = False,
                serial: int | None = None,
                mask_digest: str = '') -> cms.SignerInfo:
    """Sign content.

    :param scheme: ``rsassa_pss``, or what the key suggests
    :param attributes: those to sign; the right ones by default; None for
        a signature of the content itself
    :param by_key: name the signer by the key identifier
    :param serial: name the signer by this serial number
    :param mask_digest: digest of the mask generation of PSS
    """
    if attributes == ():
        attributes = attributes_of(content, digest)
    encoded = attributes and cms.CMSAttributes([
        {'type': name, 'values': values} for name, values in attributes])
    to_sign = encoded.dump() if encoded else content
    is_rsa = isinstance(who.key, rsa.RSAPrivateKey)
    algorithm: dict[str, Any] = {'algorithm': scheme or (
        'rsassa_pkcs1v15' if is_rsa else f'{digest}_ecdsa')}
    if scheme == 'rsassa_pss':
        signature, parameters = _sign_pss(
            who.key, to_sign, digest, mask_digest or digest)
        algorithm['parameters'] = parameters
    else:
        signature = pki.sign_raw(who.key, to_sign, digest)
    info = {'version': 'v3' if by_key else 'v1',
            'sid': _sid(who.certificate, by_key, serial),
            'digest_algorithm': {'algorithm': digest},
            'signature_algorithm': algorithm, 'signature': signature}
    if encoded:
        info['signed_attrs'] = encoded
    return cms.SignerInfo(info)


def _sign_pss(key: Any, data: bytes, digest: str, mask_digest: str,
              ) -> tuple[bytes, algos.RSASSAPSSParams]:
    algorithm = getattr(hashes, digest.upper())()
    mask = getattr(hashes, mask_digest.upper())()
    signature = key.sign(data, padding.PSS(
        padding.MGF1(mask), algorithm.digest_size), algorithm)
    return signature, algos.RSASSAPSSParams({
        'hash_algorithm': {'algorithm': digest},
        'mask_gen_algorithm': {'algorithm': 'mgf1', 'parameters': {
            'algorithm': mask_digest}},
        'salt_length': algorithm.digest_size})


def _sid(certificate: x509.Certificate, by_key: bool,
         serial: int | None) -> cms.SignerIdentifier:
    if by_key:
        identifier = certificate.extensions.get_extension_for_class(
            x509.SubjectKeyIdentifier).value.digest
        return cms.SignerIdentifier('subject_key_identifier', identifier)
    return cms.SignerIdentifier('issuer_and_serial_number', {
        'issuer': asn1_x509.Name.load(certificate.issuer.public_bytes()),
        'serial_number': serial or certificate.serial_number})


def signed_data(signers: Sequence[cms.SignerInfo],
                certificates: Sequence[pki.Identity],
                content: bytes | None = None, *,
                content_type: str = 'data', version: str = 'v1') -> bytes:
    """Return CMS SignedData in DER, detached without content."""
    digests = {s['digest_algorithm']['algorithm'].native for s in signers}
    inner: dict[str, Any] = {'content_type': content_type}
    if content is not None:
        inner['content'] = content
    fields: dict[str, Any] = {
        'version': version,
        'digest_algorithms': [{'algorithm': d} for d in sorted(digests)],
        'encap_content_info': inner, 'signer_infos': signers}
    if certificates:
        fields['certificates'] = [
            cms.CertificateChoices('certificate', asn1_x509.Certificate.load(
                c.certificate.public_bytes(serialization.Encoding.DER)))
            for c in certificates]
    encoded: bytes = cms.ContentInfo({
        'content_type': 'signed_data',
        'content': cms.SignedData(fields)}).dump()
    return encoded


def base64_lines(data: bytes) -> bytes:
    """Return base64 in lines, without the last line's end."""
    return base64.encodebytes(data).rstrip(b'\n')


def signature_part(encoded: bytes, kind: str = 'x-pkcs7-signature',
                   encoding: str = 'base64') -> bytes:
    """Return the second part of a multipart/signed message."""
    return (f'Content-Type: application/{kind}; name="smime.p7s"\n'
            f'Content-Transfer-Encoding: {encoding}\n'
            '\n').encode() + base64_lines(encoded)


def multipart(*parts: bytes, header: str = '', micalg: str = 'sha-256',
              boundary: str = '----B0UNDARY', preamble: bytes = b'',
              epilogue: bytes = b'', closed: bool = True,
              protocol: str = 'application/x-pkcs7-signature') -> bytes:
    """Return a multipart/signed message of these parts.

    :param header: further header lines, each ended by LF
    """
    delimiter = f'--{boundary}'.encode()
    head = (f'MIME-Version: 1.0\n{header}'
            f'Content-Type: multipart/signed; protocol="{protocol}"; '
            f'micalg="{micalg}"; boundary="{boundary}"\n\n').encode()
    body = b''.join(delimiter + b'\n' + p + b'\n' for p in parts)
    return (head + preamble + body
            + (delimiter + b'--\n' if closed else b'') + epilogue)


def detached(who: pki.Identity, *others: pki.Identity,
             text: bytes = TEXT, **options: Any) -> bytes:
    """Return a message as ``openssl smime -sign`` makes them.

    :param others: whose certificates are sent along
    :param options: as in :func:`signer_info`
    """
    content = text.replace(b'\n', b'\r\n')
    info = signer_info(who, content, **options)
    return multipart(text, signature_part(
        signed_data([info], [who, *others])))


def opaque(encoded: bytes, smime_type: str = 'signed-data',
           kind: str = 'pkcs7-mime') -> bytes:
    """Return an application/pkcs7-mime message."""
    return (f'MIME-Version: 1.0\nContent-Type: application/{kind}; '
            f'smime-type={smime_type}; name="smime.p7m"\n'
            'Content-Transfer-Encoding: base64\n'
            '\n').encode() + base64_lines(encoded)


def by_openssl(who: pki.Identity, *options: str,
               command: str = 'smime') -> bytes:
    """Return what ``openssl smime -sign`` or ``cms -sign`` writes."""
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = who.write(folder, 'signer')
        return subprocess.run(
            ['openssl', command, '-sign', '-md', 'sha256', '-signer',
             certificate, '-inkey', key, *options],
            input=TEXT, check=True, capture_output=True).stdout


def main(folder: str, cases: dict[str, Callable[[World], bytes]]) -> None:
    """Write the message of every case and the folder of the anchors."""
    world = World()
    pki.write_folder(pathlib.Path(folder, 'certificates'), [world.folder()])
    for name, make in cases.items():
        pathlib.Path(folder, name).write_bytes(make(world))


if __name__ == '__main__':
    from tests.unit.trust import matrix
    from tests.unit.trust import matrix_refused

    main(sys.argv[1], {case.name: case.make for case in (
        *matrix.ACCEPTED, *matrix_refused.REFUSED)})
