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
"""Those who publish, and users, who want what is not theirs to have."""

import dataclasses
import os
import uuid

import pytest

from hepix_vm.exchange import bring
from hepix_vm.trust.model import Endorser
from tests.functional.following import endless
from tests.functional.following import followed
from tests.functional.following import idle
from tests.functional.following import Lists
from tests.functional.following import path_of
from tests.functional.following import VO
from tests.testbed.client import replace
from tests.testbed.site import BOB
from tests.testbed.site import CA
from tests.testbed.site import entry


class Rivals(Lists):
    """Lists of Alice, and those of Bob, whom only his own block pins."""

    def bobs(self, *images, block=None, **changes):
        """Accept a list of Bob, or another version of it."""
        image_list = self.site.image_list(*images, **{
            'endorser': Endorser(BOB, CA, 'bob@example.org', 'Bob'),
            **changes})
        number = image_list.identifier
        (self.site.state / 'lists' / f'{number}.smime').write_bytes(
            self.site.sign(image_list, self.site.bob))
        if number not in self.blocks:
            self.block(number, endorsers=[{'dn': BOB, 'ca': CA}],
                       **(block or {}))
        return image_list

    def bytes_of(self, listed):
        """The bytes that the web server has of an image."""
        return self.cloud.web.contents['/' + listed.uri.rpartition('/')[2]]


@pytest.fixture
def lists(cloud, monkeypatch):
    yield from followed(Rivals(cloud), monkeypatch)


def copy(listed, **changes):
    """The same bytes as another list has them."""
    return dataclasses.replace(
        listed, **{'identifier': str(uuid.uuid4()), **changes})


@pytest.mark.parametrize('wrong, status', [
    ({'size': 10**12}, 1), ({'format': 'nonsense'}, 1),
    ({'uri': 'https://[::1'}, 1), ({'uri': 'https://127.0.0.1:9/no.raw'}, 0),
    ({'uri': 'file:///etc/shadow'}, 0)], ids=str)
def test_what_another_list_is_wrong_about(lists, run, wrong, status):
    listed = lists.image()
    # His stands first.
    lists.bobs(copy(listed, **wrong), block={'max_bytes': 10**9})
    lists.accept(listed)
    run('--no-fetch', status=status)
    image = lists.of(listed)
    assert (image['status'], image['os_hidden']) == ('active', False)


def test_a_server_that_never_ends(lists, run, monkeypatch):
    """It does not keep out what another list says of the same bytes."""
    data = os.urandom(2000)
    slow, good = lists.image(data), lists.image(data)
    lists.accept(slow)
    lists.accept(good)
    with endless(lists, slow, monkeypatch) as patient:
        assert 'Glance goes on importing it' in run('--no-fetch').out
        lists.cloud.glance.query(
            "UPDATE tasks SET updated_at = datetime('now', '-3 hours')")
        patient.set()
        run('--no-fetch')
        assert lists.of(good)['status'] == 'active'
    asked = lists.cloud.web.asked
    assert (path_of(slow) in asked, path_of(good) in asked) == (True, True)


def test_what_may_pass_is_tried_again(lists, run):
    """Also where another list has other bytes behind the same digest."""
    data = os.urandom(2000)
    bad, good = lists.image(data), lists.image(data)
    contents = lists.cloud.web.contents
    contents[path_of(bad)] = bytes(2000)
    del contents[path_of(good)]
    lists.accept(bad)
    lists.accept(good)
    run('--no-fetch', status=2)
    contents[path_of(good)] = data
    run('--no-fetch')
    assert lists.of(good)['status'] == 'active'


def test_an_address_that_is_none_stops_no_other_image(lists, run):
    wrong, right = lists.image(), lists.image()
    lists.accept(dataclasses.replace(wrong, uri='https://[::1'), right)
    ran = run('--no-fetch', status=1)
    assert '[malformed] Its hv:uri is no address' in ran.err
    assert lists.of(right)['status'] == 'active'


def test_a_secret_in_an_address_is_not_repeated(lists, run):
    listed = lists.image()
    lists.accept(dataclasses.replace(
        listed, uri='https://user:S3CRET@127.0.0.1:9/x.raw?token=S3CRET'
        + 'x' * 1000))
    ran = run('--no-fetch', status=2)
    assert 'https://127.0.0.1:9/x.raw' in ran.err
    assert 'S3CRET' not in ran.out + ran.err


def test_a_title_that_glance_does_not_take(lists, run):
    listed = lists.image(title='A \U0001f427', description='B \U0001f427')
    lists.accept(listed, block={'compatibility': ['atrope', 'cloudkeeper']})
    run('--no-fetch')
    image = lists.of(listed)
    assert (image['name'], image['vmcatcher_event_dc_description']) == (
        'A ?', 'B ?')


def test_nobody_revokes_what_a_list_has_that_is_not_here(lists, run):
    listed, other = lists.image(), lists.image()
    bobs = lists.bobs(copy(listed), other)
    alices = lists.accept(listed)
    run('--no-fetch')
    # Such as on a new controller.
    path = lists.site.state / 'lists' / f'{alices.identifier}.smime'
    message = path.read_bytes()
    path.unlink()
    lists.bobs(other, identifier=bobs.identifier, version='2')
    run('--no-fetch')
    assert lists.records() == []
    path.write_bytes(message)
    run('--no-fetch')
    image = lists.of(listed)
    assert (image['status'], image['os_hidden']) == ('active', False)
    assert idle(run('--no-fetch'))


def upload(lists, listed):
    """Bring in what a list has with a message of Alice's own."""
    message = lists.site.sign(
        lists.site.image_list(copy(listed)), lists.site.alice)
    image_id = lists.cloud.client.create(
        hepix_endorsement=lists.site.encode(message))
    assert lists.cloud.client.put(
        image_id, lists.bytes_of(listed)).status_code == 204
    return image_id


def seen(lists, image_id):
    image = lists.admin.call('GET', f'/v2/images/{image_id}').json()
    return image['status'], image['hepix_state']


def test_a_list_revokes_its_bytes_for_everybody(lists, run):
    """An alarm counts for whoever endorses them, until it is lifted."""
    listed, other = lists.image(), lists.image()
    bobs = lists.bobs(copy(listed), other)
    uploaded = upload(lists, listed)
    run('--no-fetch')
    lists.bobs(other, identifier=bobs.identifier, version='2')
    run('--no-fetch')
    run('--sweep')
    assert seen(lists, uploaded) == ('deactivated', 'revoked')
    # A list that has them from then on does not undo it.
    alices = lists.accept(listed)
    run('--no-fetch')
    assert seen(lists, uploaded) == ('deactivated', 'revoked')
    lists.next(alices)
    run('lift', '--sha512', listed.sha512, '--reason', 'asked',
        '--author', 'ops')
    for _ in range(2):
        run('--no-fetch')
        assert seen(lists, uploaded) == ('active', 'endorsed')


def test_a_list_revokes_nothing_that_did_not_come_by_it(lists, run):
    """To have had the digest for a while is no alarm."""
    listed, other = lists.image(), lists.image()
    uploaded = upload(lists, listed)
    bobs = lists.bobs(copy(listed), other, block={
        'images': [other.identifier]})
    run('--no-fetch')
    lists.bobs(other, identifier=bobs.identifier, version='2')
    run('--no-fetch')
    assert lists.records() == []
    assert seen(lists, uploaded) == ('active', 'endorsed')


def test_a_message_that_is_newer_than_the_list(lists, run):
    image_list = lists.accept(lists.image())
    run('--no-fetch')

    def stored():
        return {path: path.read_bytes()
                for path in lists.site.state.rglob('*.smime')}

    before = stored()
    data = os.urandom(2000)
    newer = dataclasses.replace(
        image_list, version='5', images=(entry(data),))
    image_id = lists.cloud.client.create(hepix_endorsement=lists.site.encode(
        lists.site.sign(newer, lists.site.alice)))
    assert lists.cloud.client.put(image_id, data).status_code == 204
    assert idle(run('--no-fetch'))
    assert lists.records() == []
    # What an image brings is no list that a site accepted.
    assert before and stored() == before


def test_a_version_that_was_made_anew(lists, run):
    kept, dropped = lists.image(), lists.image()
    image_list = lists.accept(kept, dropped)
    run('--no-fetch')
    lists.accept(kept, identifier=image_list.identifier)
    run('--no-fetch')
    assert lists.of(dropped)['hepix_state'] == 'revoked'
    assert idle(run('--no-fetch'))
    assert len(lists.records()) == 1


@pytest.mark.parametrize('between', [True, False])
def test_what_was_gone_once_is_in_use_until_the_next_is_there(
        lists, run, between):
    """What a list said of it before it had it again is over."""
    listed = lists.image()
    image_list = lists.accept(listed)
    run('--no-fetch')
    image_list = lists.next(image_list, *(
        [lists.image(identifier=listed.identifier)] if between else []))
    run('--no-fetch')
    assert lists.of(listed)['status'] == 'deactivated'
    image_list = lists.next(image_list, listed)
    run('--no-fetch')
    assert lists.of(listed)['status'] == 'active'
    after = lists.image(identifier=listed.identifier, format='strange')
    image_list = lists.next(image_list, after)
    run('--no-fetch', status=1)
    image = lists.of(listed)
    assert (image['status'], image['os_hidden']) == ('active', False)
    lists.next(image_list, dataclasses.replace(after, format='raw'))
    run('--no-fetch')
    assert lists.of(listed)['hepix_state'] == 'superseded'
    assert lists.of(after)['status'] == 'active'


def test_copies_of_users_do_not_hurry_the_next_version(lists, run):
    old = lists.image()
    image_list = lists.accept(old)
    run('--no-fetch')
    copied = lists.cloud.client.create()
    assert lists.cloud.client.put(
        copied, lists.bytes_of(old)).status_code == 204
    late = lists.image(identifier=old.identifier)
    data = lists.cloud.web.contents.pop(
        '/' + late.uri.rpartition('/')[2])
    lists.next(image_list, late)
    for _ in range(2):
        run('--no-fetch', status=2)
        assert lists.of(old)['status'] == 'active'
    lists.cloud.web.contents['/' + late.uri.rpartition('/')[2]] = data
    run('--no-fetch')
    assert lists.of(old)['hepix_state'] == 'superseded'
    shown = lists.admin.call('GET', f'/v2/images/{copied}').json()
    assert shown['hepix_state'] == 'superseded'
    assert idle(run('--no-fetch'))


def test_images_that_become_one_wait_for_it(lists, run):
    first, second = lists.image(), lists.image()
    image_list = lists.accept(first, second)
    run('--no-fetch')
    one = lists.image(identifier=first.identifier)
    right = one.uri
    wrong = f'{right}.missing'
    following = lists.next(
        image_list, dataclasses.replace(one, uri=wrong),
        dataclasses.replace(one, identifier=second.identifier, uri=wrong))
    run('--no-fetch', status=2)
    assert lists.of(first)['status'] == 'active'
    assert lists.of(second)['status'] == 'active'
    lists.next(following, one, dataclasses.replace(
        one, identifier=second.identifier))
    run('--no-fetch')
    for each in (first, second):
        assert lists.of(each)['hepix_state'] == 'superseded'
        assert lists.of(each)['os_hidden']
    assert idle(run('--no-fetch'))


def test_ids_that_a_user_took(lists, run, monkeypatch):
    monkeypatch.setattr(bring, '_MOST', 2)
    listed = lists.image()
    for number in range(2):
        assert lists.cloud.client.call('POST', '/v2/images', json={
            'id': str(uuid.uuid5(
                bring._NAMESPACE, f'{listed.sha512} {number}')),
            'name': 'mine'}).status_code == 201
    lists.accept(listed)
    run('--no-fetch')
    assert lists.of(listed)['status'] == 'active'
    assert idle(run('--no-fetch'))


def test_a_record_that_its_owner_protects(lists, run):
    listed, other = lists.image(), lists.image()
    lists.cloud.web.contents[
        '/' + listed.uri.rpartition('/')[2]] = os.urandom(2000)
    image_list = lists.accept(listed, other, block={
        'share': 'private', 'projects': {VO: 'atlas'}})
    run('--no-fetch', status=1)
    assert lists.cloud.client.patch(
        lists.of(listed)['id'], *replace(protected=True)).status_code == 200
    image_list = lists.next(image_list, listed, other)
    run('--no-fetch', status=1)
    assert lists.cloud.client.patch(
        lists.of(listed)['id'], *replace(protected=True)).status_code == 200
    lists.next(image_list, other)
    assert '1 empty record removed' in run('--no-fetch').out
    assert idle(run('--no-fetch'))


def test_a_record_takes_no_other_bytes(lists, run):
    """Its owner would give a copy of another list's image a name."""
    listed, other = lists.image(), lists.image()
    data, wrong = lists.bytes_of(listed), os.urandom(2000)
    lists.cloud.web.contents['/' + listed.uri.rpartition('/')[2]] = wrong
    lists.accept(listed, block={
        'share': 'private', 'projects': {VO: 'atlas'}})
    run('--no-fetch', status=1)
    record = lists.of(listed)['id']
    lists.bobs(other)
    answer = lists.cloud.client.put(record, lists.bytes_of(other))
    assert (answer.status_code, '[checksum-mismatch]' in answer.text) == (
        422, True)
    assert lists.of(listed)['status'] == 'queued'
    assert lists.cloud.client.put(record, data).status_code == 204


def test_which_list_had_an_image_first_cannot_be_read(lists, run):
    listed = lists.image()
    lists.accept(listed)
    (lists.site.state / 'lists' / 'holders.json').write_text('[' * 100000)
    run('--no-fetch')
    assert lists.of(listed)['status'] == 'active'
