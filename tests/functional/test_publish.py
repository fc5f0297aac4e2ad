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

"""Images of a real Glance are published to other sites."""

import os
import shutil
import uuid

import pytest

from hepix_vm.trust import endorsement
from hepix_vm.trust.endorsement import TrustSettings
from hepix_vm.trust.imagelist import format_time
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.settings import Blockable
from tests.functional.conftest import start
from tests.testbed.client import add
from tests.testbed.client import ADMIN
from tests.testbed.client import replace
from tests.testbed import pki
from tests.testbed.publishing import declared
from tests.testbed.publishing import LIST
from tests.testbed.publishing import Publisher
from tests.testbed.site import entry


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """A cloud that has an account for the commands."""
    for cloud in start(tmp_path_factory.mktemp('publishing')):
        cloud.site.write_account(cloud.glance.url, 'ops:s3cret:admin')
        yield cloud


@pytest.fixture
def home(made):
    """The same without images and records."""
    for statement in ('DELETE FROM image_properties',
                      'DELETE FROM image_locations', 'DELETE FROM images'):
        made.glance.query(statement)
    made.site.write_policy()
    shutil.rmtree(made.site.state / 'published', ignore_errors=True)
    return made


@pytest.fixture
def alice(home, tmp_path):
    return Publisher(home.site, tmp_path / 'alice')


def share(home, data):
    home.record(Fact.SHAREABLE, Blockable.SHA512, entry(data).sha512)


def listed(home, **changes):
    """Bring in an image whose entry differs, and that others may have."""
    data, site = os.urandom(100), home.site
    share(home, data)
    message = site.encode(site.sign(site.image_list(entry(
        data, **changes)), site.alice))
    image_id = home.client.create(hepix_endorsement=message)
    assert home.client.put(image_id, data).status_code == 204
    return data, image_id


def publish(alice, *images, **changes):
    """Publish these images of Glance, and return the list."""
    alice.write(glance_images=list(images) or 'shareable', **changes)
    said = alice.publish()
    assert 's3cret' not in said
    return endorsement.open_list(
        alice.output.read_bytes(), TrustSettings()).image_list


def refused(alice, *images):
    """Return what is said of images that are not published."""
    alice.write(glance_images=list(images))
    done = alice.run(*alice.signer, '--yes')
    assert (done.returncode, alice.output.exists()) == (1, False)
    assert not list((alice.site.state / 'published').glob('*/*'))
    return done.stderr


def test_what_an_operator_shares_is_published(home, alice):
    # It ends with the list by which this site has it.
    data, image_id = listed(home, expires=pki.utcnow() + 99 * pki.DAY)
    home.endorsed(os.urandom(100))
    own = declared(b'x', uri='https://images.example.org/own.raw')
    found = publish(alice, images=[own], valid_days=60)
    bears = home.client.image(image_id)
    image = next(image for image in found.images
                 if image.sha512 == entry(data).sha512)
    assert len(found.images) == 2
    assert (image.size, image.uri, image.title, image.format) == (
        100, bears['hepix_uri'], 'Testbed image', 'RAW')
    # An identifier belongs to one list, and this is not the one.
    assert image.identifier == str(uuid.uuid5(
        uuid.UUID(LIST), bears['hepix_image_id']))
    assert format_time(image.expires) == bears['hepix_expires']
    assert image.expires < found.expires
    again = publish(alice, images=[own], valid_days=60)
    assert again.version == '2'
    assert {each.identifier for each in again.images} == {
        each.identifier for each in found.images}


def test_named_images(home, alice):
    first, second = listed(home), listed(home)
    uri = 'https://images.example.org/second.raw'
    found = publish(alice, first[1], {'id': second[1], 'uri': uri})
    assert {image.sha512: image.uri for image in found.images} == {
        entry(first[0]).sha512: 'https://images.example.org/image.raw',
        entry(second[0]).sha512: uri}
    found = publish(alice, second[1])
    assert (found.version, len(found.images)) == ('2', 1)


def test_an_image_without_an_address_needs_one(home, alice):
    _, image_id = listed(home, uri='file:///srv/image.raw')
    said = refused(alice, image_id)
    assert 'has no address from which others fetch it' in said
    found = publish(alice, image_id,
                    base_url='https://images.example.org/glance/')
    assert found.images[0].uri == (
        f'https://images.example.org/glance/{image_id}')


def test_what_nobody_shares_is_refused(home, alice):
    """Whatever its property says."""
    good = listed(home)[1]
    image_id = home.endorsed(os.urandom(100))
    assert home.client.as_(ADMIN).patch(
        image_id, *replace(hepix_shareable='true')).status_code == 200
    said = refused(alice, good, image_id)
    assert f'{image_id} refused: [not-shareable]' in said
    assert good not in said
    unknown = str(uuid.uuid4())
    assert f'{unknown} refused: [not-shareable]' in refused(alice, unknown)
    queued = home.client.create()
    assert 'has no data' in refused(alice, queued)


def blocked(home, data, image_id):
    home.block(data)
    return 'image-blocked'


def revoked(home, data, image_id):
    home.record(Fact.REVOKED, Blockable.SHA512, entry(data).sha512)
    return 'image-revoked'


def stranger(home, data, image_id):
    home.site.write_policy(endorsers=[])
    return 'endorser-not-accepted'


def deactivated(home, data, image_id):
    assert home.client.as_(ADMIN).deactivate(image_id).status_code == 204
    return 'not-shareable'


def altered(home, data, image_id):
    assert home.client.as_(ADMIN).patch(image_id, *add(
        hepix_altered='true')).status_code == 200
    return 'not-shareable'


@pytest.mark.parametrize('spoil', [
    blocked, revoked, stranger, deactivated, altered])
def test_what_this_site_does_not_endorse_is_refused(home, alice, spoil):
    data, image_id = listed(home)
    code = spoil(home, data, image_id)
    assert f'{image_id} refused: [{code}]' in refused(alice, image_id)
    # The others are published, and it is said that this one is not.
    other = listed(home)[0] if spoil is not stranger else None
    alice.write(glance_images='shareable')
    done = alice.run(*alice.signer, '--yes')
    assert done.returncode == 0, done.stderr
    assert f'{image_id} left out: [{code}]' in done.stderr
    found = endorsement.open_list(
        alice.output.read_bytes(), TrustSettings()).image_list
    assert [image.sha512 for image in found.images] == (
        [entry(other).sha512] if other else [])


def test_of_two_versions_the_newer_is_published(home, alice):
    identifier = str(uuid.uuid4())
    made = {version: listed(home, identifier=identifier, version=version)
            for version in ('1.9', '1.10', '1.2')}
    found = publish(alice)
    assert [(image.version, image.sha512) for image in found.images] == [
        ('1.10', entry(made['1.10'][0]).sha512)]
    alice.output.unlink()
    alice.write(glance_images=[image_id for _, image_id in made.values()])
    done = alice.run(*alice.signer, '--yes')
    assert (done.returncode, alice.output.exists()) == (1, False)
    assert '[uuid-conflict] Two images that are named' in done.stderr


def test_only_administrators_publish(home, alice):
    image_id = listed(home)[1]
    home.site.write_account(home.glance.url, 'ops:s3cret:member,reader')
    alice.write(glance_images=[image_id])
    done = alice.run(*alice.signer, '--yes')
    home.site.write_account(home.glance.url, 'ops:s3cret:admin')
    assert done.returncode > 1
    assert 'Glance answers 403' in done.stderr
    assert not alice.output.exists()


@pytest.fixture
def followed(home, alice):
    """An image that came by a list, and that version 1 of ours has."""
    data = os.urandom(100)
    share(home, data)
    home.site.accept(home.site.image_list(entry(data)))
    image_id = home.client.create()
    assert home.client.put(image_id, data).status_code == 204
    assert [image.sha512 for image in publish(alice).images] == [
        entry(data).sha512]
    yield data, image_id
    home.site.write_anchors()
    home.site.write_subscriptions([])
    for path in home.site.state.glob('lists/*'):
        path.unlink()


def held_back(alice):
    """Return what is said where version 1 stays."""
    before = alice.output.read_bytes()
    done = alice.run(*alice.signer, '--yes')
    assert (done.returncode, alice.output.read_bytes()) == (1, before)
    assert 'Nothing is published' in done.stderr
    assert 'left out' not in done.stderr
    return done.stderr


def dropped(alice):
    done = alice.run(*alice.signer, '--yes')
    assert done.returncode == 0, done.stderr
    assert ': revoked at all subscribers' in done.stdout
    return endorsement.open_list(
        alice.output.read_bytes(), TrustSettings()).image_list.images == ()


def lift(home, data):
    done = home.command(
        'hepix-vm-sync', 'lift', '--sha512', entry(data).sha512, '--reason',
        'over', '--author', 'ops')
    assert done.returncode == 0, done.stderr


def test_a_list_that_is_not_here_revokes_nothing(home, alice, followed):
    data, image_id = followed
    for path in home.site.state.glob('lists/*.smime'):
        path.unlink()
    said = held_back(alice)
    assert f'{image_id} refused: [list-rollback]' in said
    assert 'hepix-vm-sync lift' in said
    # What an operator takes back is gone, whatever else is known.
    lift(home, data)
    assert dropped(alice)


def test_the_archive_stands_in_for_what_is_lost(home, alice, followed):
    """What subscribers have is not dropped for it, nor a version 1 again."""
    site = home.site
    alice.output.unlink()
    stored, = site.state.glob('lists/*.smime')
    away = stored.rename(site.state / 'away')
    for option in ('--yes', '--dry-run'):
        done = alice.run(*alice.signer, option)
        assert (done.returncode, alice.output.exists()) == (1, False)
        assert f'{followed[1]} refused: [list-rollback]' in done.stderr
    away.rename(stored)
    for before, version in (('1', '9'), ('9', '10'), ('10', '11')):
        done = alice.run(*alice.signer, '--yes', '--list-version', version)
        assert f'version {before} -> {version}, 1 image' in done.stdout
        alice.output.unlink()


def test_an_older_version_at_its_place_revokes_nothing(
        home, alice, followed):
    assert alice.publish('--decommission')
    empty = alice.output.read_bytes()
    assert 'version 2 -> 3, 1 image' in alice.publish()
    alice.output.write_bytes(empty)
    for path in home.site.state.glob('lists/*.smime'):
        path.unlink()
    said = held_back(alice)
    assert f'{followed[1]} refused: [list-rollback]' in said


def test_a_late_crl_revokes_nothing(home, alice, followed):
    home.site.write_anchors(
        this_update=pki.utcnow() - 30 * pki.DAY,
        next_update=pki.utcnow() - 20 * pki.DAY)
    assert f'{followed[1]} refused: [crl-expired]' in held_back(alice)


@pytest.mark.parametrize('spoil', [blocked, revoked])
def test_what_is_decided_is_dropped(home, alice, followed, spoil):
    spoil(home, *followed)
    assert dropped(alice)


def test_an_image_that_is_no_more(home, alice, followed):
    """Whoever deleted it, operators still let others have it."""
    data, image_id = followed
    assert home.client.delete(image_id).status_code == 204
    said = held_back(alice)
    assert 'refused: [not-shareable] Operators let others have it' in said
    lift(home, data)
    assert dropped(alice)


def test_a_deleted_image_that_was_blocked(home, alice, followed):
    home.block(followed[0])
    assert home.client.delete(followed[1]).status_code == 204
    assert dropped(alice)


def test_images_of_one_identifier(home, alice, followed):
    """Shared by that of the list by which this site has it."""
    data, image_id = followed
    named = home.client.image(image_id)['hepix_image_id']
    lift(home, data)
    home.record(Fact.SHAREABLE, Blockable.IMAGE, named)
    assert home.client.delete(image_id).status_code == 204
    assert 'refused: [not-shareable]' in held_back(alice)


def test_an_older_version_does_not_take_its_place(home, alice, followed):
    image_id = followed[1]
    named = home.client.image(image_id)['hepix_image_id']
    for path in home.site.state.glob('lists/*.smime'):
        path.unlink()
    listed(home, identifier=named, version='0.9')
    assert f'{image_id} refused: [list-rollback]' in held_back(alice)
