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

"""CMS SignedData: one signer, checked strictly (RFC 5652)."""

from collections.abc import Mapping
import dataclasses
import hashlib
from typing import Any

from asn1crypto import cms
from asn1crypto import core
from cryptography import exceptions
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric import utils
from cryptography.hazmat.primitives import hashes
from cryptography import x509

from hepix_vm.errors import Code
from hepix_vm.errors import MalformedError
from hepix_vm.errors import TrustError

MIN_RSA_BITS = 2048
MIN_EC_BITS = 256
MAX_CERTIFICATES = 32
_DIGESTS: Mapping[str, hashes.HashAlgorithm] = {
    'sha256': hashes.SHA256(),
    'sha384': hashes.SHA384(),
    'sha512': hashes.SHA512(),
}
# Only where a caller allows it, for lists of old.
_OLD_DIGESTS: Mapping[str, hashes.HashAlgorithm] = {
    'sha1': hashes.SHA1(),  # noqa: S303
}
_SET = b'\x31'


@dataclasses.dataclass(frozen=True)
class SignedData:
    """A SignedData of one signer whose signature is not yet checked.

    :param content: the content inside, None if it is detached
    :param signer_info: SignerInfo of asn1crypto
    """

    content: bytes | None
    signer_info: Any
    certificates: tuple[x509.Certificate, ...]


def load(encoded: bytes) -> SignedData:
    """Read a CMS structure.

    :param encoded: DER, or BER as ``openssl smime -stream`` writes it
    :raises TrustError: UNSIGNED without a signer, SIGNATURE_INVALID for
        several signers or no certificate
    :raises MalformedError: for another structure, or trailing bytes
    """
    outer = cms.ContentInfo.load(encoded, strict=True)
    if outer['content_type'].native != 'signed_data':
        raise MalformedError('The CMS message is not SignedData.')
    signed = outer['content']
    inner = signed['encap_content_info']
    if inner['content_type'].native != 'data':
        raise MalformedError('What is signed is not plain data.')
    signers = signed['signer_infos']
    if not len(signers):
        raise TrustError('The message has no signer.', Code.UNSIGNED)
    if len(signers) != 1:
        raise _invalid(f'The message has {len(signers)} signers; it must '
                       'have exactly one.')
    content = inner['content']
    return SignedData(
        None if isinstance(content, core.Void) else content.native, signers[0],
        _certificates(signed['certificates']))


def check(signed: SignedData, content: bytes,
          allow_sha1: bool) -> x509.Certificate:
    """Check the signature; return the certificate that made it.

    Whether that certificate is to be trusted is not asked here.

    :param content: what the signature has to be of
    :raises TrustError: SIGNATURE_INVALID
    """
    info = signed.signer_info
    signer = _signer(info['sid'], signed.certificates)
    name = info['digest_algorithm']['algorithm'].native
    accepted = {**_DIGESTS, **_OLD_DIGESTS} if allow_sha1 else _DIGESTS
    algorithm = accepted.get(name)
    if algorithm is None:
        raise _invalid(f'The message is signed with the digest {name}, '
                       'which is not accepted.')
    digest = hashlib.new(name, content).digest()
    attributes = info['signed_attrs']
    if not isinstance(attributes, core.Void):
        _check_attributes(attributes, digest)
        # RFC 5652 section 5.4: signed with the tag of a SET, not of [0]
        digest = hashlib.new(name, _SET + attributes.dump()[1:]).digest()
    elif content.startswith(_SET):
        # Without signed attributes, the attributes of another message
        # could be passed off as content: their signature is the same.
        raise _invalid('The content looks like the attributes of a '
                       'signature.')
    _check_signature(signer.public_key(), info, name, algorithm, digest)
    return signer


def _invalid(message: str) -> TrustError:
    return TrustError(message, Code.SIGNATURE_INVALID)


def _certificates(choices: Any) -> tuple[x509.Certificate, ...]:
    if len(choices) > MAX_CERTIFICATES:
        raise MalformedError(f'The message holds {len(choices)} '
                             'certificates.')
    loaded = []
    for choice in choices:
        if choice.name != 'certificate':
            raise MalformedError('The message holds a certificate that is '
                                 'not X.509.')
        if choice.chosen.serial_number <= 0:
            # RFC 5280 forbids it and cryptography will not load it much
            # longer; old roots have it, and those come from the folder.
            continue
        certificate = x509.load_der_x509_certificate(choice.chosen.dump())
        # Read lazily by cryptography: what is broken must show here.
        _ = (certificate.subject, certificate.issuer, certificate.extensions)
        loaded.append(certificate)
    return tuple(dict.fromkeys(loaded))


def _signer(sid: Any,
            certificates: tuple[x509.Certificate, ...]) -> x509.Certificate:
    """Find the certificate that the signer identifier names."""
    if sid.name == 'issuer_and_serial_number':
        issuer = sid.chosen['issuer'].dump()
        serial = sid.chosen['serial_number'].native
        found = [c for c in certificates if c.serial_number == serial
                 and c.issuer.public_bytes() == issuer]
    else:
        found = [c for c in certificates
                 if _key_identifier(c) == sid.chosen.native]
    if len(found) != 1:
        raise _invalid('The message does not hold the one certificate of '
                       'its signer.')
    return found[0]


def _key_identifier(certificate: x509.Certificate) -> bytes | None:
    try:
        return certificate.extensions.get_extension_for_class(
            x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return None


def _check_attributes(attributes: Any, digest: bytes) -> None:
    """Check the signed attributes (RFC 5652 section 11)."""
    for name, wanted in (('content_type', 'data'),
                         ('message_digest', digest)):
        values = [a['values'] for a in attributes
                  if a['type'].native == name]
        if len(values) != 1 or len(values[0]) != 1:
            raise _invalid(f'The signature must have one {name} attribute '
                           'with one value.')
        if values[0][0].native != wanted:
            raise _invalid('The content is not what was signed '
                           f'({name} differs).')


def _check_signature(key: Any, info: Any, name: str,
                     algorithm: hashes.HashAlgorithm,
                     digest: bytes) -> None:
    scheme = info['signature_algorithm']
    kind = scheme.signature_algo
    # plain rsaEncryption names no digest of its own
    if (scheme['algorithm'].native != 'rsassa_pkcs1v15'
            and scheme.hash_algo != name):
        raise _invalid('The signature names two different digests.')
    signature = info['signature'].native
    prehashed = utils.Prehashed(algorithm)
    try:
        if kind == 'ecdsa' and isinstance(key, ec.EllipticCurvePublicKey):
            _check_size(key.key_size, MIN_EC_BITS)
            key.verify(signature, digest, ec.ECDSA(prehashed))
        elif kind.startswith('rsassa_') and isinstance(
                key, rsa.RSAPublicKey):
            _check_size(key.key_size, MIN_RSA_BITS)
            key.verify(signature, digest, _padding(scheme, algorithm),
                       prehashed)
        else:
            raise _invalid(f'The signature algorithm {kind} is not accepted '
                           'with this key.')
    except exceptions.InvalidSignature as error:
        raise _invalid('The signature is not of this message and this '
                       'certificate.') from error


def _check_size(bits: int, least: int) -> None:
    if bits < least:
        raise _invalid(f'The key of the signer has {bits} bits; {least} '
                       'are wanted.')


def _padding(scheme: Any, algorithm: hashes.HashAlgorithm,
             ) -> padding.PKCS1v15 | padding.PSS:
    if scheme.signature_algo == 'rsassa_pkcs1v15':
        return padding.PKCS1v15()
    # MGF1 with the same digest, whatever the parameters say
    return padding.PSS(padding.MGF1(algorithm),
                       scheme['parameters']['salt_length'].native)
