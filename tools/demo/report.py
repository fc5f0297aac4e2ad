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

"""What is printed around the table."""

from collections.abc import Mapping
from collections.abc import Sequence
import json
import os
import pathlib
import sys
import textwrap
from typing import Any
import uuid

from tests.testbed.client import Client
from tools.demo.cases import Attempt
from tools.demo.cases import Case
from tools.demo.cloud import Cloud
from tools.demo.routes import Route
from tools.demo.table import Row
from tools.demo.table import WIDTH

_SHOWN = 24  # characters of an endorsement


def say(text: str) -> None:
    """Print what is being done, as the scripts in tools do."""
    print_lines(textwrap.wrap(f'== {text}', WIDTH, subsequent_indent='   ',
                              break_on_hyphens=False))


def print_lines(lines: Sequence[str]) -> None:
    """Print lines at once, also into a pipe."""
    print('\n'.join(lines), flush=True)


def wrapped(text: str, indent: str = '    ', hanging: str = '') -> list[str]:
    """Return a text in lines of the page's width.

    :param hanging: further indent of all lines but the first
    """
    return textwrap.wrap(text, WIDTH, initial_indent=indent,
                         subsequent_indent=indent + hanging,
                         break_on_hyphens=False)


def legend(cases: Sequence[Case], routes: Sequence[Route]) -> list[str]:
    """Return what the names in the table mean."""
    lines = ['', 'The routes:']
    for route in routes:
        lines += wrapped(f'{route.name + ":":18}{route.how}', '  ', ' ' * 18)
    lines += ['', 'The cases:']
    for case in cases:
        lines += wrapped(f'{case.name + ":":18} {case.story}', '  ', ' ' * 19)
    return [*lines, '', *textwrap.wrap(
        'Accepted means that the image is active, Glance gives out the same '
        'bytes, and the endorsement is written on it. Refused, with a code, '
        'means that the image is queued as before, that no store and no '
        'staging folder has kept a byte, that no lock is left, and that the '
        'user was told the code.', WIDTH), '']


def messages(table: Sequence[Row]) -> list[str]:
    """Return what the user reads in each refused case, once a case."""
    lines = ['', 'What the user reads, word for word:']
    shown = set()
    for row in table:
        if row.case.code is None or row.case.name in shown:
            continue
        shown.add(row.case.name)
        lines += ['', f'  {row.case.name} ({row.route.name}, '
                  f'{row.seen.answer.kind}):', *wrapped(row.seen.answer.text)]
    return lines


def properties(image: Mapping[str, Any]) -> list[str]:
    """Return what is written on an accepted image."""
    lines = ['', f'What is written on the accepted image {image["id"]}:', '']
    for name, value in sorted(image.items()):
        if not name.startswith('hepix_'):
            continue
        if name == 'hepix_endorsement':
            value = f'{value[:_SHOWN]}... ({len(value)} characters)'
        lines += textwrap.wrap(
            f'{name:22} {value}', WIDTH, initial_indent='  ',
            subsequent_indent=' ' * 25, break_on_hyphens=False)
    return lines


def journal(path: pathlib.Path, image_id: str) -> list[str]:
    """Return the line of the journal on an image.

    :raises LookupError: it has none
    """
    with path.open() as file:
        for line in file:
            if json.loads(line)['image'] == image_id:
                return ['', 'What the journal says of it, in one line:', '',
                        *wrapped(line.strip(), '  ')]
    raise LookupError(f'{path} says nothing of the image {image_id}.')


def how_to_talk(cloud: Cloud, folder: pathlib.Path, endorsed: Attempt,
                ) -> list[str]:
    """Prepare requests in the folder and return how to send them."""
    client = cloud.client
    (folder / 'user').write_text(''.join(
        f'{name}: {value}\n'
        for name, value in client.identity.headers().items()))
    lines = [
        '', 'Glance stays up until Ctrl-C.', '',
        f'  URL:     {client.url}',
        f'  folder:  {folder}',
        f'  log:     {cloud.glance.log.relative_to(folder)}',
        f'  journal: {cloud.site.journal.relative_to(folder)}',
        f'  stop it: Ctrl-C here, or kill {os.getpid()}',
        '', 'The file "user" has the headers that Keystone would have set:',
        '', *('  ' + line for line in
              (folder / 'user').read_text().splitlines()),
        '', 'In another terminal:', '', f'cd {folder}']
    unendorsed = Attempt(endorsed.disk)
    ids = [str(uuid.uuid4()) for _ in range(2)]
    for image_id, name, attempt in zip(
            ids, ('endorsed', 'unendorsed'), (endorsed, unendorsed),
            strict=True):
        lines += _upload(client, folder, image_id, name, attempt)
    return [*lines, *_operate(cloud, folder, ids[0]), '', '# all images',
            f'curl -sS -H @user "{client.url}/v2/images?limit=1000" \\',
            '    | tr , "\\n" | grep -E "(name|status|hepix_state)\\""']


def _operate(cloud: Cloud, folder: pathlib.Path, image_id: str) -> list[str]:
    cloud.site.write_account(cloud.client.url)
    (folder / 'operator').write_text(
        f'export HEPIX_VM_CONFIG={cloud.site.config}\n'
        f'export PATH={sys.prefix}/bin:$PATH no_proxy=127.0.0.1\n')
    return [
        '', '# what an operator does; "operator" names settings and programs',
        '. ./operator',
        'hepix-vm-status audit -c State -c Status -c Name',
        'hepix-vm-sync block --reason trying --glance-image \\',
        f'    {image_id}',
        'hepix-vm-sync --sweep',
        'hepix-vm-status ledger -c Fact -c Names -c Reason']


def _upload(client: Client, folder: pathlib.Path, image_id: str, name: str,
            attempt: Attempt) -> list[str]:
    (folder / f'{name}.json').write_text(json.dumps({
        'id': image_id, 'name': name, 'container_format': 'bare',
        **attempt.properties}))
    file = attempt.disk.path.relative_to(folder)
    image_url = f'{client.url}/v2/images/{image_id}'
    return [
        '', f'# a new image, {name} (once); its bytes; what it is then',
        'curl -sS -H @user -H "Content-Type: application/json" \\',
        f'    -d @{name}.json {client.url}/v2/images',
        'curl -sS -H @user -H "Content-Type: application/octet-stream" \\',
        '    -H "Accept: text/plain" -w " (HTTP %{http_code})\\n" \\',
        f'    -T {file} \\', f'    {image_url}/file',
        'curl -sS -H @user \\', f'    {image_url}']
