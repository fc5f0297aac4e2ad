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

"""What users and mistakes of operators do to the drives of others."""

import fcntl
import os
import pathlib
import shutil

import pytest

from tests.testbed.contexts import ContextSite
from tests.testbed.contexts import write_tree


@pytest.fixture
def site(tmp_path: pathlib.Path) -> ContextSite:
    return ContextSite(tmp_path / 'site', context_failure='warn')


def made(site: ContextSite, **documents: object) -> bytes:
    """Make a drive, and return it."""
    drive = site.folder / 'drive'
    drive.unlink(missing_ok=True)
    done = site.mkisofs(drive, write_tree(
        site.folder / 'tree', **documents))
    assert (done.returncode, done.stderr) == (0, '')
    return drive.read_bytes()


def test_many_routes_do_not_switch_the_context_off(
        site: ContextSite) -> None:
    routes = [{'network': f'2001:db8::{number:x}', 'netmask': 'ffff::',
               'gateway': '2001:db8:1111:2222:3333:4444:5555:6666'}
              for number in range(900)]
    networks = [{'ip_address': '2001:db8::1', 'routes': routes}]
    drive = made(site, network_data={'networks': networks})
    assert b'log to $HEPIX_SITE_LOG' in drive
    assert site.journal == []


def test_another_release_that_a_link_puts_in_place(
        site: ContextSite) -> None:
    old, new = site.folder / 'old', site.folder / 'new'
    site.parts.rename(old)
    shutil.copytree(old, new)
    (new / '10-log.sh').write_text('#!/bin/sh\necho newer\n')
    site.parts.symlink_to(old)
    assert b'echo newer' not in made(site)
    site.parts.unlink()
    site.parts.symlink_to(new)
    assert b'echo newer' in made(site)


def test_who_reads_the_journal_cannot_hold_up_a_drive(
        site: ContextSite) -> None:
    site.yaml.write_text('rules: x\n')
    journal = site.state / 'journal' / 'nova-compute.jsonl'
    journal.parent.mkdir(parents=True)
    journal.touch()
    drive = site.folder / 'drive'
    with journal.open() as reader:
        fcntl.flock(reader, fcntl.LOCK_EX)
        done = site.mkisofs(drive, write_tree(site.folder / 'tree'))
    assert done.returncode == 0
    assert 'warning: no context is on the drive' in done.stderr
    assert site.journal == []


def test_not_everybody_on_the_host_reads_a_drive(site: ContextSite) -> None:
    mask = os.umask(0o022)
    try:
        made(site)
    finally:
        os.umask(mask)
    assert (site.folder / 'drive').stat().st_mode & 0o777 == 0o640
