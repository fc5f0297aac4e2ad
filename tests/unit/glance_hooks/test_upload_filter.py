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

"""The filter around applications that behave as no Glance does."""

import datetime
import io

import pytest
import webob
import webob.exc

from hepix_vm.gate import Gate
from hepix_vm.glance_hooks import images
from hepix_vm.glance_hooks.upload_filter import UploadFilter

DATA = b'endorsed'
ID = '7d6b0a3c-4a43-4e0a-9a55-1b1b7a0a0001'


class Image:
    """A fake of Glance's image."""

    def __init__(self, endorsement=''):
        self.image_id = ID
        self.owner = 'atlas'
        self.status = 'queued'
        self.visibility = 'shared'
        self.created_at = datetime.datetime(2026, 1, 1)
        self.size = None
        self.os_hash_algo = self.os_hash_value = None
        self.disk_format = 'raw'
        self.container_format = 'bare'
        self.locations = []
        self.extra_properties = {'hepix_endorsement': endorsement}

    def deactivate(self):
        self.status = 'deactivated'


class Repository:
    """A fake of Glance's repository: one image."""

    def __init__(self, image):
        self.image = image

    def get(self, image_id):
        assert image_id == ID
        return self.image

    def save(self, image, from_state=None):
        assert image is self.image

    def set_property_atomic(self, image, name, value):
        from glance.common import exception

        if name in image.extra_properties:
            raise exception.Duplicate
        image.extra_properties[name] = value

    def delete_property_atomic(self, image, name, value):
        from glance.common import exception

        if image.extra_properties.get(name) != value:
            raise exception.NotFound
        del image.extra_properties[name]


class Context:
    """A fake of Glance's request context."""

    is_admin = False
    project_id = 'atlas'
    project_name = 'atlas'
    project_domain_id = 'default'
    project_domain_name = 'Default'
    roles = ('member',)
    user_id = 'alice'
    request_id = 'req-1'


@pytest.fixture
def image(site, monkeypatch):
    image = Image(site.endorse(DATA))
    monkeypatch.setattr(images, 'repository', lambda c: Repository(image))
    monkeypatch.setattr(images, 'find_visible', lambda c, i: image)
    return image


def put(app, path=f'/v2/images/{ID}/file', data=DATA, method='PUT',
        stream=None, headers=()):
    request = webob.Request.blank(path, method=method, headers=headers)
    request.body_file = stream or io.BytesIO(data)
    request.content_length = len(data)
    request.context = Context()
    return request.get_response(UploadFilter(app, Gate('glance-api')))


def reads(image):
    """Return an application that reads the body and takes it."""
    def app(environ, start_response):
        webob.Request(environ).body_file.read()
        image.status = 'active'
        return webob.Response(status=204)(environ, start_response)
    return app


def does_not_read(image):
    """Return an application that takes what it never read."""
    def app(environ, start_response):
        image.status = 'active'
        return webob.Response(status=204)(environ, start_response)
    return app


def test_endorsed_bytes_pass_and_the_image_is_marked(image):
    assert put(reads(image)).status_int == 204
    assert image.extra_properties['hepix_state'] == 'endorsed'
    assert image.status == 'active'


def test_what_was_taken_unread_is_withdrawn(image):
    assert put(does_not_read(image)).status_int == 422
    assert image.status == 'deactivated'
    assert 'hepix_state' not in image.extra_properties


def too_large(environ, start_response):
    """Refuse a body, as Glance does one of which it knows enough."""
    return webob.exc.HTTPRequestEntityTooLarge()(environ, start_response)


REFUSED = pytest.mark.parametrize(
    'status, answer', [('active', 409), ('queued', 413)])


@REFUSED
@pytest.mark.parametrize('header', ['X-Forwarded-For', 'Forwarded', 'Via'])
def test_a_proxy_may_send_the_rest_after_the_refusal(
        image, status, answer, header):
    image.status = status
    stream = io.BytesIO(DATA)
    response = put(too_large, stream=stream, headers={header: '192.0.2.1'})
    assert response.status_int == answer
    assert stream.tell() == 0
    response.app_iter.close()
    assert stream.tell() == len(DATA)


@REFUSED
@pytest.mark.parametrize('headers', [
    {}, {'X-Forwarded-For': '192.0.2.1', 'Expect': '100-continue'}])
def test_others_are_spared_the_rest(image, status, answer, headers):
    image.status = status
    stream = io.BytesIO(DATA)
    response = put(too_large, stream=stream, headers=headers)
    assert response.status_int == answer
    assert response.body
    assert stream.tell() == 0


@pytest.mark.parametrize('status', ['active', 'saving', 'importing'])
def test_an_image_that_is_not_queued_takes_nothing(image, status):
    # Not even if it were queued again when Glance looks.
    image.status = status
    assert put(reads(image)).status_int == 409
    assert image.status == status


def test_an_image_that_the_user_does_not_see(image, monkeypatch):
    monkeypatch.setattr(images, 'find_visible', lambda c, i: None)
    assert put(reads(image)).status_int == 404
    assert image.status == 'queued'


@pytest.mark.parametrize('path', [
    f'/v2/images/{ID}/file', f'/v2/images/{ID}/stage',
    f'//v2/images/{ID}/file', f'/v2//images/{ID}/file',
    f'/v2/images///{ID}//file', f'/v2/images/{ID}/%66ile'])
def test_paths_that_bring_bytes(image, path):
    assert put(reads(image), path, b'tampered').status_int == 422


@pytest.mark.parametrize('method', ['POST', 'GET', 'DELETE', 'NEW'])
def test_a_method_that_the_query_overrides(image, method):
    path = f'/v2/images/{ID}/file?_method=put'
    assert put(reads(image), path, b'tampered', method).status_int == 422


@pytest.mark.parametrize('path, method', [
    (f'/v2/images/{ID}/file', 'GET'), (f'/v2/images/{ID}', 'DELETE'),
    (f'/v2/images/{ID}/members/x', 'PUT'),
    ('/healthcheck', 'GET'), ('/', 'GET')])
def test_paths_that_do_not(image, path, method):
    assert put(reads(image), path, b'anything', method).status_int == 204


def test_marking_that_fails_does_not_undo_the_upload(image, monkeypatch,
                                                     caplog):
    def broken(*unused):
        raise OSError('the database is gone')
    monkeypatch.setattr(images, 'mark', broken)
    assert put(reads(image)).status_int == 204
    assert 'cannot be written' in caplog.text


MARK = 'os_glance_import_task'


def test_one_upload_at_a_time(image):
    image.extra_properties[MARK] = 'another'
    assert put(reads(image)).status_int == 409
    assert image.extra_properties[MARK] == 'another'
    assert image.status == 'queued'


def test_an_image_that_has_data_takes_no_more(image):
    image.locations = ['file:///left']
    assert put(reads(image)).status_int == 409
    assert put(reads(image), f'/v2/images/{ID}/stage').status_int == 409
    assert MARK not in image.extra_properties


@pytest.mark.parametrize('change', [
    lambda image: image.extra_properties.pop(MARK),
    lambda image: image.extra_properties.update({MARK: 'another'}),
    lambda image: setattr(image, 'disk_format', 'vhd'),
    lambda image: setattr(image, 'container_format', 'ovf'),
    lambda image: image.locations.append('file:///another')])
def test_an_upload_that_is_disturbed_before_the_last_byte(image, change):
    def app(environ, start_response):
        change(image)
        return reads(image)(environ, start_response)

    assert put(app).status_int == 409
    assert image.status == 'queued'


def test_an_upload_that_is_disturbed_after_the_last_byte(image):
    def app(environ, start_response):
        answer = reads(image)(environ, start_response)
        image.extra_properties[MARK] = 'another'
        return answer

    assert put(app).status_int == 422
    assert image.status == 'deactivated'
