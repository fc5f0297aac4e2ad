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

"""What the tests of the guest share: drives, and reading of consoles."""

from collections.abc import Mapping
import re

from tests.testbed import drive
from tests.testbed import guest

NAME = """Bob's "best" server $(reboot) `reboot` \\ *"""
TOKEN = 'token-of-the-host-81c4'
PAGE = '/token'
ODD_NAME = """a file's "odd" name"""

# The state of the network as a part sees it. Without IPv4 address there is
# nothing that one could reach.
_NETWORK = """\
echo "link $(cat /sys/class/net/eth0/operstate 2> /dev/null || echo none)"
echo "addresses $(ip -o -4 addr show up | grep -vc ' lo ')"
"""

PROLOG = f"""\
#!/bin/sh
echo "prolog part $1 of <$HEPIX_SERVER_NAME>"
{_NETWORK}"""


def epilog(port: int) -> str:
    """A part that talks to a web server on the host.

    :param port: of the server on the host's 127.0.0.1
    """
    return f"""\
#!/bin/sh
echo "epilog part $1 of <$HEPIX_SERVER_NAME>"
{_NETWORK}echo "host says $(busybox wget -q -O - \\
    http://{guest.HOST}:{port}{PAGE})"
"""


def big() -> str:
    """A part of 5 MB, of which the last line is run as well."""
    line = ': 0123456789012345678901234567890123456789012345678901234567\n'
    return f'#!/bin/sh\n{line * (5_000_000 // len(line) + 1)}echo "big end"\n'


def files(port: int) -> dict[str, tuple[bytes, int]]:
    """A drive that does all that a good one may do.

    :param port: of a web server on the host that knows :data:`PAGE`
    """
    return {
        **drive.contextual(
            {'10-network.sh': PROLOG,
             '20-second.sh': '#!/bin/sh\necho "second $1"\n'},
            {'10-host.sh': epilog(port), '20-big.sh': big()},
            {'HEPIX_SERVER_NAME': NAME}),
        f'context/files/{ODD_NAME}': (b'odd but here\n', 0o644),
        'context/hostkey.pem': (b'secret\n', 0o400),
        'openstack/latest/meta_data.json': (b'{}', 0o644)}


STUBBORN = """\
#!/bin/sh
[ "$1" = start ] || { echo "stubborn $1"; exit; }
trap 'echo "does not care"' TERM
sh -c 'trap "" TERM; while :; do sleep 1000; done' &
while :; do sleep 1; done
"""
FAILS = '#!/bin/sh\n[ "$1" = stop ] || { echo "fails"; exit 7; }\n'
# It keeps the output of the script open, as careless daemons do.
DAEMON = """\
#!/bin/sh
[ "$1" = start ] || exit 0
(while [ ! -e /tmp/go ]; do sleep 0.1; done; echo "daemon lives") &
"""
LEFT = """\
left=0
for each in /proc/[0-9]*/cmdline; do
    ! grep -q 'sleep.1000' "$each" 2> /dev/null || left=$((left + 1))
done
echo "left $left"
touch /tmp/go
sleep 1
"""

# What amiconfig of CernVM does: the first file system whose root has
# prolog.sh is copied, and its script is sourced in the copy.
AMICONFIG = """\
for device in /dev/sr0 /dev/sr1; do
    mkdir -p /tmp/disk
    mount -t iso9660 -o ro "$device" /tmp/disk 2> /dev/null || continue
    if [ -f /tmp/disk/prolog.sh ]; then
        work=$(mktemp -d /tmp/amiconfig.XXXXXX)
        cp -a /tmp/disk/. "$work/"
        chmod 700 "$work"
    fi
    umount /tmp/disk
done
cd "$work"
set > /tmp/before
. ./prolog.sh start
echo "amiconfig: start ended with status $?"
. ./prolog.sh stop
echo "amiconfig: stop ended with status $?"
set > /tmp/after
leaked=$(diff /tmp/before /tmp/after | grep '^[<>+-] *[A-Za-z]' \\
    | grep -Ev 'LINENO|PIPESTATUS|_=|BASH_|FUNCNAME|OPTIND|RANDOM|SECONDS')
echo "amiconfig: leaked <$leaked> in $([ "$PWD" = "$work" ] && echo same)"
"""


def at_end(script: str, interpreter: str = '/bin/sh',
           ) -> dict[str, tuple[bytes, int]]:
    """Files for a guest that runs a script when all is started."""
    text = f'#!{interpreter}\n{script}'
    return {'usr/local/sbin/guest-check': (text.encode(), 0o755)}


def settings(**values: object) -> dict[str, tuple[bytes, int]]:
    """Files for a guest with these settings of the runner."""
    text = ''.join(f'{name}={value}\n' for name, value in values.items())
    return {'etc/hepix-vm-guest.conf': (text.encode(), 0o644)}


def lines(console: str) -> list[str]:
    """What was said, without what the kernel or systemd put before it."""
    return [re.sub(r'^\[[ .0-9]+\] (hepix-vm|guest)\[\d+\]: ', '', line)
            for line in console.splitlines()]


def assert_order(console: str, *wanted: str) -> None:
    """The lines are there in this order, with others between them."""
    said = iter(lines(console))
    for line in wanted:
        assert line in said, f'{line!r} missing or too early in\n{console}'


def merged(*parts: Mapping[str, tuple[bytes, int]],
           ) -> dict[str, tuple[bytes, int]]:
    """All files of some mappings."""
    return {name: each for part in parts for name, each in part.items()}
