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

"""What it costs to audit a Glance with many images."""

from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import hashlib
import json
import os
import pathlib
import sqlite3
import statistics
import subprocess
import sys
import time
import uuid

from benchmarks.measure import Figure
from benchmarks.measure import interleave
from benchmarks.measure import MIB
from benchmarks.workspace import Run
from hepix_vm import paths
from tests.testbed.glance import Glance
from tests.testbed.site import file_entry
from tests.testbed.site import Site

SECONDS = 120.0
MEMORY = 200.0  # MiB

IMAGES = 10_000
ACCOUNT = 'audit:service:admin'
_WHEN = '2026-01-01 00:00:00.000000'


def audit(run: Run) -> list[Figure]:
    """Audit a Glance of 10,000 images, and list it plainly, in turns."""
    with filled(run, 'audit') as (site, glance):
        ours: list[tuple[float, int]] = []
        plain: list[tuple[float, int]] = []
        pairs = interleave(
            lambda: _timed(plain, site, str(IMAGES), 'benchmarks.listing',
                           glance.url, ACCOUNT),
            lambda: _timed(ours, site, '"endorsed"', 'hepix_vm.cmd.status',
                           'audit', '-f', 'json'), run.pairs)
    return _figures(pairs.ours, ours, plain, pairs.ratio)


@contextlib.contextmanager
def filled(run: Run, name: str, **properties: str,
           ) -> Iterator[tuple[Site, Glance]]:
    """Run a Glance of 10,000 images.

    One image in ten brings its endorsement, four are on an accepted list
    that has all digests of a catalogue of the same length.

    :param properties: that each image has besides
    """
    site = run.site(f'{name}-site')
    digests = [hashlib.sha512(number.to_bytes(4, 'big')).hexdigest()
               for number in range(IMAGES)]
    site.accept(site.image_list(*(
        file_entry(digest if number % 10 < 4 else f'{number:0128x}', 1000)
        for number, digest in enumerate(digests))))
    with Glance(run.folder / name, filters=(),
                import_plugins=()) as glance:
        site.write_account(glance.url, ACCOUNT)
        _fill(glance.folder / 'glance.sqlite', digests, site, properties)
        yield site, glance


def _figures(taken: tuple[float, ...], ours: list[tuple[float, int]],
             plain: list[tuple[float, int]], ratio: float) -> list[Figure]:
    peak = max(peak for _, peak in ours) / MIB
    bare = max(peak for _, peak in plain) / MIB
    return [
        Figure('audit', f'hepix-vm-status audit of {IMAGES} images',
               statistics.median(taken), SECONDS, 's',
               f'{min(taken):.1f} to {max(taken):.1f} s in {len(taken)} '
               f'runs; {ratio:.2f} times what a plain listing through the '
               f'API takes'),
        Figure('audit', 'its peak of resident memory', peak, MEMORY, 'MiB',
               f'the plain listing: {bare:.1f} MiB')]


def _timed(kept: list[tuple[float, int]], site: Site, said: str,
           *command: str) -> float:
    """Run a module as a program; keep and return what it took.

    :param kept: gets seconds and the peak of resident bytes
    :param said: what must be in its output
    """
    output, peak = site.folder / 'output', site.folder / 'peak'
    start = time.perf_counter()
    with output.open('wb') as file:
        subprocess.run(
            [sys.executable, '-m', 'benchmarks.peak', str(peak), *command],
            stdout=file, stderr=subprocess.DEVNULL, check=True,
            env={**os.environ, paths.ENVIRONMENT: str(site.config)})
    taken = time.perf_counter() - start
    text = output.read_text()
    assert said in text
    assert not text.startswith('[') or len(json.loads(text)) == IMAGES
    kept.append((taken, int(peak.read_text())))
    return taken


def _fill(database: pathlib.Path, digests: list[str], site: Site,
          properties: Mapping[str, str]) -> None:
    """Put images into a Glance's database."""
    connection = sqlite3.connect(database, timeout=60)
    try:
        with connection:
            connection.executemany(
                'INSERT INTO images (id, name, size, status, created_at, '
                'updated_at, deleted, disk_format, container_format, '
                'owner, min_disk, min_ram, protected, visibility, '
                'os_hidden, os_hash_algo, os_hash_value) VALUES '
                '(?, ?, 1000, "active", ?, ?, 0, "raw", "bare", ?, 0, 0, 0, '
                '"shared", 0, "sha512", ?)',
                ((_id(number), f'image {number}', _WHEN, _WHEN,
                  f'{number % 50:032x}', digest)
                 for number, digest in enumerate(digests)))
            connection.executemany(
                'INSERT INTO image_properties (image_id, name, value, '
                'created_at, updated_at, deleted) VALUES (?, ?, ?, ?, ?, '
                '0)', _properties(digests, site, properties))
    finally:
        connection.close()


def _properties(digests: list[str], site: Site,
                properties: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    for number, digest in enumerate(digests):
        values = {'hw_disk_bus': 'virtio', 'os_distro': 'debian',
                  'architecture': 'x86_64', **properties}
        if number % 10 == 9:
            values['hepix_endorsement'] = site.encode(site.sign(
                site.image_list(file_entry(digest, 1000)), site.alice))
        for name, value in values.items():
            yield _id(number), name, value, _WHEN, _WHEN


def _id(number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))
