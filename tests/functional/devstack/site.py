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

"""The site that the plugin has made, with all that a test needs of a site."""

import pathlib
from typing import Any

import yaml

from hepix_vm.trust.model import Endorser
from hepix_vm.trust.model import ImageEntry
from hepix_vm.trust.model import ImageList
from hepix_vm.trust import names
from tests.functional.devstack.machine import Machine
from tests.testbed import pki
from tests.testbed.site import load_identity
from tests.testbed.site import Site


class PluginSite(Site):
    """Its endorser is the one of the plugin's test CA.

    What is written here is what an operator writes, into the files of the
    plugin; :meth:`restore` writes back what was there.
    """

    def __init__(self, machine: Machine) -> None:
        self.folder = machine.conf
        self.anchors = machine.conf / 'certificates'
        self.state = machine.data / 'hepix-vm/state'
        self.config = machine.conf / 'hepix-vm.conf'
        keys = machine.data / 'hepix-vm/ca'
        self.authority = pki.Authority(*load_identity(keys, 'ca'))
        self.alice = pki.Identity(*load_identity(keys, 'endorser'))
        self.endorser = Endorser(
            names.one_line(self.alice.certificate.subject),
            names.one_line(self.alice.certificate.issuer))
        self.stranger = Endorser(
            self.endorser.dn.rpartition('/')[0] + '/CN=Bob Stranger',
            self.endorser.ca)
        self.bob = self.authority.issue(self.stranger.dn)
        self._policy = self._yaml('policy')
        self._subscriptions = self._yaml('subscriptions')
        crl, = self.anchors.glob('*.r0')
        self._crl = crl
        self._before = {path: path.read_bytes() for path in (
            crl, self.folder / 'policy.yaml',
            self.folder / 'subscriptions.yaml')}
        self._lists = set(self._list_files())

    def restore(self) -> None:
        """Undo what a test has decided."""
        for path, content in self._before.items():
            path.write_bytes(content)
        for path in set(self._list_files()) - self._lists:
            path.unlink()

    def write_anchors(self, **crl: Any) -> None:
        """Write the revocation list anew."""
        self._crl.write_bytes(pki.pem(self.authority.crl(**crl)))

    def write_policy(self, **keys: Any) -> None:
        """Write these keys to policy.yaml, with what the plugin wrote."""
        (self.folder / 'policy.yaml').write_text(
            yaml.safe_dump({**self._policy, **keys}))

    def write_subscriptions(self, lists: Any, **keys: Any) -> None:
        """Subscribe these lists as well."""
        (self.folder / 'subscriptions.yaml').write_text(yaml.safe_dump({
            **self._subscriptions, **keys,
            'lists': [*self._subscriptions.get('lists', []), *lists]}))

    def image_list(self, *images: ImageEntry,  # type: ignore[override]
                   **changes: Any) -> ImageList:
        """Return a list by the endorser of the plugin."""
        return Site.image_list(
            *images, **{'endorser': self.endorser, **changes})

    def _yaml(self, name: str) -> Any:
        return yaml.safe_load((self.folder / f'{name}.yaml').read_text())

    def _list_files(self) -> list[pathlib.Path]:
        return list((self.state / 'lists').iterdir())
