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

"""The matrix: each case a message, a folder of anchors and a verdict.

The verdict of the ``openssl`` command is noted where it differs. Here are
the cases that are accepted; :mod:`tests.unit.trust.matrix_refused` has
the others.
"""

from collections.abc import Callable
import dataclasses
from typing import Any

from hepix_vm.errors import Code
from hepix_vm.trust import anchors
from tests.unit.trust import make_messages as make
from tests.unit.trust.make_messages import World

CRLF = make.CRLF
NOW = make.NOW
TEXT = make.TEXT
IGNORE = {'crl_policy': anchors.CrlPolicy.IGNORE}


@dataclasses.dataclass(frozen=True)
class Case:
    """One row.

    :param make: returns the message
    :param code: why it is refused; None if it is accepted
    :param folder: returns the trust anchors
    :param openssl: whether ``openssl cms -verify`` accepts it, if that is
        not what we do
    :param why: why openssl differs
    :param content: what is signed, if it is accepted
    :param settings: of the chain check
    :param options: of envelope.verify
    """

    name: str
    make: Callable[[World], bytes]
    code: Code | None = None
    folder: Callable[[World], dict[str, bytes]] = World.folder
    openssl: bool | None = None
    why: str = ''
    content: bytes = CRLF
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


def alice(world: World) -> bytes:
    return make.detached(world.alice)


def by(**options: Any) -> Callable[[World], bytes]:
    """Return a maker of a message by an endorser with these options."""
    return lambda world: make.detached(world.endorser(**options))


def signed(**options: Any) -> Callable[[World], bytes]:
    """Return a maker of Alice's message with options of signer_info."""
    return lambda world: make.detached(world.alice, **options)


def changed(old: bytes, new: bytes) -> Callable[[World], bytes]:
    """Return a maker of Alice's message with something replaced."""
    def changed(world: World) -> bytes:
        message = alice(world)
        assert old in message
        return message.replace(old, new)
    return changed


def der(world: World, **options: Any) -> bytes:
    """Return Alice's opaque CMS structure."""
    return make.signed_data(
        [make.signer_info(world.alice, CRLF)], [world.alice], CRLF,
        **options)


def signature(world: World, content: bytes = CRLF) -> bytes:
    """Return Alice's signature as a second part."""
    return make.signature_part(make.signed_data(
        [make.signer_info(world.alice, content)], [world.alice]))


def _pem(label: bytes) -> Callable[[World], bytes]:
    return lambda world: (b'-----BEGIN ' + label + b'-----\n' + (
        make.base64_lines(der(world))) + (
        b'\n-----END ' + label + b'-----\n'))


ACCEPTED: list[Case] = [
    Case('detached', alice),
    Case('crlf-file', lambda w: alice(w).replace(b'\n', b'\r\n')),
    Case('crlf-text', changed(TEXT, CRLF)),
    Case('no-last-newline', lambda w: make.detached(w.alice, text=b'{}'),
         content=b'{}'),
    Case('plain-type', lambda w: make.multipart(
        TEXT, signature(w).replace(b'x-pkcs7', b'pkcs7'),
        protocol='application/pkcs7-signature')),
    Case('mailed', lambda w: make.multipart(
        TEXT, signature(w), header='Subject: list\n of images\n',
        preamble=b'This is an S/MIME signed message\n\n',
        epilogue=b'\n\n')),
    Case('wrong-micalg', lambda w: make.multipart(
        TEXT, signature(w), micalg='md5')),
    Case('openssl-smime', lambda w: make.by_openssl(w.alice)),
    Case('openssl-cms', lambda w: make.by_openssl(
        w.alice, command='cms')),
    Case('openssl-crlfeol', lambda w: make.by_openssl(
        w.alice, '-crlfeol')),
    Case('openssl-opaque', lambda w: make.by_openssl(w.alice, '-nodetach')),
    Case('openssl-stream', lambda w: make.by_openssl(
        w.alice, '-nodetach', '-stream')),
    Case('openssl-stream-ber', lambda w: make.by_openssl(
        w.alice, '-nodetach', '-stream', '-outform', 'DER')),
    Case('openssl-pem', lambda w: make.by_openssl(
        w.alice, '-nodetach', '-outform', 'PEM')),
    Case('openssl-cms-pem', lambda w: make.by_openssl(
        w.alice, '-nodetach', '-outform', 'PEM', command='cms')),
    Case('openssl-key-identifier', lambda w: make.by_openssl(
        w.alice, '-keyid', command='cms')),
    Case('openssl-ec', lambda w: make.by_openssl(w.carol)),
    Case('openssl-pss', lambda w: make.by_openssl(
        w.alice, '-keyopt', 'rsa_padding_mode:pss', command='cms')),
    Case('openssl-no-attributes', lambda w: make.by_openssl(
        w.alice, '-noattr')),
    Case('opaque', lambda w: make.opaque(der(w))),
    Case('der', der),
    Case('pem', _pem(b'CMS')),
    Case('sha384', signed(digest='sha384')),
    Case('sha512', signed(digest='sha512')),
    Case('pss', signed(scheme='rsassa_pss')),
    Case('ecdsa', lambda w: make.detached(w.carol)),
    Case('ecdsa-p521-sha512', lambda w: make.detached(
        w.endorser(key='ec-521'), digest='sha512')),
    Case('key-identifier', lambda w: make.detached(
        w.alice, w.grid, w.carol, by_key=True)),
    Case('no-attributes', signed(attributes=None)),
    Case('sub-ca-in-folder', lambda w: make.detached(w.dave),
         folder=World.folder_with_sub),
    Case('sub-ca-in-message', lambda w: make.detached(w.dave, w.sub),
         folder=World.folder_with_sub),
    Case('sub-ca-only-in-message', lambda w: make.detached(w.dave, w.sub),
         openssl=False, why='it is asked to require CRLs',
         settings=IGNORE),
    Case('no-eku', by(eku=None)),
    Case('host-certificate', by(eku=('serverAuth',)), openssl=False,
         why='its purpose is fixed',
         settings={'purposes': frozenset({'serverAuth'})}),
    Case('sha1-allowed', signed(digest='sha1'),
         options={'allow_sha1': True}),
    Case('crl-if-present', alice, folder=lambda w: w.folder(crl=False),
         openssl=False, why='it is asked to require CRLs',
         settings={'crl_policy': anchors.CrlPolicy.IF_PRESENT}),
    Case('covered-by-policy', alice, folder=lambda w: w.folder(
        policy=w.grid.signing_policy(f'{make.GRID}/*'))),
]
