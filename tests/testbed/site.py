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

"""A site of the testbed: its CA folder, its settings, its endorsers."""

import base64
from collections.abc import Mapping
import dataclasses
import datetime
import hashlib
import pathlib
from typing import Any
import uuid

from cryptography.hazmat.primitives import serialization
from cryptography import x509
import yaml

from hepix_vm.trust import envelope
from hepix_vm.trust import imagelist
from hepix_vm.trust.model import Endorser
from hepix_vm.trust.model import ImageEntry
from hepix_vm.trust.model import ImageList
from tests.testbed import pki

CA = '/C=EU/O=Example Grid/CN=Example Grid CA'
ALICE = '/C=EU/O=Example Grid/OU=Example Site/CN=Alice Endorser'
BOB = '/C=EU/O=Example Grid/OU=Example Site/CN=Bob Stranger'

_ETC = pathlib.Path(__file__).parents[2] / 'etc' / 'hepix_vm'
PROPERTY_PROTECTIONS = _ETC / 'property-protections.conf'
POLICY = _ETC / 'glance-policy.yaml'
CINDER_POLICY = _ETC / 'cinder-policy.yaml'
CINDER_CONF = _ETC / 'cinder.snippet.conf'
NOVA_CONF = _ETC / 'nova.snippet.conf'
NOVA_PASTE = _ETC / 'nova-api-paste.snippet.ini'


class Site:
    """A folder with all that hepix-vm reads, and who endorses there.

    Alice is an accepted endorser; Bob has a certificate of the same CA
    and is not.

    :param folder: made if missing; one that is there is gone on with
    :param ca: the name of that CA
    :param settings: options of the group ``hepix_vm``, as texts
    """

    def __init__(self, folder: pathlib.Path, ca: str = CA,
                 **settings: str) -> None:
        self.folder = folder.absolute()
        self._identify(ca)
        self.anchors = self.folder / 'certificates'
        self.state = self.folder / 'state'
        self.config = self.folder / 'hepix-vm.conf'
        (self.state / 'lists').mkdir(parents=True, exist_ok=True)
        self.write_anchors()
        if not (self.folder / 'policy.yaml').exists():
            self.write_policy()
            self.write_subscriptions([])
        self.write_config(**settings)

    def _identify(self, ca: str) -> None:
        keys = self.folder / 'keys'
        if not keys.exists():
            keys.mkdir(parents=True)
            authority = pki.Authority.create(ca)
            authority.write(keys, 'ca')
            authority.issue(ALICE).write(keys, 'alice')
            authority.issue(BOB).write(keys, 'bob')
        self.authority = pki.Authority(*load_identity(keys, 'ca'))
        self.alice = pki.Identity(*load_identity(keys, 'alice'))
        self.bob = pki.Identity(*load_identity(keys, 'bob'))

    @property
    def journal(self) -> pathlib.Path:
        """The journal of glance-api."""
        return self.state / 'journal' / 'glance-api.jsonl'

    def write_anchors(self, **crl: Any) -> None:
        """Write the CA folder anew.

        :param crl: what :meth:`tests.testbed.pki.Authority.crl` takes
        """
        pki.write_folder(self.anchors, [
            self.authority.files(self.authority.crl(**crl))])

    def write_policy(self, **keys: Any) -> None:
        """Write policy.yaml: Alice endorses, and these keys."""
        policy = {'endorsers': [{'dn': ALICE, 'ca': CA}], **keys}
        _write(self.folder / 'policy.yaml', yaml.safe_dump(policy))

    def write_subscriptions(self, lists: list[Mapping[str, Any]],
                            **keys: Any) -> None:
        """Write subscriptions.yaml with these lists, and these keys."""
        _write(self.folder / 'subscriptions.yaml',
               yaml.safe_dump({'lists': lists, **keys}))

    def write_config(self, **settings: str) -> None:
        """Write hepix-vm.conf anew; it counts when the service starts."""
        settings = {
            'trust_anchors': str(self.anchors),
            'state_dir': str(self.state),
            'policy_file': str(self.folder / 'policy.yaml'),
            'subscriptions_file': str(self.folder / 'subscriptions.yaml'),
            **settings}
        _write(self.config, '[hepix_vm]\n' + ''.join(
            f'{name} = {value}\n' for name, value in settings.items()))

    def write_account(self, url: str,
                      who: str = 'sync:service:admin') -> None:
        """Write the account of the commands to hepix-vm.conf.

        :param url: where Glance answers
        :param who: the token, as :mod:`testbed_tokens` reads it
        """
        self.write_credentials(
            {'auth_type': 'admin_token', 'endpoint': url, 'token': who})

    def write_credentials(self, options: Mapping[str, str]) -> None:
        """Write the group ``service_credentials`` to hepix-vm.conf."""
        others = self.config.read_text().partition('[service_cred')[0]
        _write(self.config, others + '[service_credentials]\n' + ''.join(
            f'{name} = {value}\n' for name, value in options.items()))

    def accept(self, image_list: ImageList,
               signer: pki.Identity | None = None) -> None:
        """Put a signed list where accepted lists lie, and subscribe it."""
        signer = signer or self.alice
        message = self.sign(image_list, signer)
        path = self.state / 'lists' / f'{image_list.identifier}.smime'
        path.write_bytes(message)
        self.write_subscriptions([{
            'uuid': image_list.identifier,
            'endorsers': [{'dn': image_list.endorser.dn,
                           'ca': image_list.endorser.ca}]}])

    def endorse(self, data: bytes, *, signer: pki.Identity | None = None,
                **changes: Any) -> str:
        """Return a value of hepix_endorsement for some bytes.

        :param changes: fields of the image or of the list that differ
        """
        image_list = self.image_list(entry(data), **changes)
        return self.encode(self.sign(image_list, signer or self.alice))

    @staticmethod
    def encode(message: bytes) -> str:
        """Return a signed message as hepix_endorsement holds it."""
        return base64.b64encode(message).decode()

    @staticmethod
    def image_list(*images: ImageEntry, **changes: Any) -> ImageList:
        """Return a list by Alice, valid since an hour and for 30 days.

        :param changes: fields of the list, or of all its images, that
            differ
        """
        now = pki.utcnow().replace(microsecond=0)
        in_list = {field.name for field in dataclasses.fields(ImageList)}
        of_images = {name: changes.pop(name) for name in list(changes)
                     if name not in in_list}
        return dataclasses.replace(ImageList(
            identifier=str(uuid.uuid4()), version='1',
            created=now - datetime.timedelta(hours=1),
            expires=now + datetime.timedelta(days=30),
            endorser=Endorser(ALICE, CA, 'alice@example.org', 'Alice'),
            uri='https://lists.example.org/image.list', title='Testbed',
            description='Images of the testbed', source='testbed',
            vo='vo.example.org',
            images=tuple(dataclasses.replace(image, **of_images)
                         for image in images)), **changes)

    @staticmethod
    def sign(image_list: ImageList, signer: pki.Identity) -> bytes:
        """Return a list as a signed message."""
        return envelope.sign(imagelist.serialize(image_list),
                             signer.certificate, signer.key)


def entry(data: bytes, **changes: Any) -> ImageEntry:
    """Return the entry of an image with these bytes."""
    return file_entry(hashlib.sha512(data).hexdigest(), len(data), **changes)


def file_entry(sha512: str, size: int, **changes: Any) -> ImageEntry:
    """Return the entry of an image with this digest and size in bytes."""
    image = ImageEntry(
        identifier=str(uuid.uuid4()), size=size, sha512=sha512,
        version='1.0', uri='https://images.example.org/image.raw',
        hypervisor='kvm', title='Testbed image', description='A test image',
        arch='x86_64', os='Linux', osversion='12', osname='Debian',
        comments='none', format='RAW')
    return dataclasses.replace(image, **changes)


def load_identity(folder: pathlib.Path,
                  name: str) -> tuple[x509.Certificate, Any]:
    """Read a certificate and its key, NAME.pem and NAME.key of a folder."""
    return (
        x509.load_pem_x509_certificate(
            (folder / f'{name}.pem').read_bytes()),
        serialization.load_pem_private_key(
            (folder / f'{name}.key').read_bytes(), None))


def _write(path: pathlib.Path, text: str) -> None:
    """Replace a file at once, as an administrator's editor does."""
    new = path.with_name(path.name + '.new')
    new.write_text(text)
    new.replace(path)
