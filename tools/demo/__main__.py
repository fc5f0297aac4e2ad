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

"""Shows the gate at work: ``python -m tools.demo``."""

import argparse
from collections.abc import Sequence
import contextlib
import importlib.metadata
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from tests.testbed import images
from tools.demo import cases
from tools.demo import cloud as demo_cloud
from tools.demo.cloud import Cloud
from tools.demo.cloud import Disks
from tools.demo import context
from tools.demo import following
from tools.demo import interrupts
from tools.demo import needs
from tools.demo import options as command_line
from tools.demo import report
from tools.demo.report import print_lines
from tools.demo.report import say
from tools.demo import routes
from tools.demo import table

_INTRODUCTION = (
    'starting Glance {glance} under {server} on 127.0.0.1, with the filter '
    'and the import plugin hepix_trust. There is no Keystone: Glance '
    'believes the identity headers of whoever reaches its port. The '
    'certification authority and the endorsers were made just now; all of '
    'it is thrown away at the end.')


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo.

    :returns: exit status: 0 if all is as expected, 1 if not, 128 and the
        number of the signal that stopped it
    """
    options = command_line.parser().parse_args(arguments)
    missing = needs.missing(options.server)
    if missing:
        return _error('this is needed and missing: ' + ', '.join(missing)
                      + '. tools/demo.sh installs it.')
    with interrupts.Interrupts() as signals:
        try:
            return _run(options, signals)
        except interrupts.Stopped as stop:
            _error(f'stopped by {stop}; nothing is left running.')
            return 128 + stop.number
        except BrokenPipeError:
            # The reader went away; the flush at exit must not fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except (LookupError, OSError, RuntimeError,
                subprocess.TimeoutExpired) as error:
            return _error(str(error))


def _error(text: str) -> int:
    print(f'error: {text}', file=sys.stderr)
    return 1


def _run(options: argparse.Namespace,
         signals: interrupts.Interrupts) -> int:
    begin = time.monotonic()
    with contextlib.ExitStack() as stack:
        # What is started while signals are held is on the stack when the
        # next one comes, and so is stopped.
        with signals.held():
            folder = pathlib.Path(stack.enter_context(
                tempfile.TemporaryDirectory(prefix='hepix-vm-demo-')))
        say('making disk images that boot: Debian\'s kernel and busybox')
        disks = demo_cloud.make_disks(folder / 'images')
        say(_INTRODUCTION.format(glance=importlib.metadata.version('glance'),
                                 server=options.server))
        with signals.held():
            cloud = stack.enter_context(
                demo_cloud.run(folder, options.server))
        right = _show(cloud, disks, folder)
        right = following.show(cloud, disks, folder) and right
        right = context.show(folder) and right
        say(f'{"all is as expected" if right else "NOT ALL IS AS EXPECTED"} '
            f'({time.monotonic() - begin:.0f} s)')
        if options.keep:
            _keep(cloud, disks, folder)
        signals.ignore()
        say('stopping Glance and removing its folder')
    return 0 if right else 1


def _show(cloud: Cloud, disks: Disks, folder: pathlib.Path) -> bool:
    """Show all that there is to see; return whether it is right."""
    print_lines(report.legend(cases.CASES, routes.ROUTES))
    print_lines(table.head())
    rows = []
    for row in table.rows(cloud, disks, cases.CASES, routes.ROUTES):
        print_lines(row.lines)
        rows.append(row)
    wrong = sum(bool(row.problems) for row in rows)
    print_lines(['', f'{len(rows)} attempts, {len(rows) - wrong} as '
                 f'expected, {wrong} not.', *report.messages(rows)])
    accepted = [row for row in rows
                if row.case.name == cases.QCOW2.name and not row.problems]
    if not accepted:
        print_lines(['', 'WRONG: there is no accepted image to look at.'])
        return False
    image = accepted[0].seen.image
    print_lines([*report.properties(image),
                 *report.journal(cloud.site.journal, image['id']), ''])
    return _boots(cloud, image['id'], folder) and table.all_right(rows)


def _boots(cloud: Cloud, image_id: str, folder: pathlib.Path) -> bool:
    say('downloading that image from Glance and booting it (QEMU without '
        'KVM, some seconds)')
    path = folder / 'images' / 'downloaded.qcow2'
    with (cloud.client.download(image_id) as response,
          path.open('wb') as target):
        response.raise_for_status()
        for chunk in response.iter_content(1024 * 1024):
            target.write(chunk)
    console = images.boot(path, 'qcow2')
    print_lines(['', *(f'    {line}' for line in console.splitlines()
                       if line.strip()), ''])
    if images.GREETING not in console:
        print_lines([f'WRONG: it does not say "{images.GREETING}".'])
        return False
    return True


def _keep(cloud: Cloud, disks: Disks, folder: pathlib.Path) -> None:
    endorsed = cases.QCOW2.prepare(cloud.site, disks)
    print_lines(report.how_to_talk(cloud, folder, endorsed))
    with contextlib.suppress(interrupts.Stopped):
        while True:
            signal.pause()


if __name__ == '__main__':
    sys.exit(main())
