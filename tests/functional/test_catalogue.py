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

"""The images of a real Glance, read and changed through its API."""

import dataclasses
import itertools
import os

import pytest

from hepix_vm import config
from hepix_vm import credentials
from hepix_vm.errors import MalformedError
from hepix_vm.errors import ServiceError
from hepix_vm.exchange import catalogue as module
from hepix_vm.exchange.catalogue import Catalogue
from hepix_vm.exchange.catalogue import held_of
from hepix_vm.exchange.ledger import RestLedger
from hepix_vm.exchange.rest import Rest
from hepix_vm import paths
from hepix_vm.trust import ledger as records
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.settings import Blockable
from tests.functional.ungated import BOB
from tests.testbed.client import ADMIN
from tests.testbed import pki
from tests.testbed.site import entry

OWNER = 'hepix-vm'


def connect(cloud, monkeypatch, who='sync:service:admin', url=None):
    cloud.site.write_account(url or cloud.glance.url, who)
    monkeypatch.setenv(paths.ENVIRONMENT, str(cloud.site.config))
    return Catalogue(credentials.adapter(config.load(), credentials.IMAGE))


@pytest.fixture
def catalogue(bare, monkeypatch):
    return connect(bare, monkeypatch)


def ids(images):
    return [image['id'] for image in images]


def test_all_images_of_all_projects(bare, catalogue):
    bob, admin = bare.client.as_(BOB), bare.client.as_(ADMIN)
    made = {
        bare.client.create(), bare.client.create(visibility='private'),
        bob.create(visibility='community'), bob.create(os_hidden=True),
        bob.create(visibility='private', os_hidden=True),
        admin.create(visibility='public'),
        admin.create(owner='nobody', visibility='community',
                     os_hidden=True)}
    found = ids(catalogue.images())
    assert made <= set(found)
    assert len(found) == len(set(found))
    assert set(ids(catalogue.images(owner='nobody'))) < made


def test_pages(bare, catalogue, monkeypatch):
    made = {bare.client.create() for _ in range(5)}
    monkeypatch.setattr(module, 'LIMIT', 2)
    found = ids(catalogue.images())
    assert made <= set(found)
    assert len(found) == len(set(found))


def test_images_that_are_deleted_between_pages(bare, catalogue,
                                               monkeypatch):
    made = {bare.client.create() for _ in range(6)}
    monkeypatch.setattr(module, 'LIMIT', 3)
    images = catalogue.images(hidden=(False,), owner='atlas')
    first = [next(images)['id'] for _ in range(3)]
    for gone in first:
        assert bare.client.delete(gone).status_code == 204
    rest = ids(images)
    assert made <= set(first) | set(rest)
    assert not set(first) & set(rest)


def test_long_properties_make_pages_smaller(bare, catalogue, monkeypatch):
    made = {bare.client.create(long='x' * 30_000) for _ in range(5)}
    monkeypatch.setattr(module, '_LONGEST', 70_000)
    found = ids(catalogue.images())
    assert made <= set(found)
    assert len(found) == len(set(found))
    # They become longer again behind what is long.
    asked = []
    page = Rest.bounded

    def bounded(self, path, longest, headers=None):
        asked.append(int(path.rpartition('limit=')[2]))
        return page(self, path, longest, headers)

    monkeypatch.setattr(Rest, 'bounded', bounded)
    assert ids(catalogue.images()) == found
    assert any(more > less for less, more in itertools.pairwise(
        asked[:asked.index(max(asked), 1)]))
    monkeypatch.setattr(module, '_LONGEST', 20_000)
    assert ids(catalogue.images()) == found
    monkeypatch.setattr(module, '_LONGEST_ALONE', 20_000)
    with pytest.raises(ServiceError, match='more than 20000 bytes'):
        list(catalogue.images())


def test_an_image_as_the_gate_sees_it(bare, catalogue):
    data = os.urandom(1000)
    image_id = bare.client.create(visibility='shared', mine='x',
                                  hepix_endorsement='y', tags=['z'])
    assert bare.client.put(image_id, data).status_code == 204
    held = held_of(catalogue.show(image_id))
    assert held.image_id == image_id
    assert (held.status, held.owner, held.visibility) == (
        'active', 'atlas', 'shared')
    assert (held.disk_format, held.container_format) == ('raw', 'bare')
    assert (held.size, held.sha512) == (1000, entry(data).sha512)
    assert held.extra['mine'] == 'x'
    assert held.extra['hepix_endorsement'] == 'y'
    assert held.extra.keys() - {'mine', 'hepix_endorsement'} <= {
        'os_glance_importing_to_stores', 'os_glance_failed_import'}
    assert abs(held.created - pki.utcnow()).total_seconds() < 600
    bare.glance.query("UPDATE images SET os_hash_algo = 'sha256' "
                      "WHERE id = ?", (image_id,))
    assert held_of(catalogue.show(image_id)).sha512 == ''


def test_status_and_properties(bare, catalogue):
    image_id = bare.client.create()
    assert bare.client.put(image_id, b'data').status_code == 204
    catalogue.deactivate(image_id)
    catalogue.deactivate(image_id)
    assert bare.client.status(image_id) == 'deactivated'
    catalogue.update(image_id, {'hepix_state': 'a', 'a/b~c': 'é'})
    catalogue.update(image_id, {'hepix_state': 'b', 'a/b~c': None})
    image = catalogue.show(image_id)
    assert image['hepix_state'] == 'b'
    assert 'a/b~c' not in image
    catalogue.reactivate(image_id)
    assert bare.client.status(image_id) == 'active'
    with pytest.raises(ServiceError) as caught:
        catalogue.update(image_id, {'nothing': None})
    assert caught.value.status == 409


def test_an_image_that_is_not_there(catalogue):
    image_id = '7d6b0a3c-4a43-4e0a-9a55-1b1b7a0a0001'
    assert catalogue.find(image_id) is None
    with pytest.raises(ServiceError) as caught:
        catalogue.deactivate(image_id)
    assert caught.value.status == 404
    assert 'still there' in caught.value.remedy


def test_an_account_that_is_no_administrator(bare, monkeypatch):
    member = connect(bare, monkeypatch, 'eve:s3cret:member,reader')
    for ask in (member.check_administrator,
                lambda: member.create(owner=OWNER)):
        with pytest.raises(ServiceError) as caught:
            ask()
        assert caught.value.status == 403
        assert 'role admin' in caught.value.remedy
        assert 's3cret' not in caught.value.message


def test_a_glance_that_is_not_there(bare, monkeypatch):
    nowhere = connect(bare, monkeypatch,
                      url='http://ops:s3cret@127.0.0.1:1')
    with pytest.raises(ServiceError) as caught:
        list(nowhere.images())
    assert caught.value.status == 0
    assert 's3cret' not in caught.value.message
    assert '\n' not in caught.value.message


def test_what_answers_is_something_else(bare, monkeypatch):
    other = connect(bare, monkeypatch, url=bare.web.url(''))
    with pytest.raises(ServiceError) as caught:
        list(other.images())
    assert caught.value.status == 404
    assert 'without a version' in caught.value.remedy


@pytest.fixture
def ledger(catalogue):
    return RestLedger(catalogue, OWNER)


def record(value=None, fact=Fact.BLOCKED, reason='CVE-2026-0001',
           kind=Blockable.SHA512):
    return Record(fact, kind, value or os.urandom(64).hex(),
                  reason, 'ops@example.org',
                  pki.utcnow().replace(microsecond=0))


def test_records_are_written_found_and_lifted(bare, catalogue, ledger):
    one, two = record(), record()
    ledger.write(one)
    ledger.write(two)
    again = RestLedger(catalogue, OWNER)
    for each in (ledger, again):
        assert each.search([one.name, record().name]) == [one]
        assert each.search([two.name]) == [two]
    again.lift(one, 'ops: wrong')
    for each in (again, RestLedger(catalogue, OWNER)):
        found, = each.search([one.name])
        assert found.lifted == 'ops: wrong'
        assert each.search([two.name]) == [two]
    # Neither users nor lists show them, and nobody deletes them unawares.
    kept = [image for image in catalogue.images(owner=OWNER)
            if image['name'] == one.name]
    assert [(image['visibility'], image['os_hidden'], image['protected'],
             image['status']) for image in kept] == [
        ('private', True, True, 'queued')]
    for client in (bare.client, bare.client.as_(BOB)):
        response = client.call('GET', f'/v2/images/{kept[0]["id"]}')
        assert response.status_code == 404


def test_one_fact_is_one_record(catalogue, ledger):
    one = record()
    again = dataclasses.replace(one, reason='as I say', author='bob')
    other = RestLedger(catalogue, OWNER)
    assert other.search([one.name]) == []
    ledger.write(one)
    # Though it was read before.
    for each in (ledger, other):
        each.write(again)
        assert each.search([one.name]) == [one]
    other.lift(one, 'ops: wrong')
    ledger.write(one)
    assert [each.lifted for each in RestLedger(
        catalogue, OWNER).search([one.name])].count('') == 1


def test_the_newest_mark_of_a_list_is_the_only_one(catalogue, ledger):
    marks = [Record(
        Fact.ACCEPTED, Blockable.LIST, '8d1c6f6e-6a0a-4b7c-9d67-0f6f5d9d7a11',
        'accepted', 'sync', pki.utcnow().replace(microsecond=0),
        version=version) for version in ('1', '2', '3')]
    others = [RestLedger(catalogue, OWNER) for _ in range(2)]
    for each in (ledger, *others):
        assert each.all() == each.search([marks[0].name])
    for each, mark in zip((others[0], ledger, others[1]),
                          (marks[0], marks[2], marks[1]), strict=True):
        each.write(mark)
    found = RestLedger(catalogue, OWNER).search([marks[0].name])
    assert [each.version for each in found if not each.lifted] == ['3']
    assert [each.version for each in found if each.lifted] == ['1']


def test_only_the_owner_makes_records(bare, ledger):
    """Everybody may call an image what he likes."""
    one = record()
    bare.client.as_(ADMIN).create(
        name=one.name, owner='atlas', os_hidden=True,
        hepix_ledger=records.serialize(one))
    assert ledger.search([one.name]) == []


def test_a_record_that_cannot_be_read(bare, ledger):
    good, bad = record(), record()
    for text in ('nonsense', '{}'):
        bare.client.as_(ADMIN).create(
            name=bad.name, owner=OWNER, os_hidden=True, hepix_ledger=text)
    ledger.write(good)
    assert ledger.search([good.name]) == [good]
    with pytest.raises(MalformedError, match='record of the ledger'):
        ledger.search([good.name, bad.name])


def test_what_could_not_be_read_is_not_written(catalogue, ledger):
    bad = record(reason='x' * records.MAX_BYTES)
    with pytest.raises(MalformedError):
        ledger.write(bad)
    assert RestLedger(catalogue, OWNER).search([bad.name]) == []
