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
"""How the bytes of lists come into a real Glance, and how they leave."""

import dataclasses
import datetime
import json
import os

import pytest

from hepix_vm.exchange.rest import Rest
from tests.functional.following import idle
from tests.functional.following import path_of
from tests.functional.following import VO
from tests.testbed.client import LOCK
from tests.testbed.client import replace
from tests.testbed.pki import utcnow
from tests.testbed.site import entry


def tampered(lists, data, other):
    """Return an image behind whose address other bytes are."""
    listed = lists.image(other)
    return entry(data, uri=listed.uri)


# With a token Glance's web-download cannot fetch it, and it comes by us.
@pytest.mark.parametrize('block', [{}, {'token': 'alice:s3cret'}])
@pytest.mark.parametrize('other', [b'x' * 2000, b'x' * 1999, b'x' * 2001])
def test_tampered_behind_a_good_list(lists, run, block, other):
    data = os.urandom(2000)
    bad, good = tampered(lists, data, other), lists.image()
    image_list = lists.accept(bad, good, block=block)
    ran = run('--no-fetch', status=1)
    code = ('checksum-mismatch' if len(other) == len(data)
            else 'size-mismatch')
    # Glance's plugin does not know whose bytes these were to be.
    code = code if block else 'not-endorsed'
    assert f'image {bad.identifier}' in ran.err
    assert f'[{code}]' in ran.err
    assert lists.of(good)['status'] == 'active'
    image = lists.of(bad)
    assert (image['status'], image['hepix_state']) == ('queued', 'refused')
    assert code in image['hepix_reason']
    # The same bytes are not fetched at each run, and still reported.
    asked = list(lists.cloud.web.asked)
    assert path_of(bad) in asked
    ran = run('--no-fetch', status=1)
    assert f'[{code}]' in ran.err
    assert f'hepix-vm-sync fetch {bad.identifier}' in ran.err
    assert lists.cloud.web.asked == asked
    # When they are mended somebody says so, or the next version comes.
    lists.cloud.web.contents[path_of(bad)] = data
    if block:
        run('fetch', bad.identifier)
    else:
        lists.next(image_list, bad, good)
        run('--no-fetch')
    image = lists.of(bad)
    assert (image['status'], image['hepix_state'], image['os_hidden']) == (
        'active', 'endorsed', False)
    assert not {'hepix_reason', 'hepix_tried'} & image.keys()


def test_by_us_where_glance_cannot(lists, run):
    listed = lists.image(os.urandom(3_000_000))
    lists.accept(listed, block={'token': 'alice:s3cret'})
    ran = run('--no-fetch')
    assert 's3cret' not in ran.out + ran.err
    image = lists.of(listed)
    assert (image['status'], image['hepix_state'], image['size']) == (
        'active', 'endorsed', 3_000_000)
    task, = lists.admin.tasks(image['id'])
    assert 'glance-direct' in str(task)


def test_what_cannot_be_had_is_tried_again(lists, run):
    gone, good = lists.image(), lists.image()
    data = lists.cloud.web.contents.pop(path_of(gone))
    image_list = lists.accept(gone, good)
    for block in ({}, {'token': 'alice:s3cret'}):
        lists.block(image_list.identifier, **block)
        ran = run('--no-fetch', status=2)
        assert (f'failed: image "{gone.title}" ({gone.identifier}) of the '
                f'list "{image_list.title}" ({image_list.identifier}): '
                ) in ran.err
    assert lists.of(good)['status'] == 'active'
    lists.cloud.web.contents[path_of(gone)] = data
    run('--no-fetch')
    assert lists.of(gone)['status'] == 'active'


def test_stores(lists, run):
    listed = lists.image()
    lists.accept(listed, block={'stores': ['reliable']})
    run('--no-fetch')
    assert lists.of(listed)['stores'] == 'reliable'


def test_limits(lists, run):
    first, second, third = (lists.image() for _ in range(3))
    lists.accept(first, second, block={'max_bytes': 3000})
    ran = run('--no-fetch', status=1)
    assert f'image {second.identifier}' in ran.err
    assert '[too-large]' in ran.err
    lists.top['max_bytes'] = 3000
    lists.accept(third)
    ran = run('--no-fetch', status=1)
    assert f'image {third.identifier}' in ran.err
    assert len(lists.images()) == 1
    lists.top['max_bytes'] = '1 GiB'
    lists.write()
    run('--no-fetch', status=1)
    assert lists.of(third)['status'] == 'active'


def test_an_import_that_died_with_glance(lists, run):
    """Nothing can be done with the record that it left."""
    listed = lists.image()
    lists.accept(listed)
    run('--no-fetch')
    image_id = lists.of(listed)['id']
    lists.cloud.glance.query(
        "UPDATE images SET status = 'importing', os_hidden = 1 "
        'WHERE id = ?', (image_id,))
    lists.cloud.glance.query(
        'DELETE FROM image_properties WHERE image_id = ? AND name IN '
        "('hepix_shared', 'hepix_state')", (image_id,))
    task, = lists.admin.tasks(image_id)
    now = datetime.datetime.now(datetime.UTC).isoformat(' ')[:19]
    lists.cloud.glance.query(
        'INSERT INTO image_properties (image_id, name, value, created_at, '
        'updated_at, deleted) VALUES (?, ?, ?, ?, ?, 0)',
        (image_id, LOCK, task['id'], now, now))
    lists.cloud.glance.query(
        "UPDATE tasks SET status = 'processing', "
        "updated_at = datetime('now', '-3 hours')")
    run('--no-fetch')
    image = lists.of(listed)
    assert image['status'] == 'active'
    assert image['id'] != image_id
    assert lists.admin.call(
        'GET', f'/v2/images/{image_id}').status_code == 404


def test_ids_of_deleted_images_and_of_users_are_passed_over(lists, run):
    listed = lists.image()
    lists.accept(listed)
    run('--no-fetch')
    first = lists.of(listed)['id']
    assert lists.admin.delete(first).status_code == 204
    run('--no-fetch')
    second = lists.of(listed)['id']
    assert second != first
    # The third one is a user's: he may choose it, and it is left to him.
    assert lists.admin.delete(second).status_code == 204
    run('--no-fetch')
    third = lists.of(listed)['id']
    lists.forget()
    theirs = [lists.cloud.client.create(id=each, name='mine')
              for each in (first, third)]
    lists.accept(listed)
    run('--no-fetch')
    assert lists.of(listed)['id'] == second
    for image_id in theirs:
        image = lists.admin.image(image_id)
        assert (image['name'], image['status']) == ('mine', 'queued')


def test_a_user_cannot_pass_for_us(lists, run):
    answer = lists.cloud.client.try_create(hepix_subscription='x')
    assert answer.status_code == 403


def test_a_new_version_that_never_was_there_is_cleared_away(lists, run):
    gone = lists.image()
    del lists.cloud.web.contents[path_of(gone)]
    image_list = lists.accept(gone)
    run('--no-fetch', status=2)
    assert len(lists.images()) == 1
    good = lists.image(identifier=gone.identifier)
    lists.next(image_list, good)
    run('--no-fetch')
    assert [image['hepix_sha512'] for image in lists.images()] == [
        good.sha512]


def test_formats(lists, run):
    packed = lists.image(format='raw.gz')
    unknown = lists.image(format='tar.gz')
    named = lists.image(format='')
    lists.accept(packed, unknown, named)
    ran = run('--no-fetch', status=1)
    assert f'image {unknown.identifier}' in ran.err
    assert '[format-mismatch]' in ran.err
    assert (lists.of(packed)['container_format'],
            lists.of(packed)['disk_format']) == ('compressed', 'raw')
    assert lists.of(named)['disk_format'] == 'raw'


def test_a_new_version_of_an_unknown_format(lists, run):
    old = lists.image()
    image_list = lists.accept(old)
    run('--no-fetch')
    lists.next(image_list, lists.image(
        identifier=old.identifier, format='tar.gz'))
    assert '[format-mismatch]' in run('--no-fetch', status=1).err
    run('--sweep')
    image = lists.of(old)
    assert (image['status'], image['hepix_state'], image['visibility'],
            image['os_hidden']) == ('active', 'endorsed', 'shared', False)
    assert lists.records() == []


def test_what_other_tools_read(lists, run):
    listed = lists.image(extra={
        'ad:mpuri': 'https://appdb.example.org/1', 'hv:ram_minimum': '2048',
        'hv:core_minimum': '4'})
    lists.accept(listed, block={'compatibility': ['atrope', 'cloudkeeper']})
    run('--no-fetch')
    image = lists.of(listed)
    assert image['tags'] == ['atrope']
    assert image['vmcatcher_event_ad_mpuri'] == 'https://appdb.example.org/1'
    assert image['appdb_id'] == listed.identifier
    assert image['sha512'] == listed.sha512
    assert json.loads(image['APPLIANCE_ATTRIBUTES'])[
        'sl:checksum:sha512'] == listed.sha512
    assert image['CLOUDKEEPER_ram'] == '2048'
    assert image['CLOUDKEEPER_digest'] == listed.sha512
    assert (image['min_ram'], image['min_disk']) == (2048, 0)


def test_what_other_tools_read_is_written_later_as_well(lists, run):
    listed, plain = lists.image(), lists.image()
    image_list = lists.accept(listed)
    other = lists.accept(plain)
    run('--no-fetch')
    image_id = lists.of(listed)['id']
    assert lists.admin.patch(image_id, *replace(
        tags=['ours'], os_version='mine')).status_code == 200
    lists.block(image_list.identifier,
                compatibility=['atrope', 'cloudkeeper'])
    assert 'judge: ' in run('--no-fetch').out
    before = lists.of(listed)
    assert sorted(before['tags']) == ['atrope', 'ours']
    assert before['os_version'] == 'mine'
    assert before['appdb_id'] == listed.identifier
    assert idle(run('--no-fetch'))
    # A new version of the list says other things, and marks it again.
    asked = []
    with pytest.MonkeyPatch.context() as patched:
        request = Rest.request

        def counted(self, method, path, *more, **rest):
            asked.append(f'{method} {path}')
            return request(self, method, path, *more, **rest)

        patched.setattr(Rest, 'request', counted)
        lists.next(image_list, listed, expires=image_list.expires
                   + datetime.timedelta(days=1))
        assert 'judge: ' in run('--no-fetch').out
    assert [each for each in asked if image_id in each] == [
        f'GET /v2/images/{image_id}', f'PATCH /v2/images/{image_id}']
    image = lists.of(listed)
    assert image['hepix_list_version'] == '2'
    assert int(image['CLOUDKEEPER_expiration_date']) == int(
        before['CLOUDKEEPER_expiration_date']) + 24 * 3600
    assert idle(run('--no-fetch'))
    # Nobody else's images.
    assert 'appdb_id' not in lists.of(plain)
    assert lists.of(plain)['hepix_list_id'] == other.identifier


def test_for_one_project_alone(lists, run):
    listed = lists.image()
    lists.accept(listed, block={
        'share': 'private', 'projects': {VO: 'atlas'}})
    run('--no-fetch')
    image = lists.of(listed)
    assert (image['visibility'], image['owner'], image['os_hidden']) == (
        'private', 'atlas', False)


def test_an_image_of_another_list_is_refused_alone(lists, run):
    """In a UUID clash the older holder wins."""
    first, thief = lists.image(), lists.image()
    lists.accept(first)
    other = lists.image()
    lists.accept(dataclasses.replace(
        thief, identifier=first.identifier), other)
    ran = run('--no-fetch', status=1)
    assert '[uuid-conflict]' in ran.err
    assert lists.of(other)['status'] == 'active'
    assert len(lists.images()) == 2


def test_an_expired_list_brings_nothing_in(lists, run):
    lists.accept(lists.image(), expires=utcnow().replace(
        microsecond=0) - datetime.timedelta(minutes=1))
    ran = run('--no-fetch', status=1)
    assert '[list-expired]' in ran.err
    assert lists.images() == []


def test_a_blocked_image_is_not_even_fetched(lists, run):
    listed, other = lists.image(), lists.image()
    lists.accept(listed, other)
    lists.site.write_policy(blocked=[{
        'image': listed.identifier, 'reason': 'CVE-2026-0001'}])
    ran = run('--no-fetch', status=1)
    assert '[image-blocked]' in ran.err
    assert lists.of(other)['status'] == 'active'
    assert len(lists.images()) == 1


def test_fetching_what_cannot_be_had_says_why(lists, run):
    strange, other = lists.image(format='STRANGE'), lists.image()
    lists.accept(strange, other)
    ran = run('fetch', strange.identifier, status=1)
    assert strange.identifier in ran.err
    assert '[format-mismatch] No format of Glance is known' in ran.err
    assert '[not-endorsed]' not in ran.err
    assert lists.images() == []
    assert '1 image came in' in run('fetch', other.identifier).out


@pytest.mark.parametrize('share', ['community', 'public'])
def test_shared_with_everybody(lists, run, share):
    listed = lists.image()
    lists.accept(listed, block={'share': share, 'projects': None})
    run('--no-fetch')
    image = lists.of(listed)
    assert (image['visibility'], image['os_hidden']) == (share, False)
