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

"""The cases of the matrix that are refused, and with which code."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

from asn1crypto import cms
from asn1crypto import core

from hepix_vm.errors import Code
from tests.testbed import pki
from tests.unit.trust import make_messages as make
from tests.unit.trust.make_messages import World
from tests.unit.trust import matrix
from tests.unit.trust.matrix import Case

CRLF = make.CRLF
DAY = pki.DAY
GRID = make.GRID
NOW = make.NOW
TEXT = make.TEXT
DIGEST = make.attributes_of(CRLF)[1]
LAST = b'\xff' * 40  # sorts after the right one in a SET
OLD = 'openssl smime and cms still accept it'
TST_INFO = '1.2.840.113549.1.9.16.1.4'
LENIENT = 'openssl reads it leniently'


def _two_signers(world: World) -> bytes:
    return make.multipart(TEXT, make.signature_part(make.signed_data(
        [make.signer_info(who) for who in (world.alice, world.carol)],
        [world.alice, world.carol])))


def _attributes_as_content(world: World) -> bytes:
    """Return a message whose content are another one's attributes."""
    attributes = make.signer_info(world.alice)['signed_attrs']
    content = b'\x31' + attributes.dump()[1:]
    info = make.signer_info(world.alice)
    info = info.copy()
    info['signed_attrs'] = None
    return make.signed_data([info], [world.alice], content)


def _no_certificate(world: World) -> bytes:
    return make.multipart(TEXT, make.signature_part(
        make.signed_data([make.signer_info(world.alice)], [])))


def _other_certificate(world: World) -> bytes:
    return make.multipart(TEXT, make.signature_part(make.signed_data(
        [make.signer_info(world.alice)], [world.carol])))


def _wrong_key(world: World) -> bytes:
    """Return a message that names Alice and that Carol's key signed."""
    mixed = pki.Identity(world.alice.certificate, pki.rsa_key(99))
    return make.detached(mixed)


def _decoy_inside(world: World) -> bytes:
    return make.multipart(b'{"decoy": 1}\n', make.signature_part(
        make.signed_data([make.signer_info(world.alice)], [world.alice],
                         CRLF)))


def _decoy_before(world: World) -> bytes:
    return make.multipart(TEXT, matrix.signature(world),
                          preamble=b'--OTHER\n{"decoy": 1}\n')


def _nested(world: World) -> bytes:
    inner = (b'Content-Type: multipart/mixed; boundary="IN"\n\n--IN\n\n'
             + TEXT + b'--IN--\n')
    return make.multipart(inner, matrix.signature(
        world, inner.replace(b'\n', b'\r\n')))


def _with_headers(world: World) -> bytes:
    part = b'Content-Type: application/json\n\n' + TEXT
    return make.multipart(part, matrix.signature(
        world, part.replace(b'\n', b'\r\n')))


def _forged_extra(world: World) -> bytes:
    """Return an end entity's certificate of an end entity's making."""
    fake = pki.Authority(world.alice.certificate, world.alice.key)
    mallory = fake.issue(f'{make.GRID}/CN=Mallory', now=NOW)
    return make.detached(mallory, world.alice)


def _deep_chain(world: World) -> bytes:
    short = world.grid.intermediate(f'{make.GRID}/CN=Short', now=NOW,
                                    path_length=0)
    deep = short.intermediate(f'{make.GRID}/CN=Deep', now=NOW)
    return make.detached(deep.issue(f'{make.GRID}/CN=Eve', now=NOW),
                         short, deep)


def _unknown(world: World) -> bytes:
    other = world.authority('Unknown CA')
    return make.detached(other.issue(f'{make.GRID}/CN=Eve', now=NOW))


def _no_signer(world: World) -> bytes:
    return make.multipart(TEXT, make.signature_part(
        make.signed_data([], [world.alice])))


def _nested_base64(world: World) -> bytes:
    encoded = make.signed_data([make.signer_info(world.alice)],
                               [world.alice])
    return make.multipart(TEXT, make.signature_part(
        make.base64_lines(encoded)))


def _digested(world: World) -> bytes:
    """Return CMS that is not SignedData."""
    encoded: bytes = cms.ContentInfo({
        'content_type': 'data',
        'content': core.OctetString(CRLF)}).dump()
    return make.opaque(encoded)


def _rogue_beside_grid(world: World) -> bytes:
    """Return a message of the rogue CA's, which sends itself along."""
    mallory = world.rogue.issue(f'{GRID}/CN=Alice Endorser', now=NOW)
    return make.detached(mallory, world.rogue)


def _attributes(*attributes: tuple[str, Sequence[Any]],
                ) -> Callable[[World], bytes]:
    return matrix.signed(attributes=attributes)


def _revoked(world: World) -> dict[str, bytes]:
    return world.folder(crl=world.crl(world.alice))


ENVELOPE = [
    # what is signed is not what is there
    Case('tampered', matrix.changed(b'two trailing', b'2 trailing'),
         Code.SIGNATURE_INVALID),
    Case('trailing-blanks-added', matrix.changed(b'[]\n', b'[]  \n'),
         Code.SIGNATURE_INVALID),
    Case('trailing-blanks-removed', matrix.changed(b'blanks  ', b'blanks'),
         Code.SIGNATURE_INVALID),
    Case('line-added', matrix.changed(b'\n}\n', b'\n}\n\n'),
         Code.SIGNATURE_INVALID),
    Case('binary', lambda w: make.by_openssl(w.alice, '-binary'),
         Code.SIGNATURE_INVALID),
    Case('wrong-digest-attribute', _attributes(
        ('content_type', ['data']), ('message_digest', [bytes(32)])),
        Code.SIGNATURE_INVALID),
    Case('wrong-type-attribute', _attributes(
        ('content_type', ['signed_data']), DIGEST), Code.SIGNATURE_INVALID,
        openssl=True, why='it never compares the two types'),
    Case('no-digest-attribute', _attributes(('content_type', ['data'])),
         Code.SIGNATURE_INVALID),
    Case('no-type-attribute', _attributes(DIGEST), Code.SIGNATURE_INVALID),
    Case('two-digest-attributes', _attributes(
        ('content_type', ['data']), DIGEST, ('message_digest', [LAST])),
        Code.SIGNATURE_INVALID),
    Case('two-digest-values', _attributes(
        ('content_type', ['data']), (DIGEST[0], [*DIGEST[1], LAST])),
        Code.SIGNATURE_INVALID),
    Case('two-type-attributes', _attributes(
        ('content_type', ['data']), DIGEST,
        ('content_type', ['signed_data'])), Code.SIGNATURE_INVALID),
    Case('attributes-as-content', _attributes_as_content,
         Code.SIGNATURE_INVALID, openssl=True,
         why='without attributes it cannot tell the two apart'),
    # who signed
    Case('json', lambda w: TEXT, Code.UNSIGNED),
    Case('mail', lambda w: b'Subject: x\nContent-Type: text/plain\n\nx',
         Code.UNSIGNED),
    Case('empty', lambda w: b'', Code.UNSIGNED),
    Case('no-signer', _no_signer, Code.UNSIGNED),
    Case('two-signers', _two_signers, Code.SIGNATURE_INVALID,
         openssl=True, why=OLD),
    Case('no-certificate', _no_certificate, Code.SIGNATURE_INVALID),
    Case('other-certificate', _other_certificate, Code.SIGNATURE_INVALID),
    Case('wrong-serial', matrix.signed(serial=7), Code.SIGNATURE_INVALID),
    Case('wrong-key', _wrong_key, Code.SIGNATURE_INVALID),
    # how it was signed
    Case('sha1', matrix.signed(digest='sha1'), Code.SIGNATURE_INVALID,
         openssl=True, why=OLD),
    Case('md5', matrix.signed(digest='md5'), Code.SIGNATURE_INVALID,
         openssl=True, why=OLD),
    Case('md5-never', matrix.signed(digest='md5'), Code.SIGNATURE_INVALID,
         openssl=True, why=OLD, options={'allow_sha1': True}),
    Case('sha224', matrix.signed(digest='sha224'), Code.SIGNATURE_INVALID,
         openssl=True, why=OLD),
    Case('pss-with-sha1-mask', matrix.signed(
        scheme='rsassa_pss', mask_digest='sha1'), Code.SIGNATURE_INVALID,
        openssl=True, why=OLD),
    Case('two-digests', matrix.signed(scheme='sha512_rsa'),
         Code.SIGNATURE_INVALID, openssl=True,
         why='it looks at the digest algorithm alone'),
    Case('rsa-1024', matrix.by(key='rsa-1024'), Code.SIGNATURE_INVALID,
         openssl=True, why='its default security level allows it'),
    # how it is packed
    Case('third-part', lambda w: make.multipart(
        TEXT, matrix.signature(w), TEXT), Code.MALFORMED),
    Case('one-part', lambda w: make.multipart(matrix.signature(w)),
         Code.MALFORMED),
    Case('decoy-first-part', lambda w: make.multipart(
        b'{"decoy": 1}', TEXT, matrix.signature(w)), Code.MALFORMED),
    Case('decoy-before', _decoy_before, Code.MALFORMED, openssl=True,
         why=LENIENT),
    Case('decoy-beside', _decoy_inside, Code.MALFORMED),
    Case('decoy-after', lambda w: make.multipart(
        TEXT, matrix.signature(w), epilogue=b'{"decoy": 1}\n'),
        Code.MALFORMED, openssl=True, why=LENIENT),
    Case('attached-and-detached', lambda w: make.multipart(
        TEXT, make.signature_part(matrix.der(w))), Code.MALFORMED,
        openssl=True, why='it ignores the content inside'),
    Case('nested-multipart', _nested, Code.MALFORMED, openssl=True,
         why='it never reads the content'),
    Case('part-headers', _with_headers, Code.MALFORMED, openssl=True,
         why='it never reads the content'),
    Case('openssl-text', lambda w: make.by_openssl(w.alice, '-text'),
         Code.MALFORMED, openssl=True, why='it never reads the content'),
    Case('in-multipart-mixed', lambda w: (
        b'Content-Type: multipart/mixed; boundary="M"\n\n--M\n'
        + matrix.alice(w) + b'--M--\n'), Code.MALFORMED),
    Case('two-content-types', lambda w: make.multipart(
        TEXT, matrix.signature(w), header='Content-Type: text/plain\n'),
        Code.MALFORMED),
    Case('two-boundaries', matrix.changed(
        b'; boundary', b'; boundary="X"; boundary'), Code.MALFORMED),
    Case('no-boundary', matrix.changed(b'; boundary', b'; border'),
         Code.MALFORMED),
    Case('boundary-in-line', lambda w: make.detached(
        w.alice, text=TEXT.replace(b'blanks', b'------B0UNDARY')),
        Code.MALFORMED, openssl=True, why=LENIENT),
    Case('boundary-with-tail', matrix.changed(
        b'------B0UNDARY\nContent', b'------B0UNDARY2\nContent'),
        Code.MALFORMED, openssl=True, why=LENIENT),
    Case('boundary-within-line', matrix.changed(
        b'\n------B0UNDARY\nContent', b'x------B0UNDARY\nContent'),
        Code.MALFORMED),
    Case('boundary-too-long', lambda w: make.multipart(
        TEXT, matrix.signature(w), boundary='b' * 71), Code.MALFORMED,
        openssl=True, why=LENIENT),
    Case('boundary-of-braces', lambda w: make.multipart(
        TEXT, matrix.signature(w), boundary='{}'), Code.MALFORMED,
        openssl=True, why=LENIENT),
    Case('opened-for-closed', lambda w: make.multipart(
        TEXT, matrix.signature(w), closed=False,
        epilogue=b'------B0UNDARY\n'), Code.MALFORMED),
    Case('closed-for-opened', matrix.changed(
        b'------B0UNDARY\nContent', b'------B0UNDARY--\nContent'),
        Code.MALFORMED),
    Case('content-type-with-tail', matrix.changed(
        b'B0UNDARY"', b'B0UNDARY" x'), Code.MALFORMED),
    Case('other-protocol', matrix.changed(
        b'protocol="application/x-pkcs7', b'protocol="application/pgp'),
        Code.MALFORMED, openssl=True, why='it ignores the protocol'),
    Case('other-signature-type', matrix.changed(
        b'Content-Type: application/x-pkcs7', b'Content-Type: text/x'),
        Code.MALFORMED),
    Case('encoded-whole', lambda w: make.multipart(
        TEXT, matrix.signature(w),
        header='Content-Transfer-Encoding: base64\n'),
        Code.MALFORMED, openssl=True, why=LENIENT),
    Case('folded-first-line', lambda w: b'X:\r1\n' + matrix.alice(w),
         Code.MALFORMED, openssl=True, why=LENIENT),
    Case('blank-before-colon', lambda w: make.multipart(
        TEXT, matrix.signature(w), header='Content-Type : text/plain\n'),
        Code.MALFORMED),
    Case('lone-return', lambda w: make.detached(
        w.alice, text=TEXT.replace(b'two', b'\rtwo')), Code.MALFORMED,
        openssl=True, why='it drops some and keeps others'),
    Case('two-returns', matrix.changed(b'[]\n', b'[]\r\r\n'),
         Code.MALFORMED, openssl=True,
         why='it drops the first, so the text is not what was signed'),
    Case('truncated', lambda w: matrix.alice(w)[:-20], Code.MALFORMED),
    Case('truncated-signature', lambda w: make.multipart(
        TEXT, matrix.signature(w)[:-400]), Code.MALFORMED),
    Case('never-closed', lambda w: make.multipart(
        TEXT, matrix.signature(w), closed=False), Code.MALFORMED),
    Case('nested-base64', _nested_base64, Code.MALFORMED),
    Case('base64-with-noise', matrix.changed(b'\nMII', b'\n!MII'),
         Code.MALFORMED),
    Case('not-base64', lambda w: make.multipart(
        TEXT, matrix.signature(w).replace(b'base64', b'8bit')),
        Code.MALFORMED, openssl=True, why='it ignores the encoding'),
    Case('not-signed-data', _digested, Code.MALFORMED),
    Case('other-smime-type', lambda w: make.opaque(
        matrix.der(w), 'enveloped-data'), Code.MALFORMED,
        openssl=True, why='it ignores the type'),
    Case('other-content', lambda w: make.signed_data(
        [make.signer_info(w.alice)], [w.alice], CRLF, version='v3',
        content_type=TST_INFO), Code.MALFORMED, openssl=True,
        why='it accepts every content type'),
    Case('no-content', lambda w: make.signed_data(
        [make.signer_info(w.alice)], [w.alice]), Code.MALFORMED),
    Case('der-with-tail', lambda w: matrix.der(w) + b'\0', Code.MALFORMED,
         openssl=True, why='it reads no further than it must'),
    Case('der-truncated', lambda w: matrix.der(w)[:-1], Code.MALFORMED),
    Case('pem-with-tail', lambda w: make.by_openssl(
        w.alice, '-nodetach', '-outform', 'PEM') + b'{}', Code.MALFORMED,
        openssl=True, why='it reads no further than it must'),
    Case('too-many-certificates', lambda w: make.detached(
        w.alice, *[w.authority(f'CA {n}') for n in range(32)]),
        Code.MALFORMED, openssl=True, why='it has no limit'),
    Case('too-large', matrix.alice, Code.TOO_LARGE, openssl=True,
         why='it has no limit', options={'max_bytes': len(TEXT)}),
]

CHAIN = [
    Case('expired', matrix.by(not_before=NOW - 9 * DAY,
                              not_after=NOW - DAY), Code.SIGNER_EXPIRED),
    Case('not-yet-valid', matrix.by(not_before=NOW + DAY),
         Code.SIGNER_EXPIRED),
    Case('revoked', matrix.alice, Code.SIGNER_REVOKED, folder=_revoked),
    Case('rogue-ca', _rogue_beside_grid, Code.UNTRUSTED_CA),
    Case('unknown-ca', _unknown, Code.UNTRUSTED_CA),
    Case('self-signed', lambda w: make.detached(w.rogue),
         Code.UNTRUSTED_CA),
    Case('end-entity-as-ca', _forged_extra, Code.UNTRUSTED_CA,
         settings=matrix.IGNORE),
    Case('path-too-long', _deep_chain, Code.UNTRUSTED_CA,
         settings=matrix.IGNORE),
    Case('sub-ca-missing', lambda w: make.detached(w.dave),
         Code.UNTRUSTED_CA),
    Case('sub-ca-revoked', lambda w: make.detached(w.dave),
         Code.UNTRUSTED_CA, folder=lambda w: pki.folder([
             w.folder(crl=w.crl(w.sub)),
             w.sub.files(crl=w.sub.crl(now=NOW))])),
    Case('sub-ca-without-crl', lambda w: make.detached(w.dave),
         Code.CRL_MISSING, folder=lambda w: w.folder_with_sub(crl=False)),
    Case('crl-missing', matrix.alice, Code.CRL_MISSING,
         folder=lambda w: w.folder(crl=False)),
    Case('crl-expired', matrix.alice, Code.CRL_EXPIRED,
         folder=lambda w: w.folder(crl=w.crl(
             this_update=NOW - 9 * DAY, next_update=NOW - DAY))),
    Case('crl-not-yet-valid', matrix.alice, Code.CRL_MISSING,
         folder=lambda w: w.folder(crl=w.crl(this_update=NOW + DAY))),
    Case('crl-forged', matrix.alice, Code.CRL_MISSING,
         folder=lambda w: w.folder(crl=w.crl(key=w.rogue.key))),
    Case('outside-signing-policy', matrix.alice, Code.SIGNING_POLICY,
         folder=lambda w: w.folder(
             policy=w.grid.signing_policy('/C=US/*')),
         openssl=True, why='it knows no signing policies'),
    Case('wrong-eku', matrix.by(eku=('serverAuth',)), Code.UNTRUSTED_CA),
    Case('wrong-key-usage', matrix.by(key_usage=('key_encipherment',)),
         Code.UNTRUSTED_CA),
    Case('sha1-certificate', matrix.by(digest='sha1'), Code.UNTRUSTED_CA,
         openssl=True, why='its default security level allows it'),
]
REFUSED: list[Case] = [*ENVELOPE, *CHAIN]
