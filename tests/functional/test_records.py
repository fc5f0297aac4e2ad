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

"""Blocks that an operator writes, and takes back."""

import os

import pytest

from tests.functional.conftest import start
from tests.testbed.site import entry


@pytest.fixture(scope='module')
def swept(tmp_path_factory):
    """A cloud that has an account for the commands."""
    for cloud in start(tmp_path_factory.mktemp('swept')):
        cloud.site.write_account(cloud.glance.url)
        yield cloud


def run(cloud, *arguments, status=0):
    done = cloud.command('hepix-vm-sync', *arguments)
    assert done.returncode == status, done.stderr
    assert 'Traceback' not in done.stderr
    return done.stdout if status == 0 else done.stderr


@pytest.mark.parametrize('kind, value', [
    ('--sha512', lambda data, image_id: entry(data).sha512.upper()),
    ('--glance-image', lambda data, image_id: image_id)])
def test_blocking_and_lifting(swept, kind, value):
    data = os.urandom(100)
    image_id = swept.endorsed(data)
    named = (kind, value(data, image_id))
    run(swept, 'block', *named, '--reason', 'CVE-2026-0002', '--author',
        'ops@example.org')
    assert f'{image_id} was deactivated (image-blocked)' in run(
        swept, '--sweep')
    image = swept.client.image(image_id)
    assert (image['status'], image['hepix_state']) == (
        'deactivated', 'blocked')
    assert 'ops@example.org blocked' in image['hepix_reason']
    assert 'no longer blocked (CVE-2026-0002)' in run(
        swept, 'lift', *named, '--reason', 'mended')
    assert f'{image_id} was reactivated' in run(swept, '--sweep')
    assert 'hepix_reason' not in swept.client.image(image_id)
    assert 'neither blocked nor revoked' in run(
        swept, 'lift', *named, '--reason', 'mended', status=1)


@pytest.mark.parametrize('arguments, what', [
    (('--sha512', 'abc', '--reason', 'x'), '128 hexadecimal digits'),
    (('--image', 'x', '--reason', 'x'), 'UUID'),
    (('--list', 'x', '--reason', 'x'), 'UUID'),
    (('--list', 'x', '--reason', ' '), 'may be empty'),
    (('--list', 'x'), '--reason'), (('--reason', 'x'), 'is required')])
def test_what_cannot_be_blocked(swept, arguments, what):
    assert what in run(swept, 'block', *arguments, status=2)


def test_an_account_that_may_not(swept):
    image_id = swept.endorsed(os.urandom(100))
    swept.site.write_account(swept.glance.url, 'sync:service:member,reader')
    try:
        for verb in ('block', 'lift'):
            assert 'Glance answers 403' in run(
                swept, verb, '--glance-image', image_id, '--reason', 'x',
                status=2)
    finally:
        swept.site.write_account(swept.glance.url)
