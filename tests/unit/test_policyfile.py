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

import dataclasses
import datetime

import pytest

from hepix_vm.errors import ConfigError
from hepix_vm import policyfile
from hepix_vm.trust.settings import Blockable
from hepix_vm.trust.settings import Choice
from hepix_vm.trust.settings import DerivedRule
from hepix_vm.trust.settings import Measure
from hepix_vm.trust.settings import ModeRule
from hepix_vm.trust.settings import RunningServers
from hepix_vm.trust.verdict import Mode

# The sample of the design, whole.
WHOLE = b"""
endorsers:
  - dn: /C=EU/O=Example Grid/OU=Example Site/CN=Alice Endorser
    ca: /C=EU/O=Example Grid/CN=Example Grid CA
    vo: vo.example.org
    projects: [atlas]
    email: alice@example.org
blocked:
  - image: 2B9C0A7E-51d5-4a55-8f6e-3d0f0c1e9b42
    reason: CVE-2026-0001
hypervisors: [KVM, qemu]
derived_images: refuse
volumes: refuse
enforcement:
  - project: atlas
    mode: permissive
legacy: allow-until 2027-03-31
overrides:
  - image: 0f9d6a52-7a0e-4f7d-9b5c-0a4f8f8e2d11
    until: 2027-01-01T00:00:00Z
    reason: replacement under test
    author: ops@example.org
"""
UUID = '0f9d6a52-7a0e-4f7d-9b5c-0a4f8f8e2d11'


def utc(*parts):
    return datetime.datetime(*parts, tzinfo=datetime.UTC)


def test_the_whole_schema_is_read():
    policy = policyfile.parse(WHOLE, 'policy.yaml')
    alice, = policy.endorsers
    assert alice.dn.endswith('CN=Alice Endorser')
    assert (alice.vo, alice.projects) == (
        'vo.example.org', frozenset({'atlas'}))
    block, = policy.blocked
    assert (block.kind, block.value) == (
        Blockable.IMAGE, '2b9c0a7e-51d5-4a55-8f6e-3d0f0c1e9b42')
    assert policy.hypervisors == {'kvm', 'qemu'}
    assert policy.enforcement == (
        ModeRule(Mode.PERMISSIVE, project='atlas'),)
    # The last day that is named is still allowed.
    assert policy.legacy.allow_until == utc(2027, 4, 1)
    override, = policy.overrides
    assert override.until == utc(2027, 1, 1)


def test_an_empty_file_accepts_nobody():
    policy = policyfile.parse(b'# nothing\n', 'policy.yaml')
    assert policy.endorsers == ()
    assert policy.hypervisors == {'kvm', 'qemu'}
    assert policy.altered_images is Choice.REFUSE


def test_modes_by_all_that_is_known():
    policy = policyfile.parse(
        b'enforcement:\n'
        b'- {project: a, domain: d, role: r, visibility: public, '
        b'mode: disabled}\n- {domain: d, mode: permissive}', 'p')
    assert policy.enforcement == (
        ModeRule(Mode.DISABLED, 'a', 'd', 'r', 'public'),
        ModeRule(Mode.PERMISSIVE, domain='d'))


def test_derived_images_by_project_and_role():
    policy = policyfile.parse(
        b'derived_images: {projects: {atlas: inherit}, '
        b'roles: {operator: allow}}', 'p')
    assert policy.derived_images == (
        DerivedRule(Choice.INHERIT, project='atlas'),
        DerivedRule(Choice.ALLOW, role='operator'),
        DerivedRule(Choice.REFUSE))


def test_what_is_done_with_servers():
    def read(text):
        return policyfile.parse(text, 'p').running_servers
    assert read(b'') == RunningServers()
    assert set(dataclasses.astuple(RunningServers())) == {Measure.REPORT}
    assert set(dataclasses.astuple(read(b'running_servers: lock'))) == {
        Measure.LOCK}
    assert read(b'running_servers: {revoked: stop, blocked: lock}') == (
        RunningServers(revoked=Measure.STOP, blocked=Measure.LOCK))


@pytest.mark.parametrize('text, line, what', [
    ('running_servers: delete', 1, 'report, lock, stop'),
    ('running_servers: [stop]', 1, 'mapping'),
    ('running_servers:\n  expired: stop\n  endorsed: stop', 3,
     'endorsed is unknown; known are blocked, expired, refused, revoked, '
     'superseded'),
    ('running_servers:\n  expired: yes', 2, 'report, lock, stop'),
    ('endorsers: []\nendorser: []', 2, 'endorser is unknown'),
    ('endorsers:\n- dn: /CN=a', 2, 'ca is missing'),
    ('endorsers:\n- dn: /CN=a\n  ca: Example CA', 3, 'distinguished name'),
    ('endorsers:\n- dn: /CN=a\n  ca: /CN=b\n  vos: x', 4, 'vos is unknown'),
    ('endorsers: alice', 1, 'list is expected'),
    ('endorsers: [alice]', 1, 'mapping'),
    ('endorsers: []\nendorsers: []', 2, 'stands twice'),
    ('blocked:\n- image: x\n  reason: y', 2, 'UUID'),
    ('blocked:\n- reason: y', 2, 'Exactly one'),
    (f'blocked:\n- image: {UUID}\n  list: {UUID}\n  reason: y', 2,
     'Exactly one'),
    (f'blocked:\n- image: {UUID}', 2, 'reason is missing'),
    ('blocked:\n- sha512: abc\n  reason: y', 2, '128 hexadecimal'),
    ('hypervisors: [3]', 1, 'text is expected'),
    ('altered_images: inherit', 1, 'refuse, allow'),
    ('volumes: perhaps', 1, 'refuse, inherit, allow'),
    ('volumes: [refuse]', 1, 'refuse, inherit, allow'),
    ('enforcement:\n- project: a\n  mode: off', 3, 'enforcing'),
    ('enforcement:\n- mode: disabled', 2, 'needs one of project, domain'),
    ('enforcement:\n- project: a', 2, 'mode is missing'),
    ('enforcement:\n- visibility: open\n  mode: disabled', 2,
     'private, shared, community, public'),
    ('legacy: allow', 1, 'allow-until'),
    ('legacy: allow-until tomorrow', 1, 'date'),
    (f'overrides:\n- image: {UUID}\n  until: 2027-01-01\n  reason: r', 2,
     'author is missing'),
    ('a: [', 2, 'not YAML'),
    ('a: !!python/object:os.system x', 1, 'YAML'),
    ('endorsers: &x [*x]', 1, 'YAML|alias'),
    ('? [a]\n: b', 1, 'key must be a word'),
    ('- a', 1, 'mapping'),
    ('\x00', 1, 'YAML'),
])
def test_what_is_wrong_is_named_with_its_line(text, line, what):
    with pytest.raises(ConfigError, match=what) as caught:
        policyfile.parse(text.encode(), '/etc/hepix-vm/policy.yaml')
    assert str(caught.value).startswith('/etc/hepix-vm/policy.yaml')
    if 'YAML' not in what:
        assert f'policy.yaml:{line}: ' in str(caught.value)
    assert caught.value.remedy
