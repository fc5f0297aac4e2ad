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

"""Between the acts: a list of images is published, and followed."""

import pathlib
import subprocess

from tests.testbed.glance import program
from tests.testbed.publishing import declared
from tests.testbed.publishing import LIST
from tests.testbed.publishing import Publisher
from tests.testbed.site import ALICE
from tests.testbed.site import CA
from tools.demo.cloud import Cloud
from tools.demo.cloud import Disks
from tools.demo.report import print_lines
from tools.demo.report import say
from tools.demo.report import wrapped

_PATH = '/demo.qcow2'
_LIMIT = 120  # seconds for a command
_RUNS = (
    (('--dry-run', '-c', 'Action', '-c', 'Image', '-c', 'In', '-c', 'Why'),
     '| bring '),
    ((), 'total: 1 image came in'))


def show(cloud: Cloud, disks: Disks, folder: pathlib.Path) -> bool:
    """Show a list that is published, subscribed and followed.

    :returns: whether all is right
    """
    say('publishing a list of that image, subscribing to it, and following '
        'it: the plan, and a run')
    data = disks.qcow2.path.read_bytes()
    cloud.web.contents[_PATH] = data
    cloud.site.write_account(cloud.glance.url)
    publisher = Publisher(cloud.site, folder / 'publisher')
    publisher.write(declared(
        data, uri=cloud.web.url(_PATH), format='QCOW2', title='Demo'))
    shown = _ran(publisher.command(*publisher.signer, '--yes'), publisher)
    right = 'Published version 1' in shown
    cloud.site.write_subscriptions([{
        'url': f'file://{publisher.output}', 'uuid': LIST,
        'share': 'public', 'endorsers': [{'dn': ALICE, 'ca': CA}]}])
    for arguments, expected in _RUNS:
        shown = _ran([program('hepix-vm-sync'), *arguments], publisher)
        right = right and expected in shown
    cloud.site.write_subscriptions([])
    print_lines([''] if right else [
        '', 'WRONG: the list is not followed as it should be.'])
    return right


def _ran(command: list[str], publisher: Publisher) -> str:
    """Run a command, print what it says, and return it."""
    done = subprocess.run(
        command, env=publisher.environment, text=True, timeout=_LIMIT,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT)
    _, *arguments = command
    print_lines(['', *wrapped(f'$ hepix-vm-sync {" ".join(arguments)}',
                              hanging='    '), *(
        text for line in done.stdout.splitlines()
        for text in wrapped(line, hanging='  ') or [''])])
    return done.stdout if done.returncode == 0 else ''
