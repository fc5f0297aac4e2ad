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

"""The site of the demo, its Glance, and the disk images it is offered."""

from collections.abc import Iterator
import contextlib
import dataclasses
import pathlib

from tests.testbed.client import Client
from tests.testbed.glance import Glance
from tests.testbed import images
from tests.testbed import site as testbed_site
from tests.testbed.site import Site
from tests.testbed.web import WebServer


@dataclasses.dataclass(frozen=True)
class Disk:
    """A file with a disk image.

    :param disk_format: as Glance calls it, ``raw`` or ``qcow2``
    :param sha512: digest in hex
    :param size: bytes
    """

    path: pathlib.Path
    disk_format: str
    sha512: str
    size: int

    @classmethod
    def of(cls, path: pathlib.Path, disk_format: str) -> 'Disk':
        """Return what there is to know of a file."""
        return cls(path, disk_format, images.sha512(path),
                   path.stat().st_size)


@dataclasses.dataclass(frozen=True)
class Disks:
    """One bootable disk, in the forms that the cases need."""

    raw: Disk
    qcow2: Disk
    tampered: Disk


@dataclasses.dataclass(frozen=True)
class Cloud:
    """A Glance, what its site decides, and a web server it may ask."""

    site: Site
    glance: Glance
    web: WebServer

    @property
    def client(self) -> Client:
        """Glance as an ordinary user sees it."""
        return Client(self.glance.url)


def make_disks(folder: pathlib.Path) -> Disks:
    """Make the disk images.

    :param folder: made if missing
    """
    folder.mkdir(exist_ok=True)
    raw = images.bootable(folder / 'demo.raw')
    qcow2 = images.qcow2(raw, folder / 'demo.qcow2')
    tampered = folder / 'tampered.qcow2'
    data = bytearray(qcow2.read_bytes())
    data[len(data) // 2] ^= 1
    tampered.write_bytes(data)
    return Disks(Disk.of(raw, 'raw'), Disk.of(qcow2, 'qcow2'),
                 Disk.of(tampered, 'qcow2'))


@contextlib.contextmanager
def run(folder: pathlib.Path, server: str) -> Iterator[Cloud]:
    """Have a cloud in a folder while the context is open.

    :param server: ``uwsgi`` or ``gunicorn``
    :raises RuntimeError: Glance does not start; with the end of its log
    """
    site = Site(folder / 'site')
    with WebServer() as web:
        glance = Glance(
            folder / 'glance', server=server, hepix_config=site.config,
            property_protections=testbed_site.PROPERTY_PROTECTIONS,
            policy=testbed_site.POLICY, download_ports=(web.port,))
        with glance:
            yield Cloud(site, glance, web)


def reset(site: Site) -> None:
    """Undo what a case made the site decide."""
    site.write_policy()
    site.write_anchors()
    site.write_subscriptions([])
