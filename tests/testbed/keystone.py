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


"""A real Keystone on loopback: who somebody is, and which service asks."""

from collections.abc import Mapping
import dataclasses
import grp
import os
import pathlib
import pwd
from typing import Any

from tests.testbed.database import Databases
from tests.testbed.database import Files
from tests.testbed import service

PASSWORD = 'secret'
_DATABASE = 'keystone.sqlite'
_SERVICES = ('nova', 'cinder', 'glance', 'placement')


@dataclasses.dataclass(frozen=True)
class Token:
    """Who calls: by tokens of Keystone; in place of an Identity.

    :param more: headers that are sent as well, such as forged ones
    """

    token: str
    service_token: str = ''
    more: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def headers(self) -> dict[str, str]:
        """The headers that a client of OpenStack sends."""
        service_token = {'X-Service-Token': self.service_token}
        return {'X-Auth-Token': self.token, **self.more,
                **(service_token if self.service_token else {})}


class Keystone(service.Service):
    """A Keystone with an administrator and the accounts of services.

    The users ``nova``, ``cinder``, ``glance`` and ``placement`` are in the
    project ``service``, each with the role ``service``.

    :param folder: where its files are
    :param databases: has its own; by default it is a file of its folder
    """

    def __init__(self, folder: pathlib.Path,
                 databases: Databases | None = None) -> None:
        databases = databases or Files()
        databases.prepare('keystone', _prepare, folder / _DATABASE)
        _write_settings(folder, databases)
        super().__init__(folder, 'keystone.wsgi.api:application', {
            'OS_KEYSTONE_CONFIG_DIR': str(folder)}, databases=databases)
        self._command[:0] = service.IN_LINE

    def start(self, timeout: float = 120.0) -> None:
        """Start it, and make what is missing in it."""
        self.query(
            _DATABASE, 'UPDATE endpoint SET url = ? WHERE service_id IN '
            "(SELECT id FROM service WHERE type = 'identity')",
            (f'{self.url}/v3',))
        super().start(timeout)
        self._admin = self.token('admin', 'admin')
        for name in _SERVICES:
            self.add_user(name, 'service', 'service')
        for project in ('admin', 'service'):
            self.project(project)

    def token(self, user: str, project: str) -> str:
        """Return a new token."""
        scope = {'name': project, 'domain': {'id': 'default'}}
        answer = service.call('POST', f'{self.url}/v3/auth/tokens', json={
            'auth': {'identity': {'methods': ['password'], 'password': {
                'user': {'name': user, 'domain': {'id': 'default'},
                         'password': PASSWORD}}},
                'scope': {'project': scope}}})
        answer.raise_for_status()
        return str(answer.headers['X-Subject-Token'])

    def project(self, name: str, domain: str = 'Default') -> str:
        """Return the id of a project; it and its domain are made."""
        known = self._call('GET', f'/domains?name={domain}')['domains']
        if not known:
            known = [self._call('POST', '/domains', {
                'domain': {'name': domain}})['domain']]
        number = known[0]['id']
        found = self._call('GET', f'/projects?name={name}'
                           f'&domain_id={number}')['projects']
        if not found:
            found = [self._call('POST', '/projects', {'project': {
                'name': name, 'domain_id': number}})['project']]
        return str(found[0]['id'])

    def add_user(self, name: str, project: str, *roles: str) -> None:
        """Make a user, if there is none, who has roles in a project."""
        known = self._call('GET', f'/users?name={name}')['users']
        user = (known or [self._call('POST', '/users', {'user': {
            'name': name, 'password': PASSWORD}})['user']])[0]['id']
        for role in roles:
            found, = self._call('GET', f'/roles?name={role}')['roles']
            self._call('PUT', f'/projects/{self.project(project)}/users/'
                       f'{user}/roles/{found["id"]}')

    def add_endpoint(self, kind: str, url: str) -> None:
        """Let the catalogue say where a service is, and no more where it was.

        :param kind: such as ``compute``
        """
        for former in self._call(
                'GET', f'/services?type={kind}')['services']:
            self._call('DELETE', f'/services/{former["id"]}')
        number = self._call('POST', '/services', {'service': {
            'name': kind, 'type': kind}})['service']['id']
        for interface in ('public', 'internal', 'admin'):
            self._call('POST', '/endpoints', {'endpoint': {
                'service_id': number, 'interface': interface, 'url': url,
                'region_id': 'RegionOne'}})

    def account(self, user: str, project: str) -> dict[str, str]:
        """Return the options of an account, as keystoneauth reads them."""
        return {'auth_type': 'password', 'auth_url': f'{self.url}/v3',
                'username': user, 'password': PASSWORD,
                'project_name': project, 'user_domain_id': 'default',
                'project_domain_id': 'default'}

    def middleware(self, user: str) -> dict[str, str]:
        """Return the options of keystonemiddleware, for a service."""
        return {**self.account(user, 'service'),
                'www_authenticate_uri': self.url}

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        answer = service.call(
            method, f'{self.url}/v3{path}', self._admin, body)
        answer.raise_for_status()
        return answer.json() if answer.content else None


def _write_settings(folder: pathlib.Path, databases: Databases) -> None:
    (folder / 'keystone.conf').write_text(service.ini({
        'database': {'connection': databases.url(folder / _DATABASE)},
        'fernet_tokens': {'key_repository': str(folder / 'fernet')},
        'credential': {'key_repository': str(folder / 'credential')},
        'identity': {'password_hash_rounds': '4'}}))


def _prepare(folder: pathlib.Path, databases: Databases) -> None:
    """Make the keys and the database."""
    _write_settings(folder, databases)
    settings = ('--config-file', str(folder / 'keystone.conf'))
    for arguments in (
            ('db_sync',), ('fernet_setup', *_owner()),
            ('credential_setup', *_owner()),
            ('bootstrap', '--bootstrap-password', PASSWORD,
             '--bootstrap-region-id', 'RegionOne',
             *(word for interface in ('public', 'internal', 'admin')
               for word in (f'--bootstrap-{interface}-url',
                            'http://127.0.0.1/v3')))):
        service.manage('keystone-manage', *settings, *arguments)


def _owner() -> tuple[str, ...]:
    """Whom the keys belong to: us."""
    return ('--keystone-user', pwd.getpwuid(os.getuid()).pw_name,
            '--keystone-group', grp.getgrgid(os.getgid()).gr_name)
