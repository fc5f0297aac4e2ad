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

"""All of Nova on loopback, with a compute host, and what it takes besides.

Servers run in QEMU, without a network: Neutron has a stand-in, which is the
one thing that is not real.
"""

from collections.abc import Mapping
import contextlib
import os
import pathlib
import sys
from typing import Any
from typing import Self

from tests.testbed.daemon import Daemon
from tests.testbed.database import Databases
from tests.testbed.glance import program
from tests.testbed.hypervisor import Libvirt
from tests.testbed.keystone import Keystone
from tests.testbed.nova import FakeNeutron
from tests.testbed.nova import HOST
from tests.testbed.nova import NovaApi
from tests.testbed.placement import Placement
from tests.testbed.rabbit import RabbitMQ
from tests.testbed import service


class Part(Daemon):
    """A part of Nova that is no web server.

    :param name: of its program
    :param queue: where it listens when it is ready
    :param api: whose folder and settings it has
    :param bus: where that queue is
    :param environment: of the process
    :param folder: of its files; by default it has the program's name
    """

    def __init__(self, name: str, queue: str, api: NovaApi, bus: RabbitMQ,
                 environment: Mapping[str, str], folder: str = '') -> None:
        self._queue = queue
        self._bus = bus
        super().__init__(
            api.folder / (folder or name),
            [*service.IN_LINE, program(name), '--config-file',
             str(api.conf)],
            {'PATH': os.pathsep.join((
                str(pathlib.Path(sys.executable).parent),
                os.environ.get('PATH', os.defpath), '/usr/sbin', '/sbin')),
             **environment})

    def stop(self) -> None:
        """End it; on SIGTERM it takes half a minute."""
        self.kill()

    def answers(self) -> bool:
        """Say whether somebody takes what others ask of it."""
        return self._bus.taken(self._queue)


class FakeHost(Part):
    """Another compute host, which is fake: no guest runs there.

    It has Nova's own fake driver, which remembers servers and does nothing:
    the scheduler may decide for it. A context manager; at the end no server
    may be there.

    :param compute: which runs
    """

    NAME = 'fakehost'

    def __init__(self, compute: 'Compute') -> None:
        super().__init__(
            'nova-compute', f'compute-alt.{self.NAME}', compute.api,
            compute.bus, {}, self.NAME)
        self._compute = compute
        # The host's identity lies beside its settings: they are its own.
        settings = self.folder / 'nova.conf'
        settings.write_text(compute.api.conf.read_text() + service.ini({
            'DEFAULT': {
                'host': self.NAME, 'state_path': str(self.folder),
                'compute_driver': 'fake.FakeDriverWithoutFakeNodes'}}))
        self._command[-1] = str(settings)

    def __enter__(self) -> Self:
        self.start()
        self._compute.api.map_host(self.NAME)
        return self

    def __exit__(self, *unused: object) -> None:
        """Stop it, and let Nova and Placement forget it."""
        self.stop()
        known = self._compute.call(
            'GET', f'/os-services?host={self.NAME}')['services']
        for each in known:
            self._compute.call('DELETE', f'/os-services/{each["id"]}')


class Compute:
    """Starts and stops it.

    :param folder: where the folders of its parts are
    :param keystone: what they ask
    :param glance: where Glance answers
    :param environment: of Nova's parts, and so of ``mkisofs_cmd``
    :param more: options of nova.conf, by group
    :param databases: has theirs; by default they are files of the folders
    """

    def __init__(self, folder: pathlib.Path, keystone: Keystone, glance: str,
                 environment: Mapping[str, str],
                 more: Mapping[str, Mapping[str, str]],
                 databases: Databases | None = None) -> None:
        self.keystone = keystone
        self.bus = RabbitMQ(folder / 'rabbitmq')
        self.libvirt = Libvirt(folder / 'libvirt')
        self.placement = Placement(
            folder / 'placement', keystone, databases)
        self._neutron = FakeNeutron()
        self.api = NovaApi(
            folder / 'nova', keystone, self._neutron.url,
            _settings(folder / 'nova', self, more), databases)
        self.api.use(glance)
        self.instances = self.api.folder / 'instances'
        self.instances.mkdir(exist_ok=True)
        self._first: tuple[Daemon, ...] = (
            self.bus, self.libvirt, self.placement, self.api)
        self.conductor, self.scheduler, self.compute = (
            Part(name, queue, self.api, self.bus, environment)
            for name, queue in (
                ('nova-conductor', 'conductor'),
                ('nova-scheduler', 'scheduler'),
                ('nova-compute', f'compute-alt.{HOST}')))
        self._parts = (self.conductor, self.scheduler, self.compute)
        self.daemons = (*self._first, *self._parts)
        self._stack = contextlib.ExitStack()

    def spawn(self) -> None:
        """Start what needs nothing else, and do not wait."""
        self._stack.enter_context(self._neutron)
        for each in self.daemons:
            self._stack.callback(each.stop)
        for each in self._first:
            each.spawn()

    def register(self) -> None:
        """Let the catalogue of Keystone, which runs, say where it is."""
        for kind, url in (('compute', f'{self.api.url}/v2.1'),
                          ('placement', self.placement.url)):
            self.keystone.add_endpoint(kind, url)

    def start(self) -> None:
        """Start the rest, and wait; Keystone and Glance run already."""
        for each in self._first:
            each.start()
        conductor, *others = self._parts
        # The others wait ten seconds for one that is not there.
        conductor.start()
        for part in others:
            part.spawn()
        for part in others:
            part.start()

    def configure(self, more: Mapping[str, Mapping[str, str]],
                  *parts: Daemon) -> None:
        """Change options of nova.conf, and start parts of Nova anew.

        :param parts: which; by default nova-compute
        """
        self.api.configure(more)
        for part in parts or (self.compute,):
            part.stop()
            part.start()

    def stop(self) -> None:
        """Stop all of it, whatever of it runs."""
        self._stack.close()

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Ask nova-api as the administrator."""
        answer = service.call(
            method, f'{self.api.url}/v2.1{path}',
            self.keystone.token('admin', 'admin'), body)
        answer.raise_for_status()
        return answer.json() if answer.content else None


def _settings(folder: pathlib.Path, compute: Compute,
              more: Mapping[str, Mapping[str, str]],
              ) -> dict[str, dict[str, str]]:
    helper = (f'{program("privsep-helper")} --config-file '
              f'{folder.absolute() / "nova.conf"}')
    if os.geteuid():
        helper = f'sudo -n {helper}'
    settings = {
        'DEFAULT': {
            'transport_url': compute.bus.url, 'my_ip': '127.0.0.1',
            'compute_driver': 'libvirt.LibvirtDriver'},
        'libvirt': {
            'virt_type': 'qemu', 'cpu_mode': 'none', 'inject_partition': '-2',
            # Kernels for clouds have no driver of q35's CD-ROM.
            'hw_machine_type': 'x86_64=pc',
            'connection_uri': compute.libvirt.uri,
            # As of FakeHost: where both are the same, no ssh is needed.
            'migration_inbound_addr': '192.168.0.1'},
        'placement': {'endpoint_override': compute.placement.url},
        'conductor': {'workers': '1'}, 'scheduler': {'workers': '1'},
        'vnc': {'enabled': 'false'}, 'spice': {'enabled': 'false'},
        'nova_sys_admin': {'helper_command': helper}}
    for group, options in more.items():
        settings[group] = {**settings.get(group, {}), **options}
    return settings
