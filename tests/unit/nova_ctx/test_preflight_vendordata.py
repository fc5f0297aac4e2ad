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

"""What is said of a vendordata service that cannot answer."""

import http
import json
import pathlib
import types

from keystoneauth1 import exceptions
from keystonemiddleware import auth_token
from keystonemiddleware.auth_token import _identity
import pytest

from hepix_vm.errors import ServiceError
from hepix_vm.exchange.catalogue import Catalogue
from hepix_vm.findings import Severity
from hepix_vm.nova_ctx.checks import vendordata
from hepix_vm.nova_ctx import preflight
from hepix_vm.nova_ctx.preflight import Part
from tests.testbed import serving
from tests.unit.nova_ctx.settings import nova

PASTE = pathlib.Path('etc/hepix_vm/vendordata-paste.ini')
AUTHTOKEN = '[keystone_authtoken]\nauth_section = service_credentials\n'
ANSWERS = 'Vendordata answers'


@pytest.fixture
def service(site, monkeypatch):
    """A service that is in order, and what is found of it."""
    folder = site.folder.resolve()
    paste = folder / 'paste.ini'
    paste.write_text(PASTE.read_text())
    glance = types.SimpleNamespace(error=None)

    def check_administrator(self):
        if glance.error:
            raise glance.error
    monkeypatch.setattr(
        Catalogue, 'check_administrator', check_administrator)
    keystone = types.SimpleNamespace(error=None, asked=[])

    def verify_token(self, token):
        keystone.asked.append(token)
        if keystone.error:
            raise keystone.error
    monkeypatch.setattr(
        _identity.IdentityServer, 'verify_token', verify_token)
    service = types.SimpleNamespace(
        paste=paste, glance=glance, keystone=keystone, site=site)

    def write(more=AUTHTOKEN, **settings):
        site.write_config(more, vendordata_paste=str(paste), **settings)
        site.config.chmod(0o640)

    def bad():
        return {finding.what: (finding.severity, finding.message)
                for finding in vendordata.check()
                if finding.severity is not Severity.OK}
    service.write, service.bad = write, bad
    write()
    return service


def test_all_is_well(service):
    assert service.bad() == {}
    assert {finding.what for finding in vendordata.check()} == {
        'Tokens are checked', 'Filter in the pipeline',
        'Account of hepix-vm', 'Context of the site', 'Rights on files'}


def test_keystonemiddleware_is_asked_about_our_token(service):
    assert service.bad() == {}
    assert service.keystone.asked == ['t']


def only(service, what):
    """Return the one thing that is wrong."""
    (found, (severity, message)), = service.bad().items()
    assert found == what
    return severity, message


@pytest.mark.parametrize('more, text', [
    ('', '[keystone_authtoken] has no auth_type'),
    (AUTHTOKEN + 'service_tokens = true\n', 'no option service_tokens')])
def test_keystonemiddleware_that_is_not_told(service, more, text):
    service.write(more)
    severity, message = only(service, 'Tokens are checked')
    assert severity is Severity.FAILURE
    assert text in message


@pytest.mark.parametrize('error, said, remedy', [
    (exceptions.EndpointNotFound('internal endpoint not found'),
     'internal endpoint not found', 'Set interface = public'),
    (auth_token.InvalidToken('no'), 'does not know the token',
     'the same Keystone'),
    (auth_token.ServiceError('no'), ': no.', 'whether Keystone runs'),
    (exceptions.ConnectFailure('refused.'), ': refused. ',
     'whether Keystone runs')])
def test_keystone_that_tells_nothing(service, error, said, remedy):
    service.keystone.error = error
    severity, message = only(service, 'Tokens are checked')
    assert severity is Severity.FAILURE
    assert message.startswith('The vendordata service answers nobody')
    assert str(service.site.config) in message
    assert said in message
    assert remedy in message


def test_keystone_is_asked_by_who_has_no_token(service):
    text = service.site.config.read_text()
    service.site.config.write_text(text.replace(
        'auth_type = admin_token\nendpoint = http://127.0.0.1:1\ntoken = t',
        '').replace(AUTHTOKEN, '[keystone_authtoken]\nauth_type = none\n'))
    service.keystone.error = auth_token.InvalidToken('no')
    assert only(service, 'Account of hepix-vm')
    asked, = service.keystone.asked
    assert len(asked) == 32


@pytest.mark.parametrize('text, said', [
    (PASTE.read_text().replace('authtoken hepix', 'hepix'), 'is missing'),
    (PASTE.read_text().replace('hepix_vendordata]', 'other]'),
     'cannot be loaded'), ('', 'cannot be loaded')])
def test_a_pipeline_that_checks_no_token(service, text, said):
    service.paste.write_text(text)
    severity, message = only(service, 'Filter in the pipeline')
    assert severity is Severity.FAILURE
    assert said in message
    assert str(service.paste) in message


def test_no_pipeline_at_all(service):
    service.paste.unlink()
    assert only(service, 'Filter in the pipeline')[0] is Severity.FAILURE


@pytest.mark.parametrize('status, severity', [
    (403, Severity.FAILURE), (0, Severity.WARNING)])
def test_an_account_that_sees_not_all(service, status, severity):
    service.glance.error = ServiceError('It says no.', status, 'Give it.')
    assert only(service, 'Account of hepix-vm') == (
        severity, 'It says no. Give it.')


def test_no_account(service):
    service.write()
    text = service.site.config.read_text()
    service.site.config.write_text(text.replace(
        'auth_type = admin_token\nendpoint = http://127.0.0.1:1\ntoken = t',
        ''))
    severity, message = only(service, 'Account of hepix-vm')
    assert severity is Severity.FAILURE
    assert message.startswith('The vendordata service answers nobody, since')


def test_a_context_that_cannot_be_used(service):
    service.site.write_context(rulez=[])
    severity, message = only(service, 'Context of the site')
    assert severity is Severity.FAILURE
    assert 'rulez' in message


@pytest.mark.parametrize('mode, text', [
    (0o644, 'everybody on this host may read it'),
    (0o660, 'can be written by others than the owner')])
def test_a_password_that_others_read(service, mode, text):
    service.site.config.chmod(mode)
    severity, message = only(service, 'Rights on files')
    assert severity is Severity.WARNING
    assert text in message
    assert str(service.site.config) in message


class Service(serving.Quiet):
    """Answers with a status, and remembers who asked for what."""

    status: int
    asked: list[tuple[str, str | None, bytes]]

    def do_POST(self):
        data = self.rfile.read(int(self.headers['Content-Length']))
        self.asked.append((self.path, self.headers['X-Auth-Token'], data))
        text = json.dumps({'error': {'message': 'It is why.'}}).encode()
        self.send_response(http.HTTPStatus(self.status))
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def answers(folder, status=400, part=Part.COMPUTE, names=('hepix_vm',),
            fatal='true', **groups):
    """Return what is found where a service answers so, and its questions."""
    asked = []
    server = serving.web(Service, status=status, asked=asked)
    with serving.Served(server) as served:
        conf = nova(folder, api={
            'vendordata_dynamic_failure_fatal': fatal,
            'vendordata_dynamic_targets': ','.join(
                f'{name}@http://127.0.0.1:{served.port}/{name}'
                for name in names)}, **groups)
        found = [(finding.severity, finding.message) for finding
                 in preflight.check(conf, [part])
                 if finding.what == ANSWERS]
    return found, asked


@pytest.mark.parametrize('part', [Part.COMPUTE, Part.METADATA])
def test_a_service_that_answers(tmp_path, part):
    found, asked = answers(tmp_path, part=part,
                           names=('hepix_vm', 'cloud-init', 'other'))
    assert found == [(Severity.OK, '')]
    assert asked == [('/hepix_vm', 'secret', b'{}'),
                     ('/cloud-init', 'secret', b'{}')]


@pytest.mark.parametrize('status, remedy', [
    (200, 'log of the vendordata service'), (401, 'the same Keystone'),
    (403, 'vendordata_roles'), (404, 'Name /hepix_vm'),
    (503, 'log of the vendordata service')])
@pytest.mark.parametrize('fatal', ['true', 'false'])
def test_a_service_that_does_not_answer_nova(tmp_path, status, remedy, fatal):
    ((severity, message),), _ = answers(tmp_path, status, fatal=fatal)
    assert severity is Severity.FAILURE
    assert message.startswith('No server') is (fatal == 'true')
    assert f'answers {status} to POST /hepix_vm' in message
    assert 'It is why.' in message
    assert remedy in message
    assert 'secret' not in message


@pytest.mark.parametrize('part', [Part.COMPUTE, Part.METADATA])
@pytest.mark.parametrize('fatal, severity, begin', [
    ('true', Severity.FAILURE, 'No server can be started'),
    ('false', Severity.WARNING, 'The vendordata service at')])
def test_a_service_that_does_not_run(tmp_path, part, fatal, severity, begin):
    (found,) = [finding for finding in preflight.check(
        nova(tmp_path, api={'vendordata_dynamic_failure_fatal': fatal,
                            'vendordata_dynamic_targets':
                            'hepix_vm@http://127.0.0.1:1/hepix_vm'}),
        [part]) if finding.what == ANSWERS]
    assert found.severity is severity
    assert found.message.startswith(begin)
    assert 'http://127.0.0.1:1/' in found.message
    assert 'Look whether it runs' in found.message
    assert ('vendordata_dynamic_failure_fatal' in found.message) is (
        fatal == 'true')


@pytest.mark.parametrize('groups', [
    {'vendordata_dynamic_auth': {'auth_type': ''}},
    {'vendordata_dynamic_auth': {'auth_type': 'no-such-type'}}])
def test_nova_without_an_account(tmp_path, groups):
    found, asked = answers(tmp_path, **groups)
    assert asked == []
    assert [severity for severity, _ in found] == [
        Severity.FAILURE if 'no-such-type' in str(groups) else Severity.OK]


def test_nova_asks_nobody_where_it_is_not_told_to(tmp_path):
    asked = []
    with serving.Served(serving.web(
            Service, status=400, asked=asked)) as served:
        conf = nova(tmp_path, api={
            'vendordata_providers': 'StaticJSON',
            'vendordata_dynamic_targets':
                f'hepix_vm@http://127.0.0.1:{served.port}/hepix_vm'})
        assert list(vendordata.check_answers(conf)) == []
    assert asked == []
