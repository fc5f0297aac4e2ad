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

"""Keystone and Glance with the gate on MariaDB, as sites have them.

A whole cloud on it is started by ``tools/stack.sh start --database mariadb``:
to make its databases takes too long for a test.
"""

from collections.abc import Callable
from collections.abc import Iterator
import os
import pathlib

import pytest

from hepix_vm.trust import ledger
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.settings import Blockable
from tests.functional.conftest import Cloud
from tests.testbed.client import Client
from tests.testbed.client import message
from tests.testbed.database import MariaDB
from tests.testbed.keystone import Keystone
from tests.testbed.keystone import Token
from tests.testbed import pki
from tests.testbed.site import entry


@pytest.fixture
def mariadb(tmp_path: pathlib.Path) -> Iterator[MariaDB]:
    """A server that has no databases yet."""
    with MariaDB(tmp_path / 'mariadb') as running:
        yield running


@pytest.fixture
def keystone(tmp_path: pathlib.Path, mariadb: MariaDB) -> Iterator[Keystone]:
    """A Keystone on it, which knows Alice."""
    with Keystone(tmp_path / 'keystone', mariadb) as running:
        running.add_user('alice', 'atlas', 'member', 'reader')
        yield running


def client(keystone: Keystone, cloud: Cloud, user: str,
           project: str) -> Client:
    """Return Glance's client of a user."""
    return Client(cloud.glance.url, Token(  # type: ignore[arg-type]
        keystone.token(user, project)))


def test_images_are_judged_and_what_is_decided_is_kept(
        tmp_path: pathlib.Path, mariadb: MariaDB, keystone: Keystone,
        make: Callable[..., Cloud]) -> None:
    cloud = make(databases=mariadb, credentials=keystone.account(
        'admin', 'admin'), authtoken=keystone.middleware('glance'))
    keystone.add_endpoint('image', cloud.glance.url)
    assert list(tmp_path.rglob('glance.sqlite')) == []
    alice = client(keystone, cloud, 'alice', 'atlas')
    admin = client(keystone, cloud, 'admin', 'admin')

    def upload(data: bytes, **properties: str) -> tuple[str, str]:
        image = alice.create(**properties)
        answer = alice.put(image, data)
        return image, message(answer) if answer.status_code != 204 else ''

    image, said = upload(os.urandom(1000))
    assert '[not-endorsed]' in said
    data = os.urandom(1000)
    endorsement = cloud.site.endorse(data)
    image, said = upload(data, hepix_endorsement=endorsement)
    assert said == ''
    shown = alice.image(image)
    assert (shown['status'], shown['hepix_state']) == ('active', 'endorsed')
    assert cloud.glance.query('SELECT status FROM images WHERE id = ?',
                              (image,)) == [('active',)]

    record = Record(Fact.REVOKED, Blockable.SHA512, entry(data).sha512,
                    'CVE-2026-0001', 'ops@example.org', pki.utcnow())
    admin.create(name=record.name, owner='hepix-vm', visibility='private',
                 os_hidden=True, protected=True, disk_format=None,
                 container_format=None,
                 hepix_ledger=ledger.serialize(record))
    image, said = upload(data, hepix_endorsement=endorsement)
    assert '[image-revoked]' in said
    # It is there after a restart as well.
    cloud.glance.restart()
    image, said = upload(data, hepix_endorsement=endorsement)
    assert '[image-revoked]' in said
