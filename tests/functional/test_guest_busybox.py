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

"""The guest's runner under scripts of SysV init, with busybox only."""

from collections.abc import Iterator
import pathlib
import re
import subprocess
import textwrap

import pytest

from tests.functional import guests
from tests.functional.guests import assert_order
from tests.functional.guests import NAME
from tests.functional.guests import TOKEN
from tests.testbed import drive
from tests.testbed import guest
from tests.testbed.web import WebServer

ROOT = pathlib.Path(__file__).parents[2]
NOTHING = 'hepix-vm: no drive was found, nothing is run'
QUIET = '#!/bin/sh\necho "quiet $1"\n'


@pytest.fixture(scope='module')
def web() -> Iterator[WebServer]:
    with WebServer({guests.PAGE: TOKEN.encode()}) as server:
        yield server


CHECKS = f"""\
cd /run/hepix-vm/context
echo "mode $(stat -c %a . context/variables.sh context/hostkey.pem | xargs)"
echo "odd $(cat "context/files/"{guests.ODD_NAME.replace('"', '?').replace(
    "'", '?').replace(' ', '?')})"
echo "mounted $(grep -c iso9660 /proc/mounts)"
echo "processes $(ps | grep -c '[h]epix-vm-context')"
echo "syslog $(grep -c 'hepix-vm: hepix-vm: prolog ended' /var/log/messages)"
cd /
"""
SYSLOGD = b'#!/bin/sh\nmkdir -p /var/log\nexec syslogd\n'


@pytest.fixture(scope='module')
def good(web: WebServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The console of a guest with a second CD-ROM that is not ours."""
    folder = tmp_path_factory.mktemp('good')
    other = drive.by_hepix_vm(
        folder / 'other.iso', {'setup.sh': (b'echo wrong', 0o755)}, 'Tools')
    ours = drive.by_hepix_vm(folder / 'ours.iso', guests.files(web.port))
    return guest.boot_busybox([other, ours], files=guests.merged(
        guests.at_end(CHECKS + guests.AMICONFIG),
        {'etc/rcS.d/S02syslogd': (SYSLOGD, 0o755)}))


def test_prolog_runs_before_the_network_and_epilog_after(good: str) -> None:
    assert_order(
        good,
        'guest: starts',
        'hepix-vm: the drive /dev/sr1 was copied',
        'hepix-vm: prolog begins',
        f'hepix-vm prolog: prolog part start of <{NAME}>',
        'hepix-vm prolog: link down',
        'hepix-vm prolog: addresses 0',
        'hepix-vm prolog: second start',
        'hepix-vm: prolog ended with status 0',
        'guest: network starts',
        'guest: network is up',
        'hepix-vm: epilog begins',
        f'hepix-vm epilog: epilog part start of <{NAME}>',
        'hepix-vm epilog: link up',
        'hepix-vm epilog: addresses 1',
        f'hepix-vm epilog: host says {TOKEN}',
        'hepix-vm epilog: big end',
        'hepix-vm: epilog ended with status 0')


def test_shutdown_stops_in_reverse_order(good: str) -> None:
    assert_order(
        good,
        'guest: stops',
        'hepix-vm: epilog is stopped',
        'hepix-vm epilog: big end',
        f'hepix-vm epilog: epilog part stop of <{NAME}>',
        f'hepix-vm epilog: host says {TOKEN}',
        'hepix-vm: epilog stop ended with status 0',
        'hepix-vm: prolog is stopped',
        'hepix-vm prolog: second stop',
        f'hepix-vm prolog: prolog part stop of <{NAME}>',
        'hepix-vm: prolog stop ended with status 0',
        'guest: network stops')


def test_copy_is_private_and_whole_and_the_drive_is_free(good: str) -> None:
    assert_order(good, 'mode 700 600 400', 'odd odd but here', 'mounted 0',
                 'processes 0')


def test_syslog_has_it_where_there_is_no_journal(good: str) -> None:
    assert_order(good, 'syslog 1')


def test_amiconfig_can_source_the_driver(good: str) -> None:
    assert_order(good, 'second start',
                 'amiconfig: start ended with status 0',
                 'second stop',
                 'amiconfig: stop ended with status 0',
                 'amiconfig: leaked <> in same', 'guest: stops')


def test_scripts_that_fail_or_hang_do_not_stop_the_boot(
        tmp_path: pathlib.Path) -> None:
    path = drive.by_hepix_vm(tmp_path / 'drive.iso', drive.contextual(
        {'10-stubborn.sh': guests.STUBBORN, '20-never.sh': QUIET},
        {'10-fails.sh': guests.FAILS, '20-daemon.sh': guests.DAEMON,
         '30-on.sh': QUIET}))
    console = guest.boot_busybox([path], files=guests.merged(
        guests.settings(PROLOG_LIMIT=1, EPILOG_LIMIT='"90000"',
                        STOP_LIMIT="'x; reboot'", NONSENSE=1),
        guests.at_end(guests.LEFT)))
    assert_order(
        console,
        'hepix-vm: prolog begins',
        'hepix-vm prolog: does not care',
        'hepix-vm: prolog timed out after 1 s',
        'hepix-vm: prolog ended with status 124',
        'guest: /etc/rcS.d/S10hepix-vm-prolog: status 124',
        'guest: network starts',
        'hepix-vm: epilog begins',
        'hepix-vm epilog: fails',
        'hepix-vm epilog: hepix-vm: epilog 10-fails.sh failed with status 7',
        'hepix-vm epilog: quiet start',
        'hepix-vm: epilog ended with status 7',
        'guest: /etc/rc2.d/S99hepix-vm-epilog: status 7',
        'left 0',
        'hepix-vm epilog: daemon lives',
        'guest: stops',
        'hepix-vm: epilog stop ended with status 0',
        'hepix-vm prolog: stubborn stop',
        'hepix-vm: prolog stop ended with status 0')
    assert 'never' not in console
    for text in ('EPILOG_LIMIT is taken as 86400, the most that it can be',
                 'STOP_LIMIT is no number of seconds: x; reboot',
                 'not understood: NONSENSE=1'):
        assert f'hepix-vm: /etc/hepix-vm-guest.conf: {text}' in console


CLOCK = (b'#!/bin/sh\nread -r up _ < /proc/uptime\necho "up ${up%.*}"\n',
         0o755)
# Around the prolog.
CLOCKS = {'etc/rcS.d/S05clock': CLOCK, 'etc/rcS.d/S10i-clock': CLOCK}


def waited(console: str) -> int:
    """Return how many seconds the prolog took."""
    before, after = (int(line[3:]) for line in console.splitlines()
                     if line.startswith('up '))
    return after - before


def test_without_a_drive_the_boot_goes_on_soon() -> None:
    console = guest.boot_busybox(files=CLOCKS)
    assert_order(console, NOTHING, 'guest: network starts', NOTHING)
    assert 'status' not in console
    assert waited(console) < 9


def test_server_of_openstack_waits_for_its_drive(
        tmp_path: pathlib.Path) -> None:
    """The driver of the CD-ROM comes four seconds late.

    The drive is the one that the guide makes by hand.
    """
    guide = (ROOT / 'doc/source/user/guest.rst').read_text()
    commands, = re.findall(r'Make a drive by hand::\n\n((?:    .*\n)+)', guide)
    subprocess.run(['sh', '-ec', textwrap.dedent(commands)], check=True,
                   cwd=tmp_path, timeout=60)
    late = b'#!/bin/sh\n(sleep 4; echo late; modprobe ata_piix) &\n'
    path = tmp_path / 'drive.iso'
    console = guest.boot_busybox([path], firmware='OpenStack Nova', files={
        'etc/modules': (b'virtio_pci\nvirtio_net\n', 0o644),
        'etc/rcS.d/S01late': (late, 0o755)})
    assert_order(console, 'late', 'hepix-vm: the drive /dev/sr0 was copied',
                 'hepix-vm prolog: prolog start', 'guest: network starts',
                 'hepix-vm epilog: epilog start')


def test_drive_without_scripts_is_no_failure(tmp_path: pathlib.Path) -> None:
    """Nor is it waited for, or another one taken that is not ours."""
    path = drive.by_hepix_vm(
        tmp_path / 'drive.iso', {'user-data': (b'#!/bin/sh\n', 0o755)})
    other = drive.by_hepix_vm(
        tmp_path / 'other.iso', {'epilog.sh': (QUIET.encode(), 0o755)},
        'Tools')
    console = guest.boot_busybox([path, other], firmware='OpenStack Nova',
                                 files=CLOCKS)
    text = 'hepix-vm: the drive /dev/sr0 holds no scripts, nothing is run'
    assert_order(console, text, 'guest: network starts', text)
    assert 'status' not in console
    assert waited(console) < 9


def test_drive_is_found_by_its_content(tmp_path: pathlib.Path) -> None:
    """Of two drives with scripts the one with the right label is taken.

    A script that was not made executable is run as well.
    """
    other = drive.by_hepix_vm(
        tmp_path / 'other.iso', {'prolog.sh': (QUIET.encode(), 0o644)},
        'CONTEXT')
    assert_order(
        guest.boot_busybox([other]),
        'hepix-vm: the drive /dev/sr0 was copied',
        'hepix-vm prolog: quiet start', 'guest: network starts',
        'hepix-vm: the drive has no epilog.sh')
    fat = drive.by_mtools(
        tmp_path / 'fat.vfat',
        {'epilog.sh': (b'#!/bin/sh\necho "fat $1"\n', 0o644)}, 'CONFIG-2')
    assert_order(
        guest.boot_busybox([other, fat]),
        'hepix-vm: the drive /dev/vda was copied',
        'hepix-vm: the drive has no prolog.sh', 'guest: network starts',
        'hepix-vm epilog: fat start', 'hepix-vm: epilog ended with status 0')


def test_damaged_drive_is_not_used(tmp_path: pathlib.Path) -> None:
    path = drive.by_hepix_vm(
        tmp_path / 'drive.iso',
        {'prolog.sh': (QUIET.encode(), 0o755),
         'zz': (b'not read' * 500_000, 0o644)})
    with path.open('r+b') as image:
        image.truncate(2_000_000)
    console = guest.boot_busybox([path], files=guests.at_end(
        'echo "left $(ls -A /run/hepix-vm | xargs)"\n'))
    assert_order(
        console, 'hepix-vm: the drive /dev/sr0 could not be read',
        'guest: /etc/rcS.d/S10hepix-vm-prolog: status 1',
        'guest: network is up', 'left mnt searched')
    assert 'quiet' not in console
