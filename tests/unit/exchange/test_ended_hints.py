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

"""Servers of which only Cinder says what image they run."""

import dataclasses

import pytest

from hepix_vm.exchange.event import Kind
from hepix_vm.trust.settings import Choice
from tests.unit.exchange.outofuse import IMAGE
from tests.unit.exchange.outofuse import Images
from tests.unit.exchange.outofuse import looker
from tests.unit.exchange.outofuse import Nova
from tests.unit.exchange.outofuse import server
from tests.unit.exchange.test_usage import attached
from tests.unit.exchange.test_usage import Cinder

OTHER = '00000000-0000-4000-8000-000000000000'


@pytest.fixture
def look(tmp_path):
    return looker(tmp_path)


def rooted(image='', **more):
    """Return a server with the volume that it runs from."""
    return server(image={'id': image} if image else '', **{
        'OS-EXT-SRV-ATTR:root_device_name': '/dev/vda',
        'os-extended-volumes:volumes_attached': [{'id': 'v'}], **more})


def labelled():
    """Return a Cinder that says that it was made of the image."""
    return Cinder(attached('v', IMAGE, **{'1': '/dev/vda'}))


@pytest.mark.parametrize('image', ['', OTHER])
@pytest.mark.parametrize('volumes', [Choice.REFUSE, Choice.ALLOW])
def test_a_label_is_no_reason_to_stop_a_server(look, image, volumes):
    """By Cinder's default policy a colleague may have written it."""
    nova = Nova(rooted(image))
    done = look(nova, cinder=labelled(), volumes=volumes)
    assert nova.did == []
    assert str(done.tally) == 'servers 1, locked 0, stopping 0, unstopped 0'
    event, = done.told
    # It is his project's.
    assert (event.kind, event.server.email) == (
        Kind.SERVER_RUNS, 'alice@example.org')


def test_where_users_cannot_write_it_a_label_is_as_good_as_at_boot(look):
    nova = Nova(rooted())
    done = look(nova, cinder=labelled(), volumes=Choice.INHERIT)
    assert [name for _, name in nova.did] == ['lock', 'os-stop']
    assert done.told[0].kind is Kind.SERVER_STOPPING


@pytest.mark.parametrize('more', [
    {'image': {'id': IMAGE}}, {'OS-EXT-SRV-ATTR:kernel_id': IMAGE}])
def test_what_nova_says_is_no_hint(look, more):
    nova = Nova({**rooted(), **more})
    look(nova, cinder=labelled())
    assert [name for _, name in nova.did] == ['lock', 'os-stop']


@pytest.mark.parametrize(('visibility', 'owner', 'volumes', 'told'), [
    ('private', 'cms', Choice.REFUSE, False),
    ('shared', 'cms', Choice.REFUSE, False),
    ('public', 'cms', Choice.REFUSE, True),
    ('private', 'atlas', Choice.REFUSE, True),
    ('private', 'cms', Choice.INHERIT, True)])
def test_who_labels_a_volume_is_not_told_of_images_of_others(
        look, visibility, owner, volumes, told):
    images = Images()
    held, outcome = images.answer
    images.answer = dataclasses.replace(
        held, visibility=visibility, owner=owner), outcome
    event, = look(Nova(rooted()), images=images, cinder=labelled(),
                  volumes=volumes).told
    assert event.server.email == ('alice@example.org' if told else '')
    assert ('only Cinder says' in event.message) is not told
    # Nor later.
    assert look(Nova(rooted()), images=images, cinder=labelled()
                ).told == []
