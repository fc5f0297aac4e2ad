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

"""The guest's runner as units of systemd, in a Debian made by debootstrap."""

from collections.abc import Iterator
import pathlib

import pytest

from tests.functional import guests
from tests.functional.guests import assert_order
from tests.functional.guests import NAME
from tests.functional.guests import TOKEN
from tests.testbed import drive
from tests.testbed import guest
from tests.testbed.web import WebServer


@pytest.fixture(scope='module')
def good(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The console of a guest whose drive does all that it may."""
    path = tmp_path_factory.mktemp('good') / 'drive.iso'
    with WebServer({guests.PAGE: TOKEN.encode()}) as web:
        drive.by_hepix_vm(path, guests.files(web.port))
        yield guest.boot_debian([path], files=guests.at_end(
            'echo "logged $(journalctl -q -t hepix-vm -o cat'
            ' | grep -c "prolog ended with status 0")"\n'
            'echo "run is $(grep -c "^run /run .*noexec" /proc/mounts)"\n'
            + guests.AMICONFIG, '/bin/bash'))


def test_prolog_runs_before_the_network_and_epilog_after(good: str) -> None:
    assert_order(
        good,
        'guest: starts',
        'hepix-vm: the drive /dev/sr0 was copied',
        'hepix-vm: prolog begins',
        f'hepix-vm prolog: prolog part start of <{NAME}>',
        'hepix-vm prolog: link down',
        'hepix-vm prolog: addresses 0',
        'hepix-vm prolog: second start',
        'hepix-vm: prolog ended with status 0',
        'hepix-vm: epilog begins',
        f'hepix-vm epilog: epilog part start of <{NAME}>',
        'hepix-vm epilog: link up',
        'hepix-vm epilog: addresses 1',
        f'hepix-vm epilog: host says {TOKEN}',
        'hepix-vm epilog: big end',
        'hepix-vm: epilog ended with status 0',
        'guest: unit prolog active',
        'guest: unit epilog active')


def test_shutdown_stops_epilog_before_the_network_ends(good: str) -> None:
    assert_order(
        good,
        'guest: stops',
        'hepix-vm: epilog is stopped',
        f'hepix-vm epilog: epilog part stop of <{NAME}>',
        f'hepix-vm epilog: host says {TOKEN}',
        'hepix-vm: epilog stop ended with status 0',
        'hepix-vm: prolog is stopped',
        'hepix-vm prolog: second stop',
        f'hepix-vm prolog: prolog part stop of <{NAME}>',
        'hepix-vm prolog: addresses 0',
        'hepix-vm: prolog stop ended with status 0')


def test_journal_has_it_and_run_is_mounted_as_on_debian(good: str) -> None:
    assert_order(good, 'logged 1', 'run is 1')


def test_bash_of_amiconfig_can_source_the_driver(good: str) -> None:
    assert_order(good, 'amiconfig: start ended with status 0',
                 'second stop', 'amiconfig: stop ended with status 0',
                 'amiconfig: leaked <> in same', 'guest: stops')


def test_failed_units_do_not_stop_the_boot_and_are_stopped(
        tmp_path: pathlib.Path) -> None:
    path = drive.by_hepix_vm(tmp_path / 'drive.iso', drive.contextual(
        {'10-fails.sh': guests.FAILS, '20-daemon.sh': guests.DAEMON},
        {'10-stubborn.sh': guests.STUBBORN}))
    console = guest.boot_debian([path], files=guests.merged(
        guests.settings(EPILOG_LIMIT=2),
        guests.at_end(guests.LEFT)))
    assert_order(
        console,
        'hepix-vm prolog: fails',
        'hepix-vm prolog: hepix-vm: prolog 10-fails.sh failed with status 7',
        'hepix-vm: prolog ended with status 7',
        'hepix-vm: epilog begins',
        'hepix-vm epilog: does not care',
        'hepix-vm: epilog timed out after 2 s',
        'hepix-vm: epilog ended with status 124',
        'guest: unit prolog failed',
        'guest: unit epilog failed',
        'left 0',
        'hepix-vm prolog: daemon lives',
        'guest: stops',
        'hepix-vm epilog: stubborn stop',
        'hepix-vm: epilog stop ended with status 0',
        'hepix-vm: prolog stop ended with status 0')


def test_shutdown_ends_an_epilog_that_still_runs(
        tmp_path: pathlib.Path) -> None:
    slow = ('#!/bin/sh\n[ "$1" = start ] || { echo "slow $1"; exit; }\n'
            'trap \'echo "told to end"; exit 5\' TERM\n'
            'systemctl --no-block poweroff\n'
            'while :; do sleep 0.2; done\n')
    path = drive.by_hepix_vm(
        tmp_path / 'drive.iso', drive.contextual({}, {'10-slow.sh': slow}))
    console = guest.boot_debian([path])
    assert_order(
        console,
        'hepix-vm: prolog ended with status 0',
        'hepix-vm: epilog begins',
        'hepix-vm epilog: told to end',
        'hepix-vm: epilog is stopped',
        'hepix-vm epilog: slow stop',
        'hepix-vm: epilog stop ended with status 0',
        'hepix-vm: prolog stop ended with status 0')
    assert 'guest: stops' not in console


def test_without_a_drive_the_units_succeed() -> None:
    text = 'hepix-vm: no drive was found, nothing is run'
    assert_order(
        guest.boot_debian(), text, text,
        'guest: unit prolog active',
        'guest: unit epilog active', 'guest: stops')
