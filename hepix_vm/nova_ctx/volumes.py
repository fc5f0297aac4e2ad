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


"""What Cinder says of volumes that servers are to boot, kept for a while.

It is a hint: by Cinder's own policy whoever owns a volume may write what it
was made of.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
from typing import Any

from oslo_config import cfg

from hepix_vm import credentials
from hepix_vm.deadline import Deadline
from hepix_vm.exchange.rest import Rest
from hepix_vm.nova_ctx.answers import Answers
from hepix_vm.nova_ctx.lookup import asked
from hepix_vm import opts

# Of volumes and snapshots, as an administrator is shown them (API of the
# Block Storage service, version 3). Who is not shown it may not be shown what
# a volume was made of either.
_PROJECT = 'os-vol-tenant-attr:tenant_id'
_PROJECT_OF_SNAPSHOT = 'os-extended-snapshot-attributes:project_id'


@dataclasses.dataclass(frozen=True, slots=True)
class Volume:
    """A volume, or a snapshot of one.

    :param project: id of the project that owns it
    :param volume_id: of a snapshot, the volume it was made of
    :param metadata: what Cinder remembers of the image it was made of
    """

    project: str
    volume_id: str = ''
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)


class Volumes:
    """Asks Cinder: one request a volume, whoever asks meanwhile.

    :param conf: as :func:`hepix_vm.config.load` returns it
    :raises ConfigError: there is no account to ask with
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        group = conf[opts.GROUP]
        self._rest = Rest(credentials.adapter(
            conf, credentials.BLOCK_STORAGE, group.boot_timeout),
            'Cinder')
        self._found: Answers[Volume | None] = Answers(
            # Whoever waits for one that comes asks again and again.
            group.boot_cache, _size, lasting=bool)

    def volume(self, identifier: str, deadline: Deadline) -> Volume | None:
        """Return a volume; None if Cinder has no such.

        :param identifier: a UUID, as Nova will ask for it
        :param deadline: until when Cinder is waited for
        :raises Unknown: Cinder does not say
        """
        return self._ask('volume', identifier, _volume, deadline)

    def snapshot(self, identifier: str, deadline: Deadline) -> Volume | None:
        """Return a snapshot; None if Cinder has no such.

        :param identifier: a UUID, as Nova will ask for it
        :param deadline: until when Cinder is waited for
        :raises Unknown: Cinder does not say
        """
        return self._ask('snapshot', identifier, _snapshot, deadline)

    def _ask(self, kind: str, identifier: str,
             read: Callable[[Any], Volume],
             deadline: Deadline) -> Volume | None:
        path = f'/{kind}s/{identifier}'

        def ask() -> Volume | None:
            response = self._rest.request('GET', path, (200, 404))
            if response.status_code == 404:
                return None
            try:
                said = response.json()[kind]
                # A database may not mind capitals, of which Nova asks for
                # what it was given.
                return read(said) if said['id'] == identifier else None
            except (LookupError, TypeError, AttributeError,
                    ValueError) as error:
                raise self._rest.strange() from error
        return asked('Cinder', deadline, lambda seconds: self._found.get(
            path, ask, seconds))


def _volume(said: Any) -> Volume:
    return Volume(str(said[_PROJECT]), metadata={
        str(name): str(value) for name, value in (
            said.get('volume_image_metadata') or {}).items()})


def _snapshot(said: Any) -> Volume:
    return Volume(str(said[_PROJECT_OF_SNAPSHOT]), str(said['volume_id']))


def _size(volume: Volume | None) -> int:
    return sum(map(len, volume.metadata.values())) if volume else 0
