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

"""Who is answered, and how refusals look; and how the process starts."""

import io
import json
import logging
import pathlib
import re
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import pytest

from hepix_vm import config
from hepix_vm.errors import ConfigError
from hepix_vm.nova_ctx import authtoken
from hepix_vm.nova_ctx import vendordata

PASTE = 'etc/hepix_vm/vendordata-paste.ini'
BODY = json.dumps({'instance-id': 'u', 'project-id': 'p', 'image-id': None,
                   'user-data': 'hunter2'}).encode()


def caller(*roles):
    return SimpleNamespace(has_user_token=True,
                           user=SimpleNamespace(role_names=list(roles)))


@pytest.fixture
def app(site):
    return vendordata.app_factory({})


def call(app, path='/hepix_vm', method='POST', data=BODY, auth=None,
         **environ):
    """Make a request; return the status and the document."""
    said = []
    answer = app({
        'PATH_INFO': path, 'REQUEST_METHOD': method,
        'CONTENT_LENGTH': str(len(data)), 'wsgi.input': io.BytesIO(data),
        'keystone.token_auth': auth or caller('service'), **environ},
        lambda status, headers: said.append((status, dict(headers))))
    (status, headers), content = said[0], b''.join(answer)
    assert headers == {'Content-Type': 'application/json',
                       'Content-Length': str(len(content))}
    return int(status.split()[0]), json.loads(content)


def refused(app, status, **request):
    found, answer = call(app, **request)
    assert found == status
    assert set(answer) == {'error'}
    assert set(answer['error']) == {'message', 'remedy'}
    assert all(answer['error'].values())
    return answer['error']['message']


def test_both_targets(app):
    assert call(app)[0] == 200
    assert call(app, path='/cloud-init') == (200, '')


@pytest.mark.parametrize('roles', [('service',), ('admin',), ('ADMIN',),
                                   ('member', 'Service')])
def test_who_may_ask(app, roles):
    assert call(app, auth=caller(*roles))[0] == 200


@pytest.mark.parametrize('roles', [(), ('member', 'reader'), ('services',)])
def test_who_may_not_ask(app, roles):
    refused(app, 403, auth=caller(*roles))


def test_roles_are_an_option(site):
    site.write_config(vendordata_roles='Metadata')
    app = vendordata.app_factory({})
    assert call(app, auth=caller('metadata'))[0] == 200
    refused(app, 403, auth=caller('admin'))


def test_headers_are_not_believed(app):
    """Without keystonemiddleware before it, everybody could send them."""
    forged = {'HTTP_X_IDENTITY_STATUS': 'Confirmed',
              'HTTP_X_ROLES': 'admin,service'}
    refused(app, 401, **{'keystone.token_auth': None}, **forged)
    refused(app, 401, **forged, auth=SimpleNamespace(
        has_user_token=False, user=None))


def test_other_places_and_methods(app):
    for path in ('/', '', '/other', '/hepix_vm/more'):
        refused(app, 404, path=path)
    for method in ('GET', 'PUT', 'DELETE', 'OPTIONS'):
        refused(app, 405, method=method)


def test_bodies_of_any_shape(app):
    for data in (b'', b'{', b'[1]', b'{"instance-id": 1}'):
        refused(app, 400, data=data)
    for length in ('', 'x', '-1', '1e3', str(vendordata.MAX_BODY + 1)):
        refused(app, 400, CONTENT_LENGTH=length)
    refused(app, 400, data=b' ' * (vendordata.MAX_BODY + 1))
    # What a user may send by way of Nova is not too long.
    assert call(app, data=BODY[:-1] + b', "metadata": "'
                + b'x' * 900_000 + b'"}')[0] == 200


def test_a_body_that_ends_early(app):
    class Broken:
        def read(self, size):
            """Fail, as uWSGI's does."""
            raise OSError('hunter2')

    refused(app, 400, **{'wsgi.input': Broken()})


def test_what_cannot_be_known_now(app, monkeypatch, site, caplog):
    data = BODY.replace(b'null', b'"i"')
    assert 'Glance' in refused(app, 503, data=data)
    (site.folder / 'context.yaml').write_text('rules: 1')
    assert 'context.yaml:1' in refused(app, 503)
    assert 'context.yaml:1' in caplog.text


def test_mistakes_of_ours_show_no_values(app, monkeypatch, caplog):
    def fail(*unused):
        raise KeyError('hunter2')

    monkeypatch.setattr(app._vendor, 'answer', fail)
    message = refused(app, 500)
    assert 'hunter2' not in message + caplog.text
    assert 'KeyError at ' in caplog.text


def test_nothing_of_users_is_logged(app, caplog):
    caplog.set_level(logging.DEBUG)
    call(app)
    refused(app, 400, data=BODY[:-1])
    assert 'Server u' in caplog.text
    assert 'hunter2' not in caplog.text


@pytest.mark.parametrize(('keystone', 'what'), [
    ('', 'no auth_type'), ('auth_type = nothing\n', 'there is no nothing'),
    ('auth_type = password\nusernme = u\n', 'no option usernme'),
    ('auth_type = password\nauth-url = u\n', 'no option auth-url')])
def test_settings_of_keystonemiddleware(site, keystone, what):
    site.write_config(f'[keystone_authtoken]\n{keystone}')
    with pytest.raises(ConfigError, match=what) as caught:
        authtoken.check(str(site.config))
    assert str(site.config) in str(caught.value)


@pytest.mark.parametrize('keystone', [
    'auth_type = password\nusername = u\npassword = p\nauth_url = u\n'
    'token_cache_time = 10\nmemcached_servers = a\nproject_name = p\n',
    'auth_section = service_credentials\nwww_authenticate_uri = u\n'])
def test_good_settings_of_keystonemiddleware(site, keystone):
    site.write_config(f'[keystone_authtoken]\n{keystone}')
    authtoken.check(str(site.config))
    assert config.load()


def test_the_example_of_the_documents(site, tmp_path):
    page = pathlib.Path('doc/source/install/vendordata.rst').read_text()
    found = re.search(r'``vendordata.conf``::\n\n((?:    .*\n|\n)+)', page)
    assert found
    site.config.write_text(textwrap.dedent(found[1]))
    authtoken.check(str(site.config))
    assert config.load().service_credentials.username == 'hepix-vm'
    for name in re.findall(r'option\s``(vendordata_\w+)``', page):
        assert name in config.load().hepix_vm


def start(site, code='', **settings):
    """Start the service in a process: it sets oslo.config up for good."""
    site.write_config(
        '[keystone_authtoken]\nauth_section = service_credentials\n',
        **settings)
    return subprocess.run(
        [sys.executable, '-c', f'from hepix_vm.nova_ctx import wsgi\n{code}'],
        capture_output=True, text=True, timeout=60)


def test_the_root_tells_nothing_to_everybody(site):
    done = start(site, """
for method in ('GET', 'HEAD', 'POST'):
    status = []
    answer = wsgi.application(
        {'PATH_INFO': '/', 'REQUEST_METHOD': method, 'SERVER_NAME': 'x',
         'SERVER_PORT': '80', 'wsgi.url_scheme': 'http'},
        lambda *said: status.append(said[0]))
    print('said', method, status[0][:3], b''.join(answer)[:34])
""", vendordata_paste=PASTE)
    assert done.returncode == 0, done.stdout + done.stderr
    said = [line for line in done.stdout.splitlines()
            if line.startswith('said')]
    # The rest is for keystonemiddleware.
    assert said == ["said GET 200 b'{}'", "said HEAD 200 b''",
                    """said POST 401 b'{"error": {"code": 401, "title": "'"""]


@pytest.mark.parametrize('paste', [
    None, 'x', '[app:main]\nuse = egg:hepix-vm#none\n'])
def test_a_paste_file_without_the_service(site, paste):
    path = site.folder / 'paste.ini'
    if paste is not None:
        path.write_text(paste)
    done = start(site, vendordata_paste=str(path))
    assert done.returncode == 1
    assert f'ConfigError: {path}: ' in done.stdout + done.stderr
