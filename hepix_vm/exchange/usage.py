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
"""What else is asked of the cloud: its projects, and images in use.

Nova says of what image a server was made, but not of one that runs from a
volume, nor whether one that has an image runs from a volume all the same. Of
what image a volume was made, Cinder says.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import dataclasses
import datetime
import functools
import logging
import urllib.parse

from keystoneauth1 import adapter as keystone_adapter
from keystoneauth1 import exceptions
import requests

from hepix_vm.errors import HepixVmError
from hepix_vm.errors import ServiceError
from hepix_vm.exchange.rest import cause_of
from hepix_vm.exchange.rest import REMEDIES
from hepix_vm.exchange.rest import Rest
from hepix_vm.gate import utcnow
from hepix_vm import servers

LOG = logging.getLogger(__name__)

_NOVA = ('Look whether Nova runs, and whether the account is an '
         'administrator\'s: --os-cloud of openstack, or '
         '[service_credentials] of hepix-vm.conf.')
_LOST = ('The next run asks again; where it says so again, give the account '
         'in [service_credentials] the role admin, and where it has it, '
         'delete the server: its volume is lost.')


def project_ids(identity: keystone_adapter.Adapter | None,
                named: Iterable[str]) -> Mapping[str, str]:
    """Return the ids of projects.

    :param identity: the way to Keystone; None where there is none, and
        what is named are ids
    :param named: by id, by name, or as ``DOMAIN:NAME``
    :returns: without those that there are not, or several with the name
    :raises ServiceError: Keystone does not say
    """
    if identity is None:
        return {name: name for name in named}
    identity.version = '3'
    keystone = Rest(identity, 'Keystone')
    found = {}
    for name in sorted(set(named)):
        if identifier := _project_id(keystone, name):
            found[name] = identifier
    return found


def own_project(identity: keystone_adapter.Adapter) -> str:
    """Return the id of the project of our account.

    :raises HepixVmError: Keystone does not say
    """
    try:
        return identity.get_project_id() or ''
    except exceptions.ClientException as error:
        raise HepixVmError(f'Keystone cannot be asked: {error}',
                           remedy=REMEDIES['Keystone'][0]) from error


def _project_id(keystone: Rest, named: str) -> str:
    """Return the id of a project; empty if it is not known.

    Ids come first, and then domains: who makes projects in one domain gives
    them what name he likes, also that of another's id.
    """
    if _exists(keystone, 'projects', named):
        return named
    domain, separator, name = named.partition(':')
    if separator and (domain_id := _domain_id(keystone, domain)):
        found = _named(keystone, 'projects', name, domain_id=domain_id)
    else:
        found = _named(keystone, 'projects', named)
    if len(found) > 1:
        LOG.error('%d projects are called %s: give the id of the one that '
                  'is meant, or DOMAIN:%s', len(found), named, named)
    return found[0] if len(found) == 1 else ''


def _domain_id(keystone: Rest, named: str) -> str:
    if _exists(keystone, 'domains', named):
        return named
    # A name of one domain alone.
    return next(iter(_named(keystone, 'domains', named)), '')


def _named(keystone: Rest, kind: str, name: str,
           **more: str) -> list[str]:
    """Return the ids of all projects, or domains, of a name."""
    asked = urllib.parse.urlencode({'name': name, **more})
    found = keystone.document('GET', f'/{kind}?{asked}')
    try:
        return [str(each['id']) for each in found[kind]]
    except (LookupError, TypeError) as error:
        raise keystone.strange() from error


def _exists(keystone: Rest, kind: str, identifier: str) -> bool:
    response = keystone.request(
        'GET', f'/{kind}/{urllib.parse.quote(identifier, safe="")}',
        (200, 404))
    return response.status_code == 200


def usage(nova: keystone_adapter.Adapter, cinder: keystone_adapter.Adapter,
          now: Callable[[], datetime.datetime] = utcnow,
          ) -> Callable[[int], Collection[str] | HepixVmError]:
    """Return what knows images that servers use, or used within some days.

    The ids of images are in lower case: who gave them to Nova, or wrote
    them on a volume, may have typed others. Servers that are there are
    asked for once, and deleted ones once for each number of days. Where it
    cannot be found out it returns why.
    """
    @functools.cache
    def present() -> Collection[str]:
        found = servers.in_use(nova)
        # Without such a server Cinder may be missing.
        volumes = found.volumes | found.others
        images, unknown = (_made_into(cinder, volumes)
                           if volumes else (set(), set()))
        # Others went meanwhile, as their servers did. What has an image does
        # not run from a volume that is lost.
        unknown &= found.volumes
        if unknown and (lost := unknown & servers.in_use(nova).volumes):
            raise ServiceError(
                f'Cinder does not know the volume {min(lost)} of a server '
                f'that runs from a volume.', 404, _LOST)
        return found.images | images

    @functools.cache
    def in_use(days: int) -> Collection[str] | HepixVmError:
        try:
            since = now() - datetime.timedelta(days=days)
            with _said_by_nova('which images are in use'):
                gone = servers.in_use(nova, since).images if days else set()
                return {image.lower() for image in (*present(), *gone)}
        except HepixVmError as error:
            return error
    return in_use


def running(nova: keystone_adapter.Adapter, everywhere: bool, **asked: str,
            ) -> tuple[list[servers.Running], HepixVmError | None]:
    """Return the servers of all projects, or of that of the account.

    :param everywhere: whether those of all projects are wanted, which only
        an administrator is shown
    :param asked: filters of Nova's API
    :returns: with them why there may be others, if that is so
    :raises HepixVmError: Nova does not say
    """
    with _said_by_nova('which servers there are'):
        if everywhere:
            asked['all_tenants'] = 'True'
        found = list(servers.running(nova, **asked))
        silent = any(server.image_id is None for server in found) or (
            # Who is no administrator may not ask for cells.
            everywhere and not servers.cells_answer(nova))
    return found, servers.silent_cell() if silent else None


def roots(cinder: keystone_adapter.Adapter,
          found: Collection[servers.Running]) -> Mapping[str, set[str]]:
    """Return the images of which the volumes were made that servers run from.

    That is what is written on a volume; who may write there may lie.

    :param found: servers; those without volumes do not matter
    :returns: images by the ids of servers, as far as anything is written
    :raises ServiceError: Cinder does not say
    """
    by_volume: dict[str, list[servers.Running]] = {}
    for server in found:
        for volume in server.volumes:
            by_volume.setdefault(volume, []).append(server)
    # Without such a server Cinder may be missing.
    images: dict[str, set[str]] = {}
    for made in _volumes(cinder, by_volume):
        for server in by_volume[made.identifier]:
            if made.image and _may_be_root(
                    made.devices.get(server.identifier), server):
                images.setdefault(server.identifier, set()).add(made.image)
    return images


def _may_be_root(device: str | None, server: servers.Running) -> bool:
    """Return whether a server may run from a volume.

    On a disk of data there may be what is not run.

    :param device: as which Cinder says that it is attached, if it does
    """
    if server.image_id:
        # It has a disk of its own, unless it is said that it has not.
        return bool(device) and device == server.root
    return not server.root or device in (None, '', server.root)


def is_there(service: keystone_adapter.Adapter, keystone: bool) -> bool:
    """Return whether the cloud has a service at all.

    :param service: the way to it
    :param keystone: whether there is a Keystone, which would know
    :raises HepixVmError: Keystone does not say
    """
    if service.endpoint_override:
        return True
    try:
        return keystone and service.get_endpoint() is not None
    except exceptions.EndpointNotFound:
        return False
    except exceptions.ClientException as error:
        raise HepixVmError(f'Keystone cannot be asked: {cause_of(error)}',
                           remedy=REMEDIES['Keystone'][0]) from error


def project_names(identity: keystone_adapter.Adapter) -> Mapping[str, str]:
    """Return the names of all projects, by their ids.

    :raises ServiceError: Keystone does not say them
    """
    identity.version = '3'
    keystone = Rest(identity, 'Keystone')
    found = keystone.document('GET', '/projects')
    try:
        return {str(each['id']): str(each['name'])
                for each in found['projects']}
    except (LookupError, TypeError) as error:
        raise keystone.strange() from error


@contextlib.contextmanager
def _said_by_nova(what: str) -> Iterator[None]:
    """Let whatever goes wrong while Nova is asked be one error.

    :param what: is to be found out
    """
    try:
        yield
    except ServiceError:
        raise  # of Cinder
    except (HepixVmError, exceptions.ClientException,
            requests.RequestException, LookupError, TypeError,
            ValueError) as error:
        raise HepixVmError(f'Nova does not say {what}: {cause_of(error)}',
                           remedy=_NOVA) from error


@dataclasses.dataclass(frozen=True, slots=True)
class _Volume:
    """A volume as Cinder has it.

    :param image: Glance's id of what it was made of, as is written on it
    :param devices: as which it is attached, by the id of the server
    """

    identifier: str
    image: str
    devices: Mapping[str, str]


def _made_into(cinder: keystone_adapter.Adapter,
               volumes: Collection[str]) -> tuple[set[str], set[str]]:
    """Return the images of which some volumes were made.

    :returns: with them the volumes that Cinder does not know
    :raises ServiceError: Cinder does not say
    """
    found = list(_volumes(cinder, volumes))
    return {volume.image for volume in found}, {*volumes} - {
        volume.identifier for volume in found}


def _volumes(cinder: keystone_adapter.Adapter,
             wanted: Collection[str]) -> Iterator[_Volume]:
    """Yield those of some volumes that Cinder knows.

    :raises ServiceError: Cinder does not say
    """
    rest = Rest(cinder, 'Cinder')
    left: set[str] = set(wanted)
    marker, more = '', True
    while left and more:
        answer = rest.document(
            'GET', f'/volumes/detail?all_tenants=1{marker}')
        try:
            for volume in answer['volumes']:
                if volume['id'] in left:
                    left.remove(volume['id'])
                    made_of = volume.get('volume_image_metadata') or {}
                    yield _Volume(
                        volume['id'], made_of.get('image_id', ''),
                        {each['server_id']: each.get('device') or ''
                         for each in volume.get('attachments', ())})
            more = 'volumes_links' in answer
            last = answer['volumes'][-1]['id'] if left and more else ''
        except (LookupError, TypeError, AttributeError) as error:
            raise rest.strange() from error
        marker = f'&marker={urllib.parse.quote(last, safe="")}'
