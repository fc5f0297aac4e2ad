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

"""What goes wrong in any command is one line that says what to do."""

import logging

import pytest

from hepix_vm.osc import cloud
from tests.testbed.openstack import OpenStack
from tests.testbed.publishing import declared
from tests.testbed.publishing import Publisher
from tests.testbed.site import ALICE
from tests.testbed.site import CA
from tests.testbed.site import Site
from tests.unit.osc import test_commands

UUID = '8d1c6f6e-6a0a-4b7c-9d67-0f6f5d9d7a11'
DETAILS = ('--title T --distro Debian --distro-version 13 --architecture '
           'x86_64 --hypervisor kvm --image-version 1 --disk-format raw '
           '--expires +90d').split()
# What is typed after each; {site} is the folder of a site, and of a list.
ARGUMENTS = {
    'image catalog list': [], 'image catalog publish': [
        '--yes', '--output', '{site}/list', '{site}/alice/publish.yaml'],
    'image catalog show': [UUID],
    'image catalog sync': ['--no-fetch'],
    'image catalog verify': ['{site}/list.smime'],
    'image endorsement audit': ['--all-projects'],
    'image endorsement create': [
        *DETAILS, '{site}/hepix-vm.conf', '--output', '{site}/new'],
    'image endorsement list': [],
    'image endorsement renew': ['debian', '--expires', '+90d'],
    'image endorsement revoke': ['debian', '--reason', 'R'],
    'image endorsement set': ['debian', '--block', '--reason', 'R'],
    'image endorsement show': ['debian'],
    'image endorsement verify': ['debian'],
    'image endorser list': [],
    'server context show': ['--project', 'atlas', '--image', 'debian'],
    'server endorsement list': []}
# These ask nobody, and have what they need.
_OF_FILES = {'image catalog list', 'image catalog show',
             'image catalog verify', 'image endorser list',
             'image endorsement create', 'image catalog publish'}


@pytest.fixture
def site(site, tmp_path, monkeypatch):
    """A site with all that the commands name, and nobody's account."""
    monkeypatch.setattr(cloud, '_RETRIES', 0)
    for name in ('OS_CLOUD', 'OS_AUTH_URL', 'OS_CLIENT_CONFIG_FILE'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('HOME', str(tmp_path))
    globus = tmp_path / '.globus'
    globus.mkdir()
    certificate, key = site.alice.write(globus, 'user')
    certificate.rename(globus / 'usercert.pem')
    key.rename(globus / 'userkey.pem')
    image_list = Site.image_list(identifier=UUID)
    site.accept(image_list)
    site.write_subscriptions([{
        'uuid': UUID, 'endorsers': [{'dn': ALICE, 'ca': CA}],
        'url': 'https://lists.example.org/list', 'share': 'public'}])
    (site.folder / 'list.smime').write_bytes(
        site.sign(image_list, site.alice))
    Publisher(site, site.folder / 'alice').write(declared(b'data'))
    (site.folder / 'context.yaml').write_text('{}')
    site.write_config(context_file=str(site.folder / 'context.yaml'))
    return site


def failed(openstack, site, name):
    """Return whether a command failed, which takes a line."""
    ran = openstack(name, *(each.format(site=site.folder)
                            for each in ARGUMENTS[name]))
    said = ran.out + ran.err
    assert 'Traceback' not in said and '  File "' not in said
    if not ran.status:
        return False
    assert (ran.status, ran.out.strip()) == (1, '')
    assert len(ran.err.splitlines()) == 1, ran.err
    return True


def test_all_commands_are_tried():
    assert set(ARGUMENTS) == set(test_commands.NAMES)


@pytest.mark.parametrize('name', ARGUMENTS)
def test_glance_is_down(site, name):
    openstack = OpenStack.at('http://127.0.0.1:1', site)
    assert failed(openstack, site, name) is (name not in _OF_FILES)


@pytest.mark.parametrize('name', ARGUMENTS)
def test_nobody_is_logged_in(site, name):
    openstack = OpenStack(site)
    assert failed(openstack, site, name) is (name not in _OF_FILES)


@pytest.mark.parametrize('name', ARGUMENTS)
def test_the_settings_are_broken(site, name):
    site.config.write_text('[hepix_vm]\nnothing = 1\n')
    openstack = OpenStack.at('http://127.0.0.1:1', site)
    assert failed(openstack, site, name)


@pytest.mark.parametrize('name', ARGUMENTS)
def test_what_nobody_foresaw(site, name, monkeypatch):
    """Not even then a stack is shown, but with --debug."""
    def broken(*unused, **more):
        raise KeyError('something\nelse')

    monkeypatch.setattr(
        type(test_commands.command(name)), 'take_action', broken)
    ran = OpenStack.at('http://127.0.0.1:1', site)(name, *(
        each.format(site=site.folder) for each in ARGUMENTS[name]))
    assert (ran.status, ran.out, ran.err.count('\n')) == (1, '', 1)
    assert ran.err.endswith('(--debug shows where)\n')


@pytest.fixture(autouse=True)
def quiet():
    """Give the loggers back as they were."""
    log = logging.getLogger('hepix_vm')
    before = log.handlers[:], log.propagate
    yield
    assert (log.handlers[:], log.propagate) == before
