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

"""What it costs to take in long lists, and to follow them."""

from collections.abc import Iterator
import dataclasses
import hashlib
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
from hepix_vm.exchange.wanted import Access
from hepix_vm import paths
from hepix_vm import properties
from hepix_vm.subscriptions import Share
from hepix_vm.trust.endorsement import open_list
from hepix_vm.trust.endorsement import TrustSettings
from hepix_vm.trust.model import Endorsement
from hepix_vm.trust.model import ImageEntry
from hepix_vm.trust.model import ImageList
from hepix_vm.trust.verdict import Verdict
from tests.testbed import atrope
from tests.testbed.glance import Glance
from tests.testbed.listserver import ListServer
from tests.testbed.site import ALICE
from tests.testbed.site import CA
from tests.testbed.site import file_entry
from tests.testbed.site import Site

AHEAD = 1.0  # of atrope
SECONDS = 60.0
QUIET = 15.0  # seconds, where nothing changed
AT_ONCE = 30.0  # seconds for lists that are fetched at once
MEMORY = 300.0  # MiB

IMAGES = 10_000
LISTS = 100
_NEW = 1_000  # images of the second version that have other bytes
_ACCOUNT = 'sync:service:admin'
_WHEN = '2026-01-01 00:00:00.000000'
_ROOT = pathlib.Path(__file__).parent.parent


@dataclasses.dataclass
class _Program:
    """A module that is run again and again, and what it took.

    :param said: what must be in its output
    """

    folder: pathlib.Path
    command: tuple[str, ...]
    said: str
    python: str = sys.executable
    settings: pathlib.Path | None = None
    taken: list[float] = dataclasses.field(default_factory=list)
    peak: int = 0
    output: str = ''

    def run(self) -> float:
        """Run it once; return and keep the seconds."""
        peak = self.folder / 'peak'
        environment = {**os.environ, 'PYTHONPATH': str(_ROOT)}
        if self.settings:
            environment[paths.ENVIRONMENT] = str(self.settings)
        start = time.perf_counter()
        done = subprocess.run(
            [self.python, '-m', 'benchmarks.peak', str(peak),
             *self.command], capture_output=True, text=True,
            env=environment)
        self.taken.append(time.perf_counter() - start)
        self.output = done.stdout
        assert self.said in done.stdout, done.stdout[-2000:] + done.stderr
        self.peak = max(self.peak, int(peak.read_text()))
        return self.taken[-1]

    @property
    def detail(self) -> str:
        """Say the same of all its runs."""
        return (f'{min(self.taken):.1f} to {max(self.taken):.1f} s in '
                f'{len(self.taken)} runs')


def reading(run: Run) -> list[Figure]:
    """Verify and parse a list of 10,000 images, as atrope does and as we."""
    site = run.site('reading-site')
    path = run.folder / 'reading.smime'
    path.write_bytes(site.sign(_list(site, IMAGES), site.alice))
    given = (str(path), str(site.anchors))
    theirs = _Program(run.folder, ('benchmarks.read_by_atrope', *given),
                      str(IMAGES), atrope.python())
    ours = _Program(run.folder, ('benchmarks.read_by_us', *given),
                    str(IMAGES))
    pairs = interleave(theirs.run, ours.run, run.pairs)
    return [
        Figure('reading', f'a program that verifies and parses a list of '
               f'{IMAGES} images, to atrope 2.0', pairs.ratio, AHEAD,
               detail=f'{min(pairs.ratios):.3f} to {max(pairs.ratios):.3f} '
                      f'in {len(pairs.ratios)} pairs; median '
                      f'{statistics.median(pairs.bare):.2f} s atrope, '
                      f'{statistics.median(pairs.ours):.2f} s we'),
        Figure('reading', 'its peak of resident memory, to atrope\'s',
               ours.peak / theirs.peak, AHEAD,
               detail=f'{ours.peak / MIB:.1f} MiB, atrope '
                      f'{theirs.peak / MIB:.1f} MiB')]


def following(run: Run) -> list[Figure]:
    """Follow a list of 10,000 images into a Glance that has as many.

    A run that finds nothing new, and one that plans what the next version
    of the list brings, in turns; both fetch, verify and parse it.
    """
    site = run.site('following-site')
    first = _list(site, IMAGES)
    second = dataclasses.replace(first, version='2', images=tuple(
        dataclasses.replace(entry, sha512=f'{number:0128x}', version='2')
        if number < _NEW else entry
        for number, entry in enumerate(first.images)))
    with ListServer() as server, Glance(
            run.folder / 'following', filters=(),
            import_plugins=()) as glance:
        site.write_account(glance.url, _ACCOUNT)
        url = server.serve('/list', site.sign(first, site.alice))
        server.serve('/next', site.sign(second, site.alice))
        _subscribe(site, server, {first.identifier: url})
        _fill(glance.folder / 'glance.sqlite', _accepted(site, first))
        command = ('hepix_vm.cmd.sync',)
        quiet = _Program(run.folder, command, 'total: nothing to do',
                         settings=site.config)
        # Five for each new version; the others are marked with the list's.
        busy = _Program(run.folder, (*command, '--dry-run'),
                        f'{IMAGES + 4 * _NEW} steps, ',
                        settings=site.config)

        def plan() -> float:
            server.answers['/list'], server.answers['/next'] = (
                server.answers['/next'], server.answers['/list'])
            try:
                return busy.run()
            finally:
                server.answers['/list'], server.answers['/next'] = (
                    server.answers['/next'], server.answers['/list'])

        interleave(quiet.run, plan, run.pairs)
    return [
        Figure('following', f'a run that plans {_NEW} new versions of '
               f'{IMAGES} images', statistics.median(busy.taken), SECONDS,
               's', busy.detail),
        Figure('following', 'a run that finds nothing new',
               statistics.median(quiet.taken), QUIET, 's',
               f'{quiet.detail}; {QUIET:.0f} s are 25 % of what the first '
               f'may take'),
        Figure('following', 'the peak of resident memory, the larger of '
               'both', max(busy.peak, quiet.peak) / MIB, MEMORY, 'MiB')]


def fetching(run: Run) -> list[Figure]:
    """Take in 100 lists at once."""
    site = run.site('fetching-site')
    with ListServer() as server:
        lists = [_list(site, 10) for _ in range(LISTS)]
        _subscribe(site, server, {
            each.identifier: server.serve(
                f'/{number}', site.sign(each, site.alice))
            for number, each in enumerate(lists)})
        taken = []
        for _ in range(run.pairs):
            for path in (site.state / 'lists').iterdir():
                path.unlink()
            program = _Program(
                run.folder, ('benchmarks.intake',), f'accepted {LISTS}',
                settings=site.config)
            taken.append(program.run())
    return [Figure('fetching', f'{LISTS} lists over https, accepted',
                   statistics.median(taken), AT_ONCE, 's',
                   f'{min(taken):.1f} to {max(taken):.1f} s in '
                   f'{len(taken)} runs')]


def _list(site: Site, images: int) -> ImageList:
    name = str(uuid.uuid4())
    return site.image_list(*(
        file_entry(hashlib.sha512(f'{name} {number}'.encode()).hexdigest(),
                   1000 + number) for number in range(images)))


def _subscribe(site: Site, server: ListServer,
               lists: dict[str, str]) -> None:
    site.write_subscriptions([{
        'url': url, 'uuid': identifier, 'share': 'public',
        'ca_bundle': server.bundle(site.folder),
        'endorsers': [{'dn': ALICE, 'ca': CA}]}
        for identifier, url in lists.items()])


def _accepted(site: Site, image_list: ImageList) -> list[Endorsement]:
    """Return what endorses the images of a list that was accepted."""
    signed = open_list(site.sign(image_list, site.alice), TrustSettings())
    return [Endorsement(entry, signed.image_list, signed.signer,
                        signed.certificate, 'lists')
            for entry in signed.image_list.images]


def _fill(database: pathlib.Path, endorsements: list[Endorsement]) -> None:
    """Put images into a Glance's database as a run leaves them."""
    connection = sqlite3.connect(database, timeout=60)
    try:
        with connection:
            connection.executemany(
                'INSERT INTO images (id, name, size, status, created_at, '
                'updated_at, deleted, disk_format, container_format, '
                'owner, min_disk, min_ram, protected, visibility, '
                'os_hidden, os_hash_algo, os_hash_value) VALUES '
                '(?, ?, ?, "active", ?, ?, 0, "raw", "bare", "service", 0, '
                '0, 0, "public", 0, "sha512", ?)',
                ((_id(each.entry), each.entry.title, each.entry.size, _WHEN,
                  _WHEN, each.entry.sha512) for each in endorsements))
            connection.executemany(
                'INSERT INTO image_properties (image_id, name, value, '
                'created_at, updated_at, deleted) VALUES (?, ?, ?, ?, ?, '
                '0)', _properties(endorsements))
    finally:
        connection.close()


def _properties(endorsements: list[Endorsement]
                ) -> Iterator[tuple[str, ...]]:
    for each in endorsements:
        entry = each.entry
        values = {
            **properties.of_verdict(
                Verdict((), each, sha512=entry.sha512, size=entry.size),
                altered=False, require_trait=False),
            properties.SUBSCRIPTION: each.image_list.identifier,
            properties.SHARED: Access(Share.PUBLIC).word}
        for name, value in values.items():
            yield _id(entry), name, value, _WHEN, _WHEN


def _id(entry: ImageEntry) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, entry.sha512))
