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

"""What the benchmarks work on: images, a site, settings of the run."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses
import functools
import os
import pathlib

from benchmarks.measure import Figure
from benchmarks.measure import MIB
from hepix_vm import paths
from tests.testbed import images
from tests.testbed.site import file_entry
from tests.testbed.site import Site


@dataclasses.dataclass(frozen=True)
class Image:
    """A file of pseudo-random bytes.

    :param size: bytes
    :param sha512: hex digest
    """

    path: pathlib.Path
    size: int
    sha512: str


@dataclasses.dataclass(frozen=True)
class Run:
    """How much is to be measured, and where.

    :param folder: for images and servers; removed by the caller
    :param anchors: the CA folder of Debian's igtf-policy-classic
    :param size: MiB of the image whose route is timed
    :param small: MiB of the small image of the memory benchmark
    :param large: MiB of its large image
    :param pairs: interleaved runs with and without us
    """

    folder: pathlib.Path
    anchors: pathlib.Path
    size: int = 1024
    small: int = 64
    large: int = 4096
    pairs: int = 5

    def image(self, mib: int) -> Image:
        """Return the image of this size in MiB, made once."""
        return _image(self.folder, mib)

    def site(self, name: str) -> Site:
        """Return a new site."""
        return Site(self.folder / name)


Benchmark = Callable[[Run], list[Figure]]


def endorsement(site: Site, image: Image) -> str:
    """Return the value of hepix_endorsement for an image."""
    return site.encode(site.sign(site.image_list(
        file_entry(image.sha512, image.size)), site.alice))


@contextlib.contextmanager
def environment(site: Site) -> Iterator[None]:
    """Read the settings of a site in this process as well."""
    before = os.environ.get(paths.ENVIRONMENT)
    os.environ[paths.ENVIRONMENT] = str(site.config)
    try:
        yield
    finally:
        del os.environ[paths.ENVIRONMENT]
        if before is not None:
            os.environ[paths.ENVIRONMENT] = before


@functools.cache
def _image(folder: pathlib.Path, mib: int) -> Image:
    path = images.patterned_file(folder / f'{mib}-MiB', mib * MIB)
    return Image(path, mib * MIB, images.sha512(path))
