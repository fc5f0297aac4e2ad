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

"""A libvirtd of our own, whose servers are run by QEMU without KVM."""

import pathlib
import socket
import tempfile

from tests.testbed.daemon import Daemon

# The daemon of a user reads and writes nothing but what is below his own
# folders. To libvirtd we are one, whoever we are: root would get the daemon
# of the machine, which takes /etc/libvirt and a user libvirt-qemu. The shell
# takes leave of its dead, and when it ends, the kernel ends all servers.
# unshare does not heed SIGTERM.
_COMMAND = (
    'setpriv', '--pdeathsig', 'KILL', '--',
    'unshare', '--user', '--map-user=1000', '--map-group=1000', '--pid',
    '--mount-proc', '--fork', '--kill-child', 'sh', '-c', 'libvirtd; exit')
_CONF = """\
auth_unix_rw = "none"
host_uuid_source = "machine-id"
log_outputs = "3:stderr"
"""


class Libvirt(Daemon):
    """The hypervisor of a host.

    :param folder: where its log is
    """

    def __init__(self, folder: pathlib.Path) -> None:
        # Names of sockets have 107 characters at most.
        self._temporary = tempfile.TemporaryDirectory()
        self._home = pathlib.Path(self._temporary.name)
        super().__init__(folder, _COMMAND, {
            'HOME': str(self._home), **{
                f'XDG_{name}_HOME': str(self._home)
                for name in ('CONFIG', 'CACHE', 'DATA')},
            'XDG_RUNTIME_DIR': str(self._home)})
        self._socket = self._home / 'libvirt' / 'libvirt-sock'
        self._socket.parent.mkdir()
        (self._socket.parent / 'libvirtd.conf').write_text(_CONF)
        (self._socket.parent / 'qemu.conf').write_text(
            'stdio_handler = "file"\n')

    @property
    def uri(self) -> str:
        """What ``[libvirt] connection_uri`` is set to."""
        return f'qemu+unix:///session?socket={self._socket}'

    def stop(self) -> None:
        """Stop it and all servers at once, and remove what it has."""
        self.kill()
        self._temporary.cleanup()

    def answers(self) -> bool:
        """Say whether it takes connections."""
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self._socket)) == 0
