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

"""The sentinel, and that each part denies where the others are missing."""

import os

import pytest

from tests.functional.conftest import start
from tests.testbed.client import message
from tests.testbed.client import wait
from tests.testbed.config import UNCHECKED

DATA = os.urandom(1000)
SENTINEL = {'oslo_messaging_notifications': {'driver': 'hepix_trust'}}


@pytest.fixture(scope='module', params=['uwsgi', 'gunicorn'])
def watched(request, tmp_path_factory):
    """A Glance that has the sentinel alone."""
    yield from start(tmp_path_factory.mktemp(request.param),
                     server=request.param, filters=(), import_plugins=(),
                     extra=SENTINEL)


def put(cloud, image_id):
    assert cloud.client.put(image_id, DATA).status_code == 204


def stage_and_import(cloud, image_id):
    assert cloud.client.stage(image_id, DATA).status_code == 204
    assert cloud.client.import_and_wait(image_id)['status'] == 'success'


def web_download(cloud, image_id):
    cloud.web.contents['/image'] = DATA
    task = cloud.client.import_and_wait(image_id, uri=cloud.web.url('/image'))
    assert task['status'] == 'success'


@pytest.mark.parametrize('route', [
    put, stage_and_import, web_download])
def test_what_nobody_endorsed_is_taken_out_of_use(watched, route):
    image_id = watched.client.create()
    route(watched, image_id)
    image = watched.client.wait_status(image_id, 'deactivated')
    image = wait(lambda: watched.client.image(image_id),
                 lambda image: 'hepix_reason' in image)
    assert image['hepix_state'] == 'refused'
    assert image['hepix_reason'].startswith('not-endorsed: ')
    record = [each for each in watched.records()
              if each['image'] == image_id][-1]
    assert (record['route'], record['action']) == ('sentinel', 'deactivated')


@pytest.mark.parametrize('route', [
    put, stage_and_import, web_download])
def test_what_is_endorsed_is_marked(watched, route):
    image_id = watched.client.create(
        hepix_endorsement=watched.site.endorse(DATA))
    route(watched, image_id)
    image = wait(lambda: watched.client.image(image_id),
                 lambda image: 'hepix_state' in image)
    assert (image['status'], image['hepix_state']) == ('active', 'endorsed')


def test_what_is_blocked_is_taken_out_of_use(watched):
    data = os.urandom(500)
    image_id = watched.client.create(
        hepix_endorsement=watched.site.endorse(data))
    watched.block(data)
    assert watched.client.put(image_id, data).status_code == 204
    watched.client.wait_status(image_id, 'deactivated')


@pytest.fixture(scope='module')
def filtered(tmp_path_factory):
    """A Glance that has the filter alone."""
    yield from start(tmp_path_factory.mktemp('filtered'), filters=UNCHECKED,
                     import_plugins=())


def test_the_filter_alone_lets_nothing_be_imported(filtered):
    data = os.urandom(500)
    filtered.web.contents['/image'] = data
    for endorsement in ('', filtered.site.endorse(data)):
        image_id = filtered.client.create(hepix_endorsement=endorsement)
        for request in ({'uri': filtered.web.url('/image')}, {}):
            response = filtered.client.import_(image_id, **request)
            assert response.status_code == 403
            assert '[route-closed] Imports are closed' in message(response)
        assert filtered.client.status(image_id) == 'queued'
    assert filtered.client.put(image_id, data).status_code == 204
    assert filtered.client.image(image_id)['hepix_state'] == 'endorsed'
    refused = filtered.client.create()
    assert filtered.client.put(refused, data).status_code == 422
