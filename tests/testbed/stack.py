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

"""A whole cloud on loopback, with a site whose gate is in it.

Keystone, Glance, Placement and Nova with libvirt and QEMU are real, and so
are the bus and the drive that servers get, and the API of Cinder, which has
no volumes with bytes. Only Neutron has a stand-in.
"""

from collections.abc import Mapping
import contextlib
import json
import pathlib
import subprocess
from typing import Self

from oslo_config import cfg
import yaml

from hepix_vm import paths
from hepix_vm.sitecontext import compiled
from tests.testbed.cinder_api import CinderApi
from tests.testbed.compute import Compute
from tests.testbed.daemon import clean_environment
from tests.testbed.daemon import Daemon
from tests.testbed.database import Databases
from tests.testbed.database import Files
from tests.testbed.database import MariaDB
from tests.testbed.glance import Glance
from tests.testbed.glance import program
from tests.testbed.keystone import Keystone
from tests.testbed.keystone import PASSWORD
from tests.testbed import service
from tests.testbed import site as testbed_site
from tests.testbed.site import Site
from tests.testbed.standing import KINDS
from tests.testbed.vendordata import PASTE
from tests.testbed.vendordata import Vendordata

FLAVOR = 'small'

# How long the gate of Nova believes what Glance said, in seconds.
BOOT_CACHE = 2

# Who is in clouds.yaml, and the project of each.
ACCOUNTS = {'alice': 'atlas', 'bob': 'cms', 'carol': 'lhcb',
            'admin': 'admin'}

_CONTEXT = {
    'variables': {'name': 'Example Site'},
    'rules': [
        {'match': {}, 'prolog': ['10-hello.sh'], 'epilog': ['10-ready.sh']},
        {'match': {'vo': 'vo.example.org'}, 'epilog': ['50-vo.sh']}]}
_SCRIPTS = {
    '10-hello.sh':
        'echo "$1: $HEPIX_SITE_NAME welcomes $HEPIX_SERVER_UUID"',
    '10-ready.sh': 'echo "$1: $HEPIX_SERVER_NAME is ready"',
    '50-vo.sh': 'echo "$1: endorsed for $HEPIX_IMAGE_VO'
                ' by $HEPIX_IMAGE_ENDORSER"'}


class Stack:
    """Starts and stops it; a context manager.

    Alice, Bob and Carol are plain users of the projects atlas, cms and lhcb,
    and the account of the site is hepix-vm; there is a flavor,
    :data:`FLAVOR`.

    :param folder: where all its files are; one that is there is gone on with
    :param download_ports: loopback ports from which Glance may fetch
    :param database: ``sqlite`` or ``mariadb``
    """

    def __init__(self, folder: pathlib.Path,
                 download_ports: tuple[int, ...] = (),
                 database: str = 'sqlite') -> None:
        self.folder = folder.absolute()
        self._download_ports = download_ports
        self._settings = {
            'vendordata_paste': str(PASTE), 'boot_cache': str(BOOT_CACHE),
            'context_file': str(self.folder / 'site/context.yaml')}
        self.site = Site(self.folder / 'site', **self._settings)
        self.clouds = self.folder / 'clouds.yaml'
        self._write_context()
        if database not in KINDS:
            raise ValueError(f'{database!r} is not one of {KINDS}')
        self._database = database
        self.mariadb: MariaDB | None = None
        self._stack = contextlib.ExitStack()

    @property
    def environment(self) -> dict[str, str]:
        """What leads commands to this cloud, as Alice."""
        return {'OS_CLIENT_CONFIG_FILE': str(self.clouds),
                'OS_CLOUD': 'alice', 'no_proxy': '127.0.0.1',
                paths.ENVIRONMENT: str(self.site.config)}

    def __enter__(self) -> Self:
        """Start all of it."""
        with contextlib.ExitStack() as stack:
            databases: Databases = Files()
            if self._database == 'mariadb':
                # What is in it is made before anything asks for it.
                databases = self.mariadb = stack.enter_context(
                    MariaDB(self.folder / 'mariadb'))
            self._make(databases)
            self.configure()
            stack.callback(self.compute.stop)
            self.compute.spawn()
            stack.enter_context(self.keystone)
            # Tokens that are made from now on have all of the catalogue.
            self.compute.register()
            self._write_accounts()
            stack.enter_context(self.glance)
            stack.enter_context(self.vendordata)
            stack.enter_context(self.cinder)
            self.compute.start()
            known = self.compute.call('GET', '/flavors')['flavors']
            if FLAVOR not in [each['name'] for each in known]:
                self.compute.call('POST', '/flavors', {'flavor': {
                    'name': FLAVOR, 'ram': 256, 'vcpus': 1, 'disk': 1}})
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *unused: object) -> None:
        """Stop all of it."""
        self._stack.close()

    def sync(self, *arguments: str) -> str:
        """Run ``hepix-vm-sync`` here; return what it says.

        :raises AssertionError: it failed
        """
        done = subprocess.run(
            [program('hepix-vm-sync'), *arguments], text=True, timeout=300,
            capture_output=True,
            env={**clean_environment(), **self.environment})
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refusals(self, service: str, server: str) -> list[tuple[str, str]]:
        """Return what a service refused a server, as its journal has it.

        :returns: of each refusal the action and the code of the reason
        """
        journal = self.site.state / 'journal' / f'{service}.jsonl'
        records = (map(json.loads, journal.read_text().splitlines())
                   if journal.exists() else ())
        return [(record['action'], record['reasons'][0]['code'])
                for record in records
                if record.get('server') == server and not record['allowed']]

    def daemons(self) -> tuple[Daemon, ...]:
        """Return all that it starts."""
        return (*((self.mariadb,) if self.mariadb else ()),
                self.keystone, self.glance, self.cinder, self.vendordata,
                *self.compute.daemons)

    def configure(self, credentials: Mapping[str, str] = {},
                  **settings: str) -> None:
        """Write hepix-vm.conf; it counts for what is started afterwards.

        :param credentials: options of ``[service_credentials]`` besides
        :param settings: options of ``[hepix_vm]`` that differ
        """
        self.site.write_config(**{**self._settings, **settings})
        self.site.write_credentials({
            **self.keystone.account('hepix-vm', 'service'), **credentials})
        with self.site.config.open('a') as config:
            config.write(service.ini({
                'keystone_authtoken': self.keystone.middleware('glance')}))

    def _make(self, databases: Databases) -> None:
        self.keystone = Keystone(self.folder / 'keystone', databases)
        self.glance = Glance(
            self.folder / 'glance', databases,
            hepix_config=self.site.config,
            property_protections=testbed_site.PROPERTY_PROTECTIONS,
            policy=testbed_site.POLICY,
            download_ports=self._download_ports,
            authtoken=self.keystone.middleware('glance'))
        self.cinder = CinderApi(
            self.folder / 'cinder', self.keystone,
            testbed_site.CINDER_POLICY, databases, **_shipped(
                testbed_site.CINDER_CONF, 'DEFAULT',
                'glance_core_properties'))
        self.vendordata = Vendordata(
            self.folder / 'vendordata', self.site.config)
        self.compute = Compute(
            self.folder, self.keystone, self.glance.url, {
                paths.ENVIRONMENT: str(self.site.config),
                compiled.ENVIRONMENT: str(self.folder / 'context.json')},
            self._of_nova(), databases)
        self.compute.api.guard(self.site.config)

    def _of_nova(self) -> dict[str, dict[str, str]]:
        return {
            'DEFAULT': {'mkisofs_cmd': program('hepix-vm-mkisofs'),
                        'force_config_drive': 'true',
                        'allow_resize_to_same_host': 'true',
                        **_shipped(testbed_site.NOVA_CONF, 'DEFAULT',
                                   'non_inheritable_image_properties'),
                        # They run again where a cloud is gone on with.
                        'resume_guests_state_on_host_boot': 'true'},
            'filter_scheduler': _shipped(
                testbed_site.NOVA_CONF, 'filter_scheduler',
                'available_filters', 'enabled_filters'),
            'api': {
                'vendordata_providers': 'StaticJSON,DynamicJSON',
                'vendordata_dynamic_targets':
                    f'hepix_vm@{self.vendordata.url}/hepix_vm',
                'vendordata_dynamic_failure_fatal': 'true'},
            'vendordata_dynamic_auth': self.keystone.account(
                'nova', 'service')}

    def _write_accounts(self) -> None:
        self.keystone.add_endpoint('image', self.glance.url)
        self.keystone.add_endpoint('volumev3', f'{self.cinder.url}/v3')
        for user, project in ACCOUNTS.items():
            if user != 'admin':
                self.keystone.add_user(user, project, 'member', 'reader')
        self.keystone.add_user('hepix-vm', 'service', 'admin')
        self.clouds.write_text(yaml.safe_dump({'clouds': {
            user: {'region_name': 'RegionOne', 'auth': {
                'auth_url': f'{self.keystone.url}/v3', 'username': user,
                'password': PASSWORD, 'project_name': project,
                'user_domain_id': 'default',
                'project_domain_id': 'default'}}
            for user, project in ACCOUNTS.items()}}))
        self.clouds.chmod(0o600)

    def _write_context(self) -> None:
        # Whatever the umask is: who may write them is looked at.
        parts = self.site.folder / 'context'
        if parts.exists():
            return
        parts.mkdir()
        for path in (self.site.folder, parts):
            path.chmod(0o755)
        files = {'context.yaml': yaml.safe_dump(_CONTEXT), **{
            f'context/{name}': f'#!/bin/sh\n{text}\n'
            for name, text in _SCRIPTS.items()}}
        for name, text in files.items():
            path = self.site.folder / name
            path.write_text(text)
            path.chmod(0o755 if name.endswith('.sh') else 0o644)


def _shipped(path: pathlib.Path, group: str,
             *options: str) -> dict[str, str]:
    """Return options as a file that we ship has them."""
    found: dict[str, dict[str, list[str]]] = {}
    cfg.ConfigParser(str(path), found).parse()
    # One that may be there more than once is written as often.
    return {option: f'\n{option} = '.join(
        ''.join(value.split()) for value in found[group][option])
        for option in options}
