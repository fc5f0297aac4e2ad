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

"""Controllers that do not know the same of two lists that clash."""

import dataclasses
import json
import os

import pytest

from hepix_vm.cmd import sync
from hepix_vm import paths
from hepix_vm.trust.ledger import Fact
from tests.functional.ungated import kept
from tests.functional.ungated import upload
from tests.testbed.client import ADMIN
from tests.testbed.site import entry


@pytest.fixture
def state(bare, tmp_path, monkeypatch, capsys):
    """Return a sweep of a controller by its number, and its lists."""
    def sweep(number):
        config = tmp_path / f'hepix-vm{number}.conf'
        config.write_text(bare.site.config.read_text().replace(
            str(bare.site.state), str(tmp_path / f'state{number}')))
        monkeypatch.setenv(paths.ENVIRONMENT, str(config))
        assert sync.main(['--sweep']) == 0
        return capsys.readouterr().out

    def give(number, *image_lists, since=''):
        folder = tmp_path / f'state{number}' / 'lists'
        folder.mkdir(parents=True, exist_ok=True)
        for image_list in image_lists:
            (folder / f'{image_list.identifier}.smime').write_bytes(
                bare.site.sign(image_list, bare.site.alice))
        if since:
            (folder / 'holders.json').write_text(json.dumps({
                image.identifier: {'list': image_lists[0].identifier,
                                   'since': since}
                for image in image_lists[0].images}))
    return sweep, give


def test_the_ledger_knows_the_older_holder(bare, state):
    """Whatever each controller saw, no two undo each other's work."""
    sweep, give = state
    data = {name: os.urandom(100) for name in ('good', 'evil', 'other')}
    image = entry(data['good'])
    victim = bare.site.image_list(image)
    thief = bare.site.image_list(entry(
        data['evil'], identifier=image.identifier), entry(data['other']))
    bare.site.write_subscriptions([{
        'uuid': each.identifier, 'endorsers': [{
            'dn': each.endorser.dn, 'ca': each.endorser.ca}]}
        for each in (thief, victim)])
    ids = {name: upload(bare.client, each) for name, each in data.items()}

    def states():
        return {name: bare.client.as_(ADMIN).image(image_id)['status']
                for name, image_id in ids.items()}

    right = {'good': 'active', 'evil': 'deactivated', 'other': 'active'}
    wrong = {**right, 'good': 'deactivated', 'evil': 'active'}
    # A new one finds both, and goes by the order of the subscriptions.
    give(1, thief, victim)
    sweep(1)
    assert states() == wrong
    # One that was there before knows better, and tells it.
    give(2, victim, thief, since='2026-01-31T12:00:00Z')
    sweep(2)
    assert states() == right
    # One whose first fetch of the victim's list failed.
    give(3, thief)
    for number in (3, 1, 2, 3):
        assert 'was' not in sweep(number)
        assert states() == right
    held = [record for record in kept(bare) if record.fact is Fact.HELD]
    assert [(record.value, record.image_list) for record in held] == [
        (image.identifier, each.identifier) for each in (thief, victim)]
    # Once it has the image no more, the other list holds it.
    empty = dataclasses.replace(victim, version='2', images=())
    give(2, empty)
    sweep(2)
    # That controller alone has the version that counts.
    give(1, empty)
    sweep(1)
    assert states() == wrong
    for number in (3, 2, 1):
        assert 'was' not in sweep(number)
    assert len([record for record in kept(bare)
                if record.fact is Fact.HELD and not record.lifted]) == 1


def test_a_record_for_no_image_that_does_not_clash(bare, state):
    sweep, give = state
    bare.site.accept(bare.site.image_list(entry(b'a'), entry(b'b')))
    image_list = bare.site.image_list(entry(b'a'), entry(b'b'))
    bare.site.accept(image_list)
    give(1, image_list, since='2026-01-31T12:00:00Z')
    sweep(1)
    assert [record.fact for record in kept(bare)] == [Fact.ACCEPTED]
