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
"""Members of images, who say themselves what they are."""

import pytest

from hepix_vm.errors import HepixVmError
from hepix_vm.exchange.sharing import Sharing

OLD = {'id': 'old', 'name': 'a', 'owner': 'us', 'visibility': 'shared'}
NEW = {**OLD, 'id': 'new'}


class Glance:
    """The members of two images.

    :param old: those of the former version, with their status
    :param new: those of the image itself
    :param asked: called with the members before each answer
    """

    def __init__(self, old=(), new=(), asked=lambda members: None):
        self.there = {'old': dict(old), 'new': dict(new)}
        self.asked = asked
        self.begun = 0

    def members(self, image_id):
        self.asked(self.there[image_id])
        return list(self.there[image_id].items())

    def add_member(self, image_id, project, status):
        self.begun += 1
        self.there[image_id][project] = status

    def remove_member(self, image_id, project):
        self.there[image_id].pop(project, None)


@pytest.mark.parametrize('status', ['rejected', 'pending'])
def test_a_member_who_changes_its_status_holds_nothing_up(status):
    def asked(members):
        if 'evil' in members:
            members['evil'] = status

    glance = Glance(
        {'atlas': 'accepted', 'evil': 'accepted'}, asked=asked)
    Sharing(glance).like(NEW, OLD)
    assert glance.there['new'] == {'atlas': 'accepted', 'evil': status}
    Sharing(glance).share(NEW, ['evil', 'cms'])
    assert glance.there['new'] == {'cms': 'accepted', 'evil': status}


def test_a_version_takes_over_what_members_said_of_the_former():
    said = {'atlas': 'rejected', 'cms': 'accepted', 'alice': 'pending'}
    glance = Glance(said, {
        'atlas': 'accepted', 'cms': 'pending', 'other': 'accepted'})
    Sharing(glance).like(NEW, OLD)
    assert glance.there['new'] == said


def test_sharing_leaves_members_what_they_said():
    # Pending is one whom a killed run added.
    glance = Glance(new={'atlas': 'rejected', 'cms': 'pending'})
    Sharing(glance).share(NEW, ['atlas', 'cms', 'alice'])
    assert glance.there['new'] == {
        'atlas': 'rejected', 'cms': 'accepted', 'alice': 'accepted'}
    assert glance.begun == 2


def test_members_that_others_remove_all_the_time():
    glance = Glance(asked=dict.clear)
    with pytest.raises(HepixVmError, match='change too often'):
        Sharing(glance).share(NEW, ['atlas'])
