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

"""What the commands of endorsers share."""

import argparse
from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import os
import sys
from typing import Any
from typing import TYPE_CHECKING

from hepix_vm.osc import base
from hepix_vm.osc import columns

if TYPE_CHECKING:
    from hepix_vm.cmd.common import Cloud
    from hepix_vm.exchange.catalogue import Image
    from hepix_vm.exchange.measure import Measured
    from hepix_vm.exchange.signer import Signer
    from hepix_vm.exchange.upload import Outcome
    from hepix_vm.trust.model import ImageList

_MODE = 0o644  # an endorsement is for everybody


def check_free(path: str, remedy: str = 'Give another --output.') -> None:
    """Make sure, before a large file is read, that a new one can be made.

    :param remedy: what to do if there is one
    """
    from hepix_vm.errors import ConfigError

    if os.path.lexists(path):
        raise ConfigError('It is there already, and is not overwritten.',
                          path, remedy=remedy)
    folder = os.path.dirname(os.path.abspath(path))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError('No file can be made there.', folder,
                          remedy='Give another --output.')


def write(path: str, message: bytes) -> None:
    """Put a signed endorsement in its place."""
    from hepix_vm import wholefile

    wholefile.replace(path, message, _MODE)


def image_of(command: base.Ours, named: str) -> tuple['Cloud', 'Image']:
    """Return the image that is meant where no file is, and its cloud.

    :raises HepixVmError: there is none
    """
    from openstack.exceptions import ConfigException

    from hepix_vm.errors import HepixVmError
    from hepix_vm.errors import ServiceError
    from hepix_vm.exchange.oneline import clean
    from hepix_vm.osc import find

    no_file = f'There is no file {named!r}'
    try:
        cloud = command.cloud()
        return cloud, find.image(cloud.catalogue, named)
    except ConfigException as error:
        raise HepixVmError(
            f'{no_file}, and no cloud to ask for an image of this name: '
            f'{clean(str(error))}.',
            remedy='Correct the path, or name a cloud (--os-cloud).'
            ) from error
    except ServiceError:
        raise
    except HepixVmError as error:
        raise HepixVmError(f'{no_file}. {error.message}',
                           remedy=error.remedy) from error


def signer(given: argparse.Namespace) -> 'Signer':
    """Return who signs, by the options of :mod:`hepix_vm.cmd.signing`.

    :raises HepixVmError: nobody does
    """
    from hepix_vm.cmd import signing
    from hepix_vm import config
    from hepix_vm import opts

    return signing.signer_of(given, frozenset(
        config.load()[opts.GROUP].signer_purposes))


def hashed(path: str) -> 'Measured':
    """Return digest and size of a file, and show how far it is.

    :raises ConfigError: it has no data, or cannot be read
    """
    from hepix_vm.errors import ConfigError
    from hepix_vm.exchange import measure

    size = os.path.getsize(path) if os.path.exists(path) else 0
    with progress('Hashing', size) as advance:
        found = measure.of_file(path, advance)
    if not found.size:
        raise ConfigError('It has no data.', path,
                          remedy='Give the file of an image.')
    return found


@contextlib.contextmanager
def progress(doing: str, size: int) -> Iterator[Callable[[int], None]]:
    """Show how far a file was read, if somebody looks at a terminal.

    :param doing: what it is read for
    :param size: its bytes
    :returns: what is told of bytes that were read
    """
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from hepix_vm.exchange.progress import Bar

    shown = Bar(sys.stderr, doing)
    shown.begin(size)
    try:
        yield shown.advance
    finally:
        shown.end()


def described(made: 'ImageList') -> dict[str, Any]:
    """Return an endorsement as it is shown."""
    from hepix_vm.exchange import endorse
    from hepix_vm.exchange.oneline import clean
    from hepix_vm.trust.imagelist import format_time

    entry, = made.images
    return {
        'list_id': made.identifier, 'list_version': clean(made.version),
        'endorsed_image_id': entry.identifier, 'title': clean(entry.title),
        'sha512': entry.sha512, 'size': entry.size,
        'expires': format_time(endorse.end(made)),
        'endorser_dn': clean(made.endorser.dn),
        'endorser_ca': clean(made.endorser.ca)}


def warn(command: base.Ours, who: 'Signer', made: 'ImageList') -> None:
    """Say so if the certificate does not last as long as what it signs."""
    from hepix_vm.trust.imagelist import format_time

    end = who.certificate.not_valid_after_utc
    if end < made.expires:
        command.say(f'WARNING: the certificate ends at {format_time(end)}, '
                    f'before the endorsement; from then on no image is '
                    f'taken in with it.')


def verdict(done: 'Outcome') -> dict[str, Any]:
    """Return what a cloud made of an image as it is shown."""
    return {
        'glance_id': done.image_id, 'status': done.status,
        'state': done.state, 'allowed': not done.reasons,
        'reasons': columns.Reasons([each.as_dict() for each in done.reasons])}
