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

"""The table: what was expected, what happened, and whether it is right."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import hashlib
import itertools
import pathlib
import re
import textwrap
from typing import Any

from tests.testbed.client import LOCK
from tools.demo.cases import Attempt
from tools.demo.cases import Case
from tools.demo import cloud as demo_cloud
from tools.demo.cloud import Cloud
from tools.demo.cloud import Disks
from tools.demo.routes import ACCEPTED
from tools.demo.routes import Answer
from tools.demo.routes import REFUSED
from tools.demo.routes import Route

WIDTH = 79  # columns
_COLUMNS = (17, 14, 21, 21)
_HEAD = ('case', 'route', 'expected', 'what happened')


@dataclasses.dataclass(frozen=True)
class Seen:
    """What an attempt led to.

    :param image: the image as the API shows it afterwards
    :param files: files with bytes in stores, staging and tasks that were
        not there before
    :param sha512: digest of what Glance gives out; empty if not active
    """

    answer: Answer
    image: Mapping[str, Any]
    files: Sequence[pathlib.Path] = ()
    sha512: str = ''

    @property
    def codes(self) -> list[str]:
        """The codes that the user is told."""
        return re.findall(r'\[([a-z-]+)\]', self.answer.text)

    @property
    def outcome(self) -> str:
        """What happened, as the table names it."""
        if self.image.get('status') == 'active':
            return 'accepted'
        return ', '.join(self.codes) or 'no reason given'


@dataclasses.dataclass(frozen=True)
class Row:
    """One attempt, judged."""

    case: Case
    route: Route
    sha512: str
    seen: Seen

    @property
    def problems(self) -> list[str]:
        """What is not as it should be; nothing if the row is right."""
        if self.case.code is None:
            return list(_not_accepted(self.seen, self.sha512))
        return list(_not_refused(self.seen, str(self.case.code)))

    @property
    def lines(self) -> list[str]:
        """The row as it is printed."""
        lines = _cells(self.case.name, self.route.name, self.case.expected,
                       self.seen.outcome)
        for problem in self.problems:
            lines += textwrap.wrap(
                f'WRONG: {problem}', WIDTH, initial_indent='    ',
                subsequent_indent='    ')
        return lines


def head() -> list[str]:
    """Return the first lines of the table."""
    return [*_cells(*_HEAD), *_cells(*('-' * width for width in _COLUMNS))]


def rows(cloud: Cloud, disks: Disks, cases: Sequence[Case],
         routes: Sequence[Route]) -> Iterator[Row]:
    """Try every case on every route.

    :returns: the rows, each as soon as it is known
    """
    for case in cases:
        attempt = case.prepare(cloud.site, disks)
        try:
            for route in routes:
                yield Row(case, route, attempt.disk.sha512,
                          _try(cloud, attempt, route))
        finally:
            demo_cloud.reset(cloud.site)


def all_right(table: Sequence[Row]) -> bool:
    """Return whether all rows are right; none at all show nothing."""
    return bool(table) and not any(row.problems for row in table)


def _try(cloud: Cloud, attempt: Attempt, route: Route) -> Seen:
    client = cloud.client
    before = set(cloud.glance.stored_files())
    try:
        image_id = client.create(name=route.name, **attempt.properties)
        answer = route.bring(cloud, image_id, attempt.disk.path)
        image = client.image(image_id)
        digest = ''
        if image['status'] == 'active':
            digest = _download(cloud, image_id)
    except Exception as error:
        # Whatever broke, the row is wrong, and the others are to be seen.
        answer = Answer(type(error).__name__, str(error))
        image, digest = {}, ''
    after = set(cloud.glance.stored_files())
    return Seen(answer, image, sorted(after - before), digest)


def _download(cloud: Cloud, image_id: str) -> str:
    digest = hashlib.sha512()
    with cloud.client.download(image_id) as response:
        for chunk in response.iter_content(1024 * 1024):
            digest.update(chunk)
    return digest.hexdigest()


def _not_accepted(seen: Seen, sha512: str) -> Iterator[str]:
    if seen.answer.kind not in ACCEPTED:
        yield f'the answer is {seen.answer.kind}: {seen.answer.text}'
    if seen.image.get('status') != 'active':
        yield f'the image is {seen.image.get("status")}, not active'
    if seen.sha512 != sha512:
        yield 'Glance does not give out the bytes that it was given'
    for name, value in (('hepix_state', 'endorsed'),
                        ('hepix_sha512', sha512)):
        if seen.image.get(name) != value:
            yield f'{name} is {seen.image.get(name)}, not {value}'
    if len(seen.files) != 1:
        yield f'the bytes are in {len(seen.files)} files, not in one'


def _not_refused(seen: Seen, code: str) -> Iterator[str]:
    if seen.answer.kind not in REFUSED:
        yield f'the answer is {seen.answer.kind}: {seen.answer.text}'
    if code not in seen.codes:
        yield f'the message does not give the code {code}'
    if seen.image.get('status') != 'queued':
        yield f'the image is {seen.image.get("status")}, not queued'
    if LOCK in seen.image:
        yield 'the image is still locked by its import'
    if seen.files:
        yield 'bytes were left behind: ' + ', '.join(map(str, seen.files))


def _cells(*texts: str) -> list[str]:
    columns = [textwrap.wrap(text, width, break_on_hyphens=False)
               for text, width in zip(texts, _COLUMNS, strict=True)]
    return ['  '.join(cell.ljust(width) for cell, width in
                      zip(line, _COLUMNS, strict=True)).rstrip()
            for line in itertools.zip_longest(*columns, fillvalue='')]
