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

"""``openstack server context show``: all that servers get, but no secret."""

import json
from unittest import mock

import pytest

from hepix_vm.context.facts import Image
from hepix_vm.osc import find
from hepix_vm.osc.server_context import facts_of
from hepix_vm.osc.server_context import Show
from hepix_vm.sitecontext import hostcert
from tests.testbed.contexts import ContextSite
from tests.testbed.openstack import OpenStack

PROJECT = '0123456789abcdef' * 2
SECRET = 'c0rrect h0rse\'s "battery"'
KEY = '-----BEGIN KEY-----\nMIIE\n-----END KEY-----\n'
FORMATS = ('json', 'yaml', 'table', 'value', 'shell')


@pytest.fixture
def site(tmp_path, monkeypatch):
    site = ContextSite(tmp_path)
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    return site


@pytest.fixture
def show(site):
    def show(*arguments, shape='json'):
        return OpenStack(site)('server context show -f', shape, *arguments)

    return show


def secret(site, script='#!/bin/sh\necho "$HEPIX_SECRET_TOKEN"\n',
           **files):
    """Have a site with a secret, and a script."""
    site.write(f"""\
variables: {{log: log.example.org, copied: {json.dumps(SECRET)}}}
secrets:
  token: {json.dumps(SECRET)}
  key: {json.dumps(KEY)}
  pin: "7"
rules:
  - match: {{}}
    prolog: [10-log.sh]
    files: [{', '.join(files) or '10-log.sh'}]
""", {'10-log.sh': script, **files})
    site.yaml.chmod(0o640)


def test_what_every_server_gets(show):
    ran = show()
    shown = ran.json
    assert (ran.status, ran.err) == (0, '')
    assert shown['prolog'] == [{
        'name': '10-log.sh', 'size': 44, 'mode': '0755',
        'text': '#!/bin/sh\necho "log to $HEPIX_SITE_LOG: $1"\n'}]
    assert [part['name'] for part in shown['epilog']] == ['20-mon.sh']
    assert (shown['files'], shown['not_asked']) == ([], [])
    assert shown['variables']['HEPIX_SITE_LOG'] == 'log.example.org'
    assert shown['variables']['HEPIX_SERVER_UUID'] == ''
    table = show(shape='table').out
    assert '--- 10-log.sh' in table
    assert 'echo "log to $HEPIX_SITE_LOG: $1"' in table


@pytest.mark.parametrize(('key', 'value'), [
    ('project', PROJECT), ('vo', 'v'), ('availability_zone', 'z'),
    ('host', 'h')])
def test_what_a_described_server_gets(site, show, key, value):
    """No cloud is asked for it."""
    site.write(f'rules: [{{match: {{{key}: {value}}}, prolog: [10-log.sh], '
               f'files: [repositories]}}]', {'10-log.sh': '#!/bin/sh\n'})
    assert show().json['prolog'] == []
    shown = show('--' + key.replace('_', '-'), value).json
    assert [part['name'] for part in shown['prolog']] == ['10-log.sh']
    assert shown['files'] == [{
        'name': 'repositories', 'size': 14, 'mode': '0644',
        'text': 'atlas.cern.ch\n'}]
    assert value in (shown[key] if key != 'project'
                     else shown['project_id'])


@pytest.mark.parametrize('shape', FORMATS)
@pytest.mark.parametrize('script', [
    '#!/bin/sh\necho "$HEPIX_SECRET_TOKEN $HEPIX_SECRET_KEY '
    '$HEPIX_SECRET_PIN"\n',
    f'#!/bin/sh\n# {SECRET}\ncat << E\n{KEY}E\n',
    f'#!/bin/sh\necho "$HEPIX_SECRET_TOKEN"; echo {SECRET}; '
    f'echo "{KEY.strip()}"\n'])
def test_no_secret_is_shown(site, show, shape, script):
    secret(site, script, note=f'See {SECRET}\n')
    ran = show(shape=shape)
    assert ran.status == 0, ran.err
    assert '(hidden)' in ran.out
    said = ran.out + ran.err
    for text in (SECRET, json.dumps(SECRET)[1:-1], 'c0rrect', 'battery',
                 'BEGIN', 'MIIE'):
        assert text not in said


def test_of_secrets_the_names_are_shown(site, show):
    secret(site, '#!/bin/sh\necho "$HEPIX_SECRET_TOKEN '
                 '$HEPIX_SECRET_PIN" 7\n')
    shown = show().json
    assert shown['variables']['HEPIX_SECRET_TOKEN'] == '(hidden)'
    assert shown['variables']['HEPIX_SECRET_PIN'] == '(hidden)'
    assert 'HEPIX_SECRET_KEY' not in shown['variables']
    assert shown['variables']['HEPIX_SITE_COPIED'] == '(hidden)'
    # What is that short stands for itself.
    assert shown['prolog'][0]['text'].endswith(' 7\n')


def test_a_secret_within_another(site, show):
    site.write('secrets: {one: battery, two: battery-staple}\n'
               'rules: [{match: {}, prolog: [10-log.sh]}]', {
                   '10-log.sh': '#!/bin/sh\necho battery-staple battery\n'})
    assert show().json['prolog'][0]['text'] == (
        '#!/bin/sh\necho (hidden) (hidden)\n')


def test_what_only_some_may_read_is_not_shown(site, show):
    secret(site, '#!/bin/sh\necho private\n', note='confidential\n',
           plain='public\n')
    for name in ('10-log.sh', 'note'):
        (site.parts / name).chmod(0o640)
    ran = show()
    assert 'private' not in ran.out and 'confidential' not in ran.out
    assert ran.json['prolog'][0]['text'] == (
        '(hidden: only some may read it on this host)')
    note, plain = ran.json['files']
    assert (note['mode'], note['size']) == ('0600', 13)
    assert plain['text'] == 'public\n'


def test_a_file_that_is_no_text(site, show):
    secret(site, note=b'\xff\xfe')
    assert show().json['files'][0]['text'] == '(not a text)'


@pytest.mark.parametrize('broken', [
    '  token: {', '  BAD: 1', '  token: "a\\0b"', '\t- x'])
def test_errors_tell_no_secret(site, show, broken):
    secret(site)
    text = site.yaml.read_text()
    site.yaml.write_text(text.replace('  pin: "7"', broken))
    ran = show()
    assert (ran.status, ran.out, ran.err.count('\n')) == (1, '', 1)
    assert 'context.yaml' in ran.err
    for value in ('c0rrect', 'MIIE', 'battery'):
        assert value not in ran.err


def test_sources_that_act_are_not_asked(site, show, monkeypatch, tmp_path):
    signer = tmp_path / 'signer'
    signer.write_text('#!/bin/sh\n')
    signer.chmod(0o755)
    site.write_settings(context_sources='directory,template,hostcert')
    site.write(f'hostcert: {{domain: vm.example.org, command: [{signer}], '
               f'timeout: 1}}')
    monkeypatch.setattr(hostcert.HostCert, 'give', None)
    ran = show()
    assert (ran.status, ran.json['not_asked']) == (0, ['hostcert'])
    assert ran.err == (
        'The source hostcert is asked when the drive is made.\n')


def test_a_machine_that_is_no_controller(site, show):
    site.yaml.unlink()
    ran = show()
    assert (ran.status, ran.out, ran.err.count('\n')) == (1, '', 1)
    assert ran.err.startswith(
        f'{site.yaml}: It is not here. What servers are told is written on a '
        f'controller.')


def test_a_server_is_named_or_described(show):
    ran = show('web', '--vo', 'v')
    assert (ran.status, ran.err.count('\n')) == (1, 1)
    assert 'Give SERVER alone, or options alone.' in ran.err


def test_what_nova_says_of_a_server():
    facts = facts_of({
        'id': 'u', 'name': 'web', 'tenant_id': 'p', 'image': {'id': 'i'},
        'OS-EXT-SRV-ATTR:hostname': 'web-1',
        'OS-EXT-SRV-ATTR:host': 'compute1',
        'OS-EXT-SRV-ATTR:launch_index': 0,
        'OS-EXT-AZ:availability_zone': 'nova', 'addresses': {'net': [
            {'addr': '2001:db8::5', 'version': 6, 'OS-EXT-IPS:type': 'fixed',
             'OS-EXT-IPS-MAC:mac_addr': 'fa:16:3e:00:00:01'},
            {'addr': '192.0.2.5', 'version': 4, 'OS-EXT-IPS:type': 'fixed',
             'OS-EXT-IPS-MAC:mac_addr': 'fa:16:3e:00:00:01'},
            {'addr': '198.51.100.5', 'version': 4,
             'OS-EXT-IPS:type': 'floating'}]}}, None)
    assert (facts.uuid, facts.name, facts.hostname, facts.project,
            facts.zone, facts.host, facts.launch_index) == (
        'u', 'web', 'web-1', 'p', 'nova', 'compute1', '0')
    assert facts.image == Image(uuid='i')
    assert facts.fixed_address == '192.0.2.5'
    assert facts.network.macs == ('fa:16:3e:00:00:01',)


def test_a_server_of_a_volume_of_which_little_is_told():
    facts = facts_of({'id': 'u', 'name': 'web', 'tenant_id': 'p',
                      'image': '', 'OS-EXT-SRV-ATTR:host': None},
                     None)
    assert (facts.image, facts.host, facts.zone) == (Image(), '', '')


def test_a_server_of_a_cell_that_does_not_answer(show, monkeypatch):
    """Nova tells little of it since 2.69."""
    monkeypatch.setattr(find, 'server', lambda nova, named: {
        'id': 'u', 'tenant_id': 'p', 'status': 'UNKNOWN'})
    monkeypatch.setattr(Show, 'cloud', mock.Mock())
    ran = show('u')
    assert (ran.status, ran.out, ran.err.count('\n')) == (1, '', 1)
    assert ran.err.startswith('A cell of Nova does not answer')
