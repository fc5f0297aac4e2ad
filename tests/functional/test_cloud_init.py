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

"""cloud-init reads our drives as it reads those of genisoimage."""

import functools
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest

from tests.functional.test_vendordata import targets
from tests.functional.test_vendordata import World
from tests.functional.test_vendordata import world  # noqa: F401 a fixture
from tests.testbed import cache
from tests.testbed.contexts import ARGUMENTS
from tests.testbed.glance import program
from tests.testbed import images
from tests.testbed.vendordata import Vendordata

READER = (pathlib.Path(__file__).parents[1] / 'testbed' / 'server'
          / 'cloud_init.py')


@functools.cache
def cloud_init() -> str:
    """Where cloud-init is unpacked; done now if it is not."""
    known = os.environ.get('HEPIX_VM_CLOUD_INIT_DIR')
    if known:
        return known
    images.run('bash', '-euc', '. "$1" && setup_cloud_init', 'bash',
               str(cache.ROOT / 'tools' / 'lib.sh'), limit=300)
    return str(cache.directory() / 'cloud-init')


def read(drive: pathlib.Path) -> dict[str, Any]:
    """Return what cloud-init reads from a drive."""
    folder = drive.with_suffix('.files')
    folder.mkdir()
    subprocess.run(['bsdtar', '-xf', drive, '-C', folder], check=True)
    done = subprocess.run(
        [sys.executable, READER, cloud_init(), folder,
         drive.with_suffix('.cloud')],
        capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope='module')
def drives(world: World) -> list[dict[str, Any]]:  # noqa: F811
    """What is read from a drive of genisoimage, and from one of ours."""
    folder = world.folder / 'cloud-init'
    folder.mkdir()
    with Vendordata(world.folder / 'service', world.site.config) as service:
        answers = world.nova.ask(
            'drive', targets(service.url), world.server(), True, folder)
    assert isinstance(answers, list), world.nova.log.read_text()
    theirs = folder / 'genisoimage.iso'
    subprocess.run(['genisoimage', '-o', theirs, *ARGUMENTS,
                    folder / 'tree'], check=True)
    ours = folder / 'ours.iso'
    # The one that Nova had made has another random seed in it.
    subprocess.run(
        [program('hepix-vm-mkisofs'), '-o', ours, *ARGUMENTS,
         folder / 'tree'], check=True,
        env={**os.environ, 'HEPIX_VM_CONFIG': str(world.site.config),
             'HEPIX_VM_CONTEXT_CACHE': str(folder / 'context.json')})
    assert not (folder / 'tree' / 'prolog.sh').exists()
    return [read(theirs), read(ours)]


def test_the_drives_are_the_same_to_it(drives: list[dict[str, Any]]) -> None:
    theirs, ours = drives
    assert set(ours['read']) >= {
        'metadata', 'userdata', 'vendordata', 'vendordata2', 'networkdata',
        'ec2-metadata', 'files'}
    assert ours['user data'] == '#cloud-config\npassword: letmein\n'
    assert '/etc/motd' in ours['read']['files']
    assert ours == theirs


def test_it_has_prolog_and_epilog(world: World,  # noqa: F811
                                  drives: list[dict[str, Any]]) -> None:
    prolog, epilog = drives[1]['parts']
    assert prolog['type'] == 'text/cloud-boothook'
    assert epilog['type'] == 'text/x-shellscript'
    # cloud-init makes instance a link to instances/i-1.
    assert drives[1]['written'] == [
        'instance/scripts/vendor/hepix-vm-epilog',
        'instances/i-1/boothooks/hepix-vm-prolog']
    cloud = world.folder / 'cloud-init' / 'ours.cloud'
    said = [subprocess.run([cloud / path], capture_output=True, text=True,
                           check=True, timeout=30).stdout
            for path in drives[1]['written']]
    assert said[0].startswith('for vo.example.org, ')
    assert said[1] == 'for all at squid.example.org\n'
