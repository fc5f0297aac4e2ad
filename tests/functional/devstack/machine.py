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

"""A machine on which DevStack, or a shim of it, and the plugin run.

It is a folder: what DevStack writes to /etc lies below it, ``sudo`` writes
down owners and refuses what is not expected, and the tests stand in for
systemd. Keystone, ``openstack`` and what the units run are real.
"""

from collections.abc import Mapping
import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile
from typing import Self

from tests.functional.devstack.units import Answering
from tests.functional.devstack.units import Units
from tests.testbed.daemon import clean_environment
from tests.testbed.daemon import Daemon
from tests.testbed import glance as testbed_glance
from tests.testbed.glance import free_port
from tests.testbed.keystone import Keystone
from tests.testbed.keystone import PASSWORD

HERE = pathlib.Path(__file__).parent
REPOSITORY = HERE.parents[2]
DEVSTACK = os.environ.get('DEVSTACK_DIR', '')

SERVICES = ('key', 'g-api', 'n-api', 'n-api-meta', 'n-cond', 'n-cpu',
            'n-sch', 'placement-api', 'placement-client', 'c-api', 'c-sch',
            'c-vol', 'q-svc', 'rabbit', 'sqlite')

_LIMIT = 1200  # seconds that stack.sh may take on a busy machine


class Machine:
    """One machine; a context manager.

    :param folder: of all that is on it
    :param keystone: runs
    :param web_port: of 127.0.0.1, from which Glance may fetch
    :param services: that DevStack starts with
    :param settings: of the localrc section of local.conf
    :param disabled: services that it takes away
    """

    def __init__(self, folder: pathlib.Path, keystone: Keystone,
                 web_port: int = 80, services: tuple[str, ...] = SERVICES,
                 settings: Mapping[str, str] = {},
                 disabled: tuple[str, ...] = ()) -> None:
        self.folder = folder.absolute()
        self.root = self.folder / 'root'
        self.data = self.folder / 'dest/data'
        self.venv = self.folder / 'venv'
        self.record = self.folder / 'record'
        self.glance_port = free_port()
        self.vendordata_port = free_port()
        self._keystone = keystone
        self._stack = contextlib.ExitStack()
        # A socket's path has a hundred characters at most.
        self._run = tempfile.TemporaryDirectory(prefix='hepix-vm-')
        for name in ('root/etc/apache2/sites-available', 'dest/data',
                     'dest/logs', 'top/files', 'record', 'tmp', 'home',
                     'site', 'databases'):
            (self.folder / name).mkdir(parents=True)
        (self.folder / 'run').symlink_to(self._run.name)
        self._make_venv()
        self._make_sources()
        self._make_top(services, settings, disabled)
        self.environment = self._environment(web_port)
        self.units = Units(
            self.root / 'etc/systemd/system', self.record,
            {**self.environment, 'PYTHONPATH': str(self.folder / 'site')})

    def __enter__(self) -> Self:
        # There may have been another machine at this Keystone.
        self._keystone.add_endpoint('image', self.glance_url)
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._run)
            stack.callback(self.units.kill)
            stack.enter_context(Answering(
                self.folder / 'run/systemctl', self.units))
            stack.enter_context(_Commands(self.folder / 'run'))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *unused: object) -> None:
        self._stack.close()

    @property
    def glance_url(self) -> str:
        """Where Glance answers."""
        return f'http://127.0.0.1:{self.glance_port}'

    @property
    def conf(self) -> pathlib.Path:
        """The folder of the plugin's settings."""
        return self.root / 'etc/hepix-vm'

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Do what ``stack.sh``, ``unstack.sh`` or ``clean.sh`` does.

        :param arguments: of run.sh
        """
        mode = arguments[0]
        log = self.record / f'{mode}.log'
        with log.open('w') as output:
            finished = subprocess.run(
                ['bash', str(HERE / 'driver/run.sh'), *arguments],
                stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, timeout=_LIMIT, cwd=self.folder,
                env=self.environment)
        return subprocess.CompletedProcess(
            finished.args, finished.returncode, log.read_text())

    def stack(self, last: str = 'test-config') -> str:
        """Run ``stack.sh``; return what it printed.

        :param last: the phase of the plugin that ends it
        :raises AssertionError: it failed, with the end of what it printed
        """
        return self._checked('stack', last)

    def unstack(self) -> str:
        """Run ``unstack.sh``."""
        return self._checked('unstack')

    def clean(self) -> str:
        """Run ``clean.sh``."""
        return self._checked('clean')

    def recorded(self, name: str) -> list[str]:
        """Return the lines of a file that the stand-ins write."""
        path = self.record / name
        return path.read_text().splitlines() if path.exists() else []

    def _checked(self, *arguments: str) -> str:
        finished = self.run(*arguments)
        trace = (self.record / f'{arguments[0]}.trace').read_text(
            errors='replace')
        assert finished.returncode == 0, '\n'.join([
            *trace.splitlines()[-40:], *finished.stdout.splitlines()[-40:]])
        assert self.recorded('refused') == []
        return finished.stdout

    def _environment(self, web_port: int) -> dict[str, str]:
        kept = {name: value for name, value in clean_environment().items()
                if name in ('LANG', 'LOGNAME', 'USER', 'HEPIX_VM_KERNEL_DIR',
                            'HEPIX_VM_CACHE')}
        return {
            **kept, 'MACHINE': str(self.folder),
            'MACHINE_GLANCE_PORT': str(self.glance_port),
            'MACHINE_KEYSTONE': self._keystone.url,
            'MACHINE_WEB_PORT': str(web_port),
            'REPOSITORY': str(REPOSITORY), 'VENV': str(self.venv),
            'DEVSTACK_DIR': DEVSTACK, 'HOME': str(self.folder / 'home'),
            'TMPDIR': str(self.folder / 'tmp'),
            'PATH': f'{HERE / "programs"}:{self.venv / "bin"}:'
                    '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin',
            'OS_CLIENT_CONFIG_FILE': str(
                self.root / 'etc/openstack/clouds.yaml'),
            'OS_GLANCE_CONFIG_DIR': str(self.root / 'etc/glance'),
            'OS_NOVA_CONFIG_DIR': str(self.root / 'etc/nova'),
            'no_proxy': '127.0.0.1', 'LC_ALL': 'C.UTF-8',
            'XDG_CACHE_HOME': str(self.folder / 'home/cache')}

    def _make_venv(self) -> None:
        """An environment with all that is in that of the tests.

        DevStack may write into its folder, and look for programs there.
        """
        ours = pathlib.Path(sys.prefix)
        (self.venv / 'bin').mkdir(parents=True)
        for program in (ours / 'bin').iterdir():
            if program.name not in ('openstack', 'pip', 'pip3'):
                (self.venv / 'bin' / program.name).symlink_to(program)
        (self.venv / 'bin/openstack').symlink_to(HERE / 'programs/openstack')
        (self.venv / 'lib').symlink_to(ours / 'lib')
        (self.venv / 'pyvenv.cfg').symlink_to(ours / 'pyvenv.cfg')
        # What DevStack's databases need, which are files here.
        (self.folder / 'site/sitecustomize.py').write_text(
            'import sys\n'
            f'sys.path.insert(0, {str(testbed_glance.SERVER)!r})\n'
            'import testbed_sqlite\n'
            "testbed_sqlite.filter_factory({})\n")

    def _make_sources(self) -> None:
        """What DevStack takes from the sources of the services."""
        etc = pathlib.Path(sys.prefix) / 'etc'
        dest = self.folder / 'dest'
        (dest / 'hepix-vm').symlink_to(REPOSITORY)
        for name in ('nova', 'cinder'):
            (dest / name / 'etc').mkdir(parents=True)
            (dest / name / 'etc' / name).symlink_to(etc / name)
        (dest / 'glance/etc').mkdir(parents=True)
        for path in (etc / 'glance').iterdir():
            (dest / 'glance/etc' / path.name).symlink_to(path)
        (dest / 'glance/etc/schema-image.json').write_text('{}\n')
        testbed_glance.make_database(self.folder / 'databases/glance.sqlite')

    def _make_top(self, services: tuple[str, ...],
                  settings: Mapping[str, str],
                  disabled: tuple[str, ...]) -> None:
        """DevStack's own folder: of its checkout, and settings of ours."""
        top = self.folder / 'top'
        if DEVSTACK:
            for path in pathlib.Path(DEVSTACK).iterdir():
                # What a user has there is not to be found.
                if path.name in ('files', 'extras.d') or path.name.startswith(
                        ('.', 'local', 'userrc', 'accrc')):
                    continue
                (top / path.name).symlink_to(path)
            for path in (pathlib.Path(DEVSTACK) / 'files').iterdir():
                (top / 'files' / path.name).symlink_to(path)
        localrc = {
            'DEST': self.folder / 'dest', 'DATA_DIR': self.data,
            'STACK_USER': '$(id -un)', 'HOST_IP': '127.0.0.1',
            'HOST_IPV6': '::1',
            'ADMIN_PASSWORD': PASSWORD, 'SERVICE_PASSWORD': PASSWORD,
            'DATABASE_PASSWORD': PASSWORD, 'RABBIT_PASSWORD': PASSWORD,
            'DEVSTACK_VENV': self.venv, 'LIBVIRT_TYPE': 'qemu',
            'ENABLED_SERVICES': ','.join(services), 'IMAGE_URLS': '',
            'DOWNLOAD_DEFAULT_IMAGES': 'False',
            'APACHE_USER': '$(id -un)', 'API_WORKERS': '2',
            'GLANCE_ENABLE_QUOTAS': 'False',
            'HEPIX_VM_CONF_DIR': self.conf,
            'HEPIX_VM_REQUIRE_TRAIT': 'False',
            'HEPIX_VM_VENDORDATA_PORT': self.vendordata_port}
        lines = [f'{name}={value}\n' for name, value in {
            **localrc, **settings}.items()]
        (top / '.localrc.auto').write_text(''.join([
            *lines, f'disable_service {" ".join(disabled)}\n',
            'enable_plugin hepix-vm file:///not/asked\n']))


class _Commands(Daemon):
    """The process that runs ``openstack``."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._socket = folder / 'openstack'
        super().__init__(folder, [
            sys.executable, str(HERE / 'cli.py'), str(self._socket)])

    def answers(self) -> bool:
        """Say whether it can be asked."""
        return self._socket.exists()
