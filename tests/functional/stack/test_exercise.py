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

"""The acceptance run of the plugin of DevStack, on a whole cloud.

What it says of DevStack it reads from the real functions of the checkout
that DEVSTACK_DIR names, and from a stand-in for them where it names none.
"""

from collections.abc import Mapping
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
from typing import NamedTuple

import pytest

from tests.testbed import cache
from tests.testbed.client import wait
from tests.testbed.daemon import clean_environment
from tests.testbed import guest
from tests.testbed.site import entry
from tests.testbed.site import Site
from tests.testbed.stack import Stack
from tests.testbed.user import User
from tests.testbed.web import WebServer

SCRIPT = cache.ROOT / 'devstack' / 'exercise.sh'
_BASH = shutil.which('bash') or ''
_LIMIT = 600  # seconds

# What a run says of a cloud, with servers, that keeps all promises.
STEPS = [
    'an upload that nobody endorsed',
    'the same, staged for an import',
    'nothing of it is in use',
    'an import that nobody endorsed',
    'nothing of it is in use either',
    'an endorsed upload (204)',
    'openstack image endorsement create --upload',
    'a server of the endorsed image',
    'its prolog',
    'its epilog',
    'its console has its name',
    'its console has the VO',
    'openstack server context show',
    'a snapshot (refuse)',
    'openstack image endorsement revoke',
    'the image is out of use',
    'the same bytes once more',
    'another server of the image',
    'openstack server endorsement list',
    'a server of an image whose endorsement ended',
    'the image hepix-vm-listed of a list']

# Stands in for DevStack's openrc, and for the functions that our settings
# call.
STAND_IN = """\
ENABLED_SERVICES= DISABLED_SERVICES= DATA_DIR=/nonexistent
define_plugin() { :; }
disable_service() { DISABLED_SERVICES+=",$*,"; }
enable_service() {
    local each
    for each in "$@"; do
        [[ $DISABLED_SERVICES == *",$each,"* ]] || ENABLED_SERVICES+=",$each,"
    done
}
is_service_enabled() { [[ $ENABLED_SERVICES == *",$1,"* ]]; }
trueorfalse() { [[ -z ${!2-} ]] && echo "$1" || echo "${!2}"; }
source "$TOP_DIR/.localrc.auto"
export OS_USERNAME=demo OS_PASSWORD=secret OS_PROJECT_NAME=demo
export OS_AUTH_URL=http://127.0.0.1:1 OS_AUTH_TYPE=password
"""

# An openstack that says that it revoked an image, and did not.
LIAR = """\
#!/bin/bash
[[ $* != *' endorsement revoke '* ]] || {
    echo '[{"Done": "deactivated", "State": "revoked"}]'
    exit 0
}
exec "$REAL_OPENSTACK" "$@"
"""


class Said(NamedTuple):
    """What a run said."""

    status: int
    output: str

    def steps(self, verdict: str) -> list[str]:
        """Return the steps of which it said ``ok``, ``FAILED`` or so."""
        return re.findall(rf'(?m)^{verdict} +(.*?): ', self.output)


class Exercise:
    """Runs exercise.sh.

    :param folder: for its temporary files
    :param environment: of its cloud
    """

    def __init__(self, folder: pathlib.Path,
                 environment: Mapping[str, str] = {}) -> None:
        self.tmp = folder / 'tmp'
        self.tmp.mkdir(parents=True)
        programs = str(pathlib.Path(sys.executable).parent)
        self._environment = {
            **clean_environment(), 'TMPDIR': str(self.tmp), 'TOP_DIR': '',
            'PATH': os.pathsep.join((programs, os.environ['PATH'])),
            'REAL_OPENSTACK': str(pathlib.Path(programs) / 'openstack'),
            **environment}

    def start(self, *arguments: str,
              **changes: str) -> subprocess.Popen[str]:
        """Start it; what it writes is one stream."""
        return subprocess.Popen(
            [_BASH, str(SCRIPT), *arguments], text=True, cwd=self.tmp,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env={**self._environment, **changes})

    def end(self, run: subprocess.Popen[str]) -> Said:
        """Wait for the end of a run, which leaves no files."""
        output = run.communicate(timeout=_LIMIT)[0]
        assert [*self.tmp.iterdir()] == []
        return Said(run.returncode, output)

    def __call__(self, *arguments: str, **changes: str) -> Said:
        return self.end(self.start(*arguments, **changes))


def devstack(folder: pathlib.Path, *localrc: str) -> pathlib.Path:
    """Make a folder of DevStack with these lines of local.conf."""
    folder.mkdir()
    if checkout := os.environ.get('DEVSTACK_DIR'):
        for each in pathlib.Path(checkout).iterdir():
            if not each.name.startswith('.'):
                (folder / each.name).symlink_to(each)
    else:
        (folder / 'openrc').write_text(STAND_IN)
    (folder / '.localrc.auto').write_text(''.join(
        f'{line}\n' for line in localrc))
    return folder


def of(stack: Stack, user: str) -> dict[str, str]:
    """Return what an environment has of a cloud that is no DevStack."""
    keys = stack.site.folder / 'keys'
    return {
        **stack.environment, 'HEPIX_VM_CLOUD': user,
        'HEPIX_VM_ADMIN_CLOUD': 'admin', 'HEPIX_VM_NETWORK': 'none',
        'HEPIX_VM_ENDORSER_CERTIFICATE': str(keys / 'alice.pem'),
        'HEPIX_VM_ENDORSER_KEY': str(keys / 'alice.key')}


def left(user: User) -> list[str]:
    """Return what runs left there."""
    return [each.name for each in (*user.sdk.image.images(),
                                   *user.sdk.compute.servers())
            if each.name.startswith('hepix-vm-exercise-')]


@pytest.fixture(scope='module')
def carol(stack: Stack) -> User:
    """A plain user of the project lhcb."""
    return User(stack, 'carol')


def put_samples(stack: Stack, alice: User, sample: bytes) -> None:
    """Bring in what the plugin does: an endorsed image, and a listed one."""
    glance, site = alice.glance, stack.site
    listed = os.urandom(5000)
    site.accept(Site.image_list(entry(listed)))
    for image, data in (
            (glance.create(name='hepix-vm-sample',
                           hepix_endorsement=site.endorse(sample)), sample),
            (glance.create(name='hepix-vm-listed'), listed)):
        answer = glance.put(image, data)
        assert answer.status_code == 204, answer.text


def test_what_is_promised_is_seen_and_what_is_not_kept_as_well(
        stack: Stack, alice: User, bob: User, carol: User, web: WebServer,
        tmp_path: pathlib.Path) -> None:
    """On one cloud, at the same time: it takes a minute."""
    sample = guest.disk(tmp_path / 'guest.raw').read_bytes()
    put_samples(stack, alice, sample)
    web.contents['/unendorsed'] = os.urandom(5000)
    url = web.url('/unendorsed')
    ca = tmp_path / 'ca'
    ca.mkdir()
    for name in ('pem', 'key'):
        shutil.copy(stack.site.folder / 'keys' / f'alice.{name}',
                    ca / f'endorser.{name}')
    liar = tmp_path / 'openstack'
    liar.write_text(LIAR)
    liar.chmod(0o755)
    stack.site.write_policy(enforcement=[
        {'project': 'cms', 'mode': 'permissive'}])

    # As on DevStack, but for what is not there by that name.
    good = Exercise(tmp_path / 'good', {
        **stack.environment, 'HEPIX_VM_CLOUD': 'alice',
        'HEPIX_VM_ADMIN_CLOUD': 'admin', 'HEPIX_VM_NETWORK': 'none',
        'HEPIX_VM_DOWNLOAD_URL': url, 'TOP_DIR': str(devstack(
            tmp_path / 'devstack', f'HEPIX_VM_CA_DIR={ca}',
            f'HEPIX_VM_CONF_DIR={stack.site.folder}'))})
    # A site that says the opposite of what is expected, and an openstack
    # that does not do what it says.
    bad = Exercise(tmp_path / 'bad', {
        **of(stack, 'carol'), 'HEPIX_VM_VO': 'other.example.org',
        'HEPIX_VM_DERIVED_IMAGES': 'inherit',
        'HEPIX_VM_IMAGE': str(tmp_path / 'guest.raw'),
        'PATH': f'{tmp_path}:{os.environ["PATH"]}'})
    # One whose gate lets all in.
    ungated = Exercise(tmp_path / 'ungated', {
        **of(stack, 'bob'), 'HEPIX_VM_DOWNLOAD_URL': url,
        'HEPIX_VM_LISTED_IMAGE': 'missing', 'HEPIX_VM_LIMIT': '10'})
    runs = [(each, each.start(*arguments)) for each, *arguments in (
        (good,), (bad,), (ungated, '--without', 'servers'))]
    as_it_must, other, open_to_all = (each.end(run) for each, run in runs)

    assert as_it_must.status == 0, as_it_must.output
    assert as_it_must.steps('ok') == STEPS
    assert as_it_must.output.endswith(
        f'\n{len(STEPS)} steps are as they must be, 0 are not.\n')
    assert other.status == 1, other.output
    assert other.steps('FAILED') == [
        'its console has the VO', 'a snapshot (inherit)',
        'the image is out of use', 'the same bytes once more',
        'another server of the image', 'openstack server endorsement list']
    assert open_to_all.status == 1, open_to_all.output
    # Whom the site believes, and whom it does not, it knows nevertheless.
    assert open_to_all.steps('ok') == [
        'an endorsed upload (204)',
        'openstack image endorsement create --upload',
        'openstack image endorsement revoke', 'the image is out of use']
    assert [left(user) for user in (alice, bob, carol)] == [[]] * 3


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_what_is_interrupted_leaves_nothing(
        stack: Stack, alice: User, tmp_path: pathlib.Path,
        number: signal.Signals) -> None:
    exercise = Exercise(tmp_path, of(stack, 'alice'))
    run = exercise.start('--without', 'servers')
    wait(lambda: left(alice), bool)
    run.send_signal(number)
    said = exercise.end(run)
    assert said.status == 128 + number, said.output
    assert 'steps are' not in said.output
    assert left(alice) == []


def test_a_cloud_that_does_not_answer_is_no_failure_of_the_gate(
        stack: Stack, tmp_path: pathlib.Path) -> None:
    said = Exercise(tmp_path, of(stack, 'nobody'))()
    assert said.status == 2
    assert 'This run is not possible: ' in said.output
    assert 'nobody' in said.output


@pytest.mark.parametrize(('changes', 'words'), [
    ({'HEPIX_VM_CLOUD': 'x'},
     "HEPIX_VM_ENDORSER_CERTIFICATE, '', cannot be read by "),
    ({'HEPIX_VM_CLOUD': 'x', 'HEPIX_VM_ENDORSER_CERTIFICATE': '/bin/sh',
      'HEPIX_VM_ENDORSER_KEY': '/nonexistent'},
     "HEPIX_VM_ENDORSER_KEY, '/nonexistent', cannot be read by "),
    ({'TOP_DIR': '/nonexistent'}, 'there is no DevStack in /nonexistent.'),
    ({'TMPDIR': '/nonexistent'}, 'no temporary folder can be made.')],
    ids=str)
def test_what_is_missing_is_said(
        tmp_path: pathlib.Path, changes: dict[str, str], words: str) -> None:
    said = Exercise(tmp_path)(**changes)
    assert said.status == 2
    assert f'This run is not possible: {words}' in said.output


def test_a_program_that_is_missing_is_said(tmp_path: pathlib.Path) -> None:
    for name in ('dirname', 'realpath'):
        (tmp_path / name).symlink_to(shutil.which(name) or '')
    said = Exercise(tmp_path)(PATH=str(tmp_path))
    assert said.status == 2
    assert said.output == ('This run is not possible: the program curl is'
                           ' not in PATH: install it.\n')


@pytest.mark.parametrize(('line', 'words'), [
    ('HEPIX_VM_ENFORCEMENT=permissive',
     'HEPIX_VM_ENFORCEMENT is permissive, so that nothing is refused.'),
    ('disable_service hepix-vm',
     'the service hepix-vm is not enabled in local.conf.'),
    ('HEPIX_VM_CA_DIR=/nonexistent',
     "HEPIX_VM_ENDORSER_CERTIFICATE, '/nonexistent/endorser.pem', cannot be "
     'read by '),
    ('exit 1', "DevStack's settings cannot be read in ")])
def test_devstack_is_asked(tmp_path: pathlib.Path, line: str,
                           words: str) -> None:
    said = Exercise(tmp_path)(
        TOP_DIR=str(devstack(tmp_path / 'devstack', line)))
    assert said.status == 2
    assert f'This run is not possible: {words}' in said.output


@pytest.mark.parametrize(('arguments', 'status', 'words'), [
    (('--help',), 0, 'usage: devstack/exercise.sh'),
    (('--boot',), 2, '--boot is no argument that is known. See --help.'),
    (('--without',), 2, "and not ''."),
    (('--without', 'glance'), 2, "and not 'glance'.")], ids=str)
def test_usage(tmp_path: pathlib.Path, arguments: tuple[str, ...],
               status: int, words: str) -> None:
    said = Exercise(tmp_path)(*arguments)
    assert said.status == status
    assert words in said.output
