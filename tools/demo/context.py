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

"""The second act: a server is told about its site."""

import pathlib
import re
import subprocess

from tests.testbed.contexts import ContextSite
from tests.testbed.drives import NovaDrives
from tests.testbed.glance import program
from tests.testbed import guest
from tools.demo.report import print_lines
from tools.demo.report import say
from tools.demo.report import wrapped

# What a user may call a server.
_NAME = 'my "server" $(reboot)'

_YAML = """\
variables: {syslog_server: log.example.org}
rules:
  - match: {}
    prolog: [10-log.sh]
    epilog: [20-network.sh]
"""
_SCRIPTS = {
    '10-log.sh': """\
#!/bin/sh
echo "I am '$HEPIX_SERVER_NAME' and shall log to $HEPIX_SITE_SYSLOG_SERVER"
echo "addresses: $(ip -o -4 addr | grep -v ' lo ' || echo none yet)"
""",
    '20-network.sh': """\
#!/bin/sh
echo "addresses: $(ip -o -4 addr | grep -v ' lo ' | tr -s ' ')"
""",
}
# In this order, on the console.
_EXPECTED = (
    f"I am '{_NAME}' and shall log to log.example.org",
    'addresses: none yet', 'prolog ended with status 0',
    'addresses: 2: eth0', 'epilog ended with status 0')


def show(folder: pathlib.Path) -> bool:
    """Show a drive and the boot of a machine that has it.

    :returns: whether all is right
    """
    say('second act: a drive for a server, made by Nova\'s own code with '
        'hepix-vm-mkisofs as its mkisofs_cmd')
    drive = folder / 'disk.config'
    site = ContextSite(folder / 'context')
    site.write(_YAML, _SCRIPTS)
    with NovaDrives(
            folder / 'nova', site.environment,
            {'DEFAULT': {'mkisofs_cmd': program('hepix-vm-mkisofs')}},
            ) as nova:
        failed = nova.make('libvirt', drive, name=_NAME)
    if failed:
        print_lines(['', f'WRONG: {failed["text"]}'])
        return False
    print_lines(['', 'The site\'s context.yaml:', '',
                 *(f'    {line}' for line in _YAML.splitlines()),
                 '', 'What is on the drive beside Nova\'s own files:', '',
                 *(f'    {path}' for path in _ours(drive)), ''])
    say('booting a machine with that drive (busybox with guest/ installed, '
        'and a network card; QEMU without KVM, some seconds)')
    console = guest.boot_busybox([drive])
    lines = [line for line in console.splitlines()
             if line.startswith('hepix-vm')]
    print_lines(['', *(text for line in lines
                       for text in wrapped(line, hanging='  ')), '',
                 *wrapped('The user\'s name for the server is text to the '
                          'scripts. The prolog has no address yet, the '
                          'epilog has one.'), ''])
    order = '.*'.join(map(re.escape, _EXPECTED))
    if not re.search(order, '\n'.join(lines), re.DOTALL):
        print_lines(['WRONG: the prolog does not run before the network, or '
                     'the epilog after it.'])
        return False
    return True


def _ours(drive: pathlib.Path) -> list[str]:
    listed = subprocess.run(
        ['isoinfo', '-R', '-f', '-i', str(drive)], check=True, text=True,
        capture_output=True, timeout=60).stdout.split()
    return [path for path in listed
            if not path.startswith(('/openstack', '/ec2'))]
