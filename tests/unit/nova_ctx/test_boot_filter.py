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


"""What the filter of nova-api hands on, and how it refuses."""

import io
import json
import logging
from types import SimpleNamespace

from nova import conf
from oslo_config import cfg
import pytest
import webob.exc

from hepix_vm.boot import Booter
from hepix_vm.deadline import Deadline
from hepix_vm.errors import Code
from hepix_vm.errors import ConfigError
from hepix_vm.nova_ctx import boot_filter
from hepix_vm.nova_ctx.boot_filter import BootFilter
from hepix_vm.nova_ctx.bootable import Wanted
from hepix_vm.nova_ctx import booted_server
from hepix_vm.nova_ctx.booted_server import Root
from hepix_vm.nova_ctx.booted_server import Server
from hepix_vm.nova_ctx.lookup import Unknown
from hepix_vm.nova_ctx.refusal import Answer
from hepix_vm.nova_ctx.refusal import Named
from hepix_vm.nova_ctx.refusal import Refusal
from hepix_vm.trust.settings import Choice
from hepix_vm.trust.settings import DerivedRule
from hepix_vm.trust.verdict import Reason
from hepix_vm.trust.verdict import Verdict
from tests.testbed import pki

A, B = (f'{digit * 8}-0000-4000-8000-{digit * 12}' for digit in 'ab')
REVOKED = Verdict((Reason(Code.IMAGE_REVOKED, 'It was revoked.'),))
CREATE = json.dumps({'server': {'imageRef': A}}).encode()


def context(**more):
    return SimpleNamespace(**{
        'user_id': 'u1', 'project_id': 'p1', 'project_name': 'atlas',
        'project_domain_id': 'default', 'project_domain_name': 'Default',
        'roles': ['member'], 'is_admin': False, 'request_id': 'req-1',
        **more})


class Boots:
    """Remembers what it was asked, and answers what it is told."""

    def __init__(self):
        self.says = Answer()
        self.asked = []
        self.rules = (DerivedRule(Choice.REFUSE),)
        self.gate = self
        self.patience = 20
        self.deadlines = []

    def deadline(self):
        self.deadlines.append(Deadline(self.patience))
        return self.deadlines[-1]

    def judge(self, wanted, booter, deadline, **who):
        assert self.deadlines == [deadline], 'each request has one'
        self.asked.append((wanted, booter, who))
        return self.says

    def now(self):
        return pki.utcnow()

    def site(self):
        return SimpleNamespace(policy=SimpleNamespace(
            derived_images=self.rules))

    def refused(self, reason, booter, **who):
        self.asked.append((reason.code, booter, who))
        return Answer((Refusal(Verdict((reason,))),))

    def unknown(self, error, booter, **who):
        return Answer(unknown=Verdict((Reason.of(error),)))

    def failed(self, error, booter, **who):
        self.asked.append((error, booter, who))
        return Answer((Refusal(Verdict((Reason(
            Code.INTERNAL_ERROR, 'It went wrong.'),))),))


class Api:
    """A nova-api behind the filter."""

    def __init__(self, monkeypatch):
        self.boots = Boots()
        self.server = None
        self.found = []
        self.passed = []
        self.filter = BootFilter(self._app, self.boots)
        monkeypatch.setattr(booted_server, 'find', self._find)

    def _app(self, environ, start_response):
        size = int(environ.get('CONTENT_LENGTH') or 0)
        self.passed.append(environ['wsgi.input'].read(size))
        start_response('202 Accepted', [])
        return [b'']

    def _find(self, context, identifier):
        self.found.append(identifier)
        if isinstance(self.server, Exception):
            raise self.server
        return self.server

    def ask(self, body=CREATE, path='/servers', method='POST', **environ):
        """Make a request; return status, headers and what is said."""
        said = []
        self.boots.deadlines.clear()
        answer = b''.join(self.filter({
            'REQUEST_METHOD': method, 'PATH_INFO': path, 'QUERY_STRING': '',
            'SCRIPT_NAME': '/v2.1', 'SERVER_NAME': 'x', 'SERVER_PORT': '80',
            'HTTP_HOST': 'x', 'wsgi.url_scheme': 'http',
            'CONTENT_LENGTH': str(len(body)), 'CONTENT_TYPE': 'x/y',
            'wsgi.input': io.BytesIO(body), 'nova.context': context(),
            **environ}, lambda status, headers, exc=None: said.append(
                (int(status.split()[0]), dict(headers)))))
        (status, headers), = said
        return status, headers, json.loads(answer) if answer else None

    def act(self, action, said=None, **environ):
        return self.ask(json.dumps({action: said}).encode(),
                        f'/servers/{B}/action', **environ)


@pytest.fixture
def api(monkeypatch):
    return Api(monkeypatch)


def test_what_passes_reaches_nova_unchanged(api):
    body = b' {"server" : {"imageRef":"%s",  "x": 1e2}}\n' % A.encode()
    assert api.ask(body)[0] == 202
    assert api.passed == [body]
    assert api.boots.asked == [(
        Wanted((A,)), Booter(
            'u1', 'p1', frozenset({'atlas'}),
            frozenset({'default', 'Default'}), frozenset({'member'})),
        {'action': 'create', 'request': 'req-1'})]


def test_a_body_in_chunks(api):
    """As gunicorn has it: without a length, and with an end."""
    assert api.ask(HTTP_TRANSFER_ENCODING='chunked', CONTENT_LENGTH='',
                   **{'wsgi.input_terminated': True})[0] == 202
    assert api.passed == [CREATE]
    assert len(api.boots.asked) == 1


def test_a_body_that_is_too_long_is_answered_by_who_says_so(api):
    class Limited:
        def read(self, size=-1):
            raise webob.exc.HTTPRequestEntityTooLarge()
    with pytest.raises(webob.exc.HTTPRequestEntityTooLarge):
        api.ask(**{'wsgi.input': Limited()})
    assert api.passed == []


@pytest.mark.parametrize('request_', [
    {'path': '/servers/detail'}, {'method': 'GET'}, {'path': '/flavors'},
    {'body': b'{', 'path': '/servers/x/migrations'},
    {'body': b''}, {'body': b'{"reboot": {}}', 'path': '/servers/x/action'}])
def test_what_is_not_looked_at(api, request_):
    api.boots.says = Answer((Refusal(REVOKED),))
    assert api.ask(**request_)[0] == 202
    assert api.boots.asked == api.found == []


def test_a_refusal(api):
    api.boots.says = Answer((Refusal(REVOKED, Named(identifier=A)),))
    status, headers, said = api.ask(
        HTTP_OPENSTACK_API_VERSION='compute 2.42')
    assert status == 403
    assert said == {'forbidden': {'code': 403, 'message': REVOKED.explain()}}
    assert headers['OpenStack-API-Version'] == 'compute 2.42'
    assert api.passed == []


def test_it_is_not_known(api):
    api.boots.says = Answer(unknown=Verdict((Reason(
        Code.UNAVAILABLE, 'Glance does not say.'),)))
    status, headers, said = api.ask()
    assert status == 503
    assert 'Glance does not say.' in said['serviceUnavailable']['message']
    assert headers['Retry-After'] == '10'


@pytest.mark.parametrize('body', [b'{', b'[]', b'\xff', b'[' * 100000])
def test_a_body_that_nobody_can_read(api, body):
    status, _, said = api.ask(body)
    assert (status, said['badRequest']['message']) == (
        400, 'Malformed request body')
    assert api.passed == []


def test_nobody_said_who_asks(api, caplog):
    status, _, said = api.ask(**{'nova.context': None})
    assert status == 503
    assert 'serviceUnavailable' in said
    assert 'after keystonecontext' in caplog.text
    assert api.passed == []


def test_servers(api):
    api.server = Server('p1', A, kernel_id=B, shelved_image_id=B)
    assert api.act('rescue', {'rescue_image_ref': A})[0] == 202
    assert api.act('unshelve')[0] == 202
    assert api.found == [B, B]
    assert [(wanted, who) for wanted, _, who in api.boots.asked] == [
        (Wanted((A,), (B,)), {'action': 'rescue', 'request': 'req-1',
                              'server': B}),
        (Wanted((B,), (B,), (A,)), {'action': 'unshelve', 'request': 'req-1',
                                    'server': B})]


def test_a_server_of_which_nova_knows_no_disk(api):
    api.server = Server('p1', root=Root())
    status, _, said = api.act('unshelve')
    assert (status, api.boots.asked[0][0]) == (403, Code.VOLUME_REFUSED)
    assert 'does not say from what' in said['forbidden']['message']
    # What it is rescued with is an image of Nova's configuration then.
    assert api.act('rescue')[0] == 202


def test_a_rebuilt_server(api):
    api.server = Server('p1', B, kernel_id=B, instead=(('volume', B),))
    assert api.act('rebuild', {'imageRef': A})[0] == 202
    assert api.boots.asked[0][0] == Wanted((A,), instead=(('volume', B),))


def test_a_server_that_nova_does_not_find(api):
    for action in ('rescue', 'unshelve', 'shelve', 'createImage'):
        assert api.act(action)[0] == 202
    assert api.boots.asked == []
    # What the request names is judged all the same: it may be there soon.
    api.boots.says = Answer((Refusal(REVOKED, Named(identifier=A)),))
    assert api.act('rescue', {'rescue_image_ref': A})[0] == 403


def test_nova_does_not_answer(api, caplog):
    api.server = Unknown('Nova does not say.')
    assert api.act('rescue')[0] == 503
    api.server = KeyError('x')
    status, _, said = api.act('unshelve')
    assert api.boots.asked[-1][0] is api.server
    assert (status, said['forbidden']['message'].count('internal-error')) == (
        403, 1)
    assert 'A request cannot be judged' in caplog.text
    assert api.passed == []


@pytest.mark.parametrize('action', ['shelve', 'createImage', 'createBackup'])
def test_images_of_servers(api, action):
    def asked(*rules, **more):
        api.boots.rules = rules
        return api.act(action, {}, **more)[0]
    refuse, allow = DerivedRule(Choice.REFUSE), DerivedRule(Choice.ALLOW)
    inherit = DerivedRule(Choice.INHERIT)
    api.server = Server('p1', A)
    assert asked(refuse) == 403
    assert api.boots.asked[-1][0] is Code.DERIVED_REFUSED
    assert asked(allow) == asked(inherit) == 202
    for project in ('p1', 'atlas'):
        own = DerivedRule(Choice.ALLOW, project=project)
        assert asked(own, refuse) == 202
        # That name may be another project's where it is not ours.
        elsewhere = {'nova.context': context(project_id='p2')}
        assert asked(own, refuse, **elsewhere) == (
            202 if project == 'p1' else 403)
    # Nor is it known then that it is not the server's project's.
    assert asked(DerivedRule(Choice.REFUSE, project='cms'), allow,
                 **{'nova.context': context(project_id='p2')}) == 403
    assert asked(DerivedRule(Choice.ALLOW, role='member'), refuse) == 202
    assert asked(DerivedRule(Choice.ALLOW, role='other'), refuse) == 403
    api.server = Server('p1', root=Root(A))
    assert asked(refuse) == 202


def test_a_version_that_there_is_not(api):
    api.boots.says = Answer((Refusal(REVOKED),))
    for version in ('compute 9.9', 'compute x', 'compute'):
        assert api.ask(HTTP_OPENSTACK_API_VERSION=version)[0] == 403


@pytest.fixture
def factory(monkeypatch):
    of_nova = cfg.ConfigOpts()
    of_nova([], default_config_files=[], default_config_dirs=[])
    monkeypatch.setattr(conf, 'CONF', of_nova)
    boot_filter._boots.cache_clear()
    yield boot_filter.filter_factory
    boot_filter._boots.cache_clear()


def test_both_pipelines_share_what_is_kept(site, factory):
    site.write_config(policy_file=str(site.folder / 'policy.yaml'))
    (site.folder / 'policy.yaml').write_text('endorsers: []\n')
    first, second = (factory({})(None)._boots for _ in range(2))
    assert first is second


@pytest.mark.parametrize('policy, settings, words', [
    ('volumes: perhaps\n', {}, 'policy.yaml:1: '),
    ('[', {}, 'policy.yaml'), (None, {}, 'policy.yaml'),
    ('endorsers: []\n', {'on_unknown': 'perhaps'}, 'on_unknown'),
    ('endorsers: []\n', {'boot_cache': 'x'}, 'boot_cache'),
    ('endorsers: []\n', None, 'service_credentials')])
def test_it_does_not_start(site, factory, policy, settings, words):
    path = site.folder / 'policy.yaml'
    if settings is None:  # and no account
        site.config.write_text(f'[hepix_vm]\npolicy_file = {path}\n')
    else:
        site.write_config(policy_file=str(path), **settings)
    if policy is not None:
        path.write_text(policy)
    with pytest.raises(ConfigError, match=words):
        factory({})


def test_nothing_secret_is_logged(api, caplog):
    caplog.set_level(logging.DEBUG)
    api.boots.says = Answer((Refusal(REVOKED),))
    api.ask(json.dumps({'server': {
        'imageRef': A, 'adminPass': 'hunter2'}}).encode())
    assert 'hunter2' not in caplog.text
