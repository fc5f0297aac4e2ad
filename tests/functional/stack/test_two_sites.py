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

"""An image of another site, from its list to the console of a server."""

from collections.abc import Callable
import hashlib
import pathlib

from tests.functional.guests import assert_order
from tests.testbed.listserver import ListServer
from tests.testbed import pki
from tests.testbed.publishing import declared
from tests.testbed.publishing import LIST
from tests.testbed.publishing import Publisher
from tests.testbed.site import ALICE
from tests.testbed.site import entry
from tests.testbed.site import Site
from tests.testbed.stack import Stack
from tests.testbed.user import User
from tests.testbed.web import WebServer

CA_A = '/C=EU/O=Example Grid/CN=Site A CA'


def in_base(stack: Stack, image: str) -> str:
    """Return the SHA-512 of the file from which Nova starts servers."""
    name = hashlib.sha1(image.encode()).hexdigest()  # noqa: S324 Nova's own
    with (stack.compute.instances / '_base' / name).open('rb') as base:
        return hashlib.file_digest(base, 'sha512').hexdigest()


def follow(stack: Stack, web: WebServer, data: bytes,
           folder: pathlib.Path) -> None:
    """Publish an image at another site, and follow its list here."""
    web.contents['/guest.raw'] = data
    site_a = Site(folder / 'a', CA_A)
    publisher = Publisher(site_a, folder / 'alice')
    publisher.write(declared(data, uri=web.url('/guest.raw')))
    publisher.publish()
    pki.write_folder(stack.site.anchors,
                     [stack.site.authority, site_a.authority])
    with ListServer() as server:
        stack.site.write_subscriptions([{
            'url': server.serve('/image.list', publisher.output.read_bytes()),
            'uuid': LIST, 'share': 'public', 'internal_addresses': True,
            'ca_bundle': server.bundle(folder),
            'endorsers': [{'dn': ALICE, 'ca': CA_A}]}])
        assert f'{LIST} accepted: version 1, 1 image,' in stack.sync()


def test_published_at_another_site_and_booted_here(
        stack: Stack, alice: User, web: WebServer,
        disk: Callable[[], bytes], tmp_path: pathlib.Path) -> None:
    data = disk()
    sha512 = entry(data).sha512
    follow(stack, web, data, tmp_path)
    image, = alice.sdk.image.images(status='active', visibility='public')
    assert image.hash_value == sha512

    server = alice.boot(image.id)
    assert in_base(stack, image.id) == sha512
    assert_order(
        alice.console(server),
        'guest: starts',
        'hepix-vm: prolog begins',
        'hepix-vm prolog: start: Example Site welcomes ' + server.id,
        'hepix-vm: prolog ended with status 0',
        'guest: network starts',
        'guest: network is up',
        'hepix-vm: epilog begins',
        f'hepix-vm epilog: start: {server.name} is ready',
        f'hepix-vm epilog: start: endorsed for vo.example.org by {ALICE}',
        'hepix-vm: epilog ended with status 0',
        'guest: runs')
    # The server is asked to stop, and what it wrote is not in the base.
    alice.sdk.compute.stop_server(server)
    assert alice.settled(server).status == 'SHUTOFF'
    assert 'guest: stops' in alice.last_words(server)
    assert in_base(stack, image.id) == sha512
    alice.delete(server)
    assert in_base(stack, image.id) == sha512
