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
"""Lists, images and a Glance that are values, for tests of plans."""

import dataclasses
import datetime
import hashlib
import uuid

from hepix_vm.exchange.catalogue import Abilities
from hepix_vm.exchange.plan import plan
from hepix_vm.exchange.present import Present
from hepix_vm.exchange.steps import Action
from hepix_vm.exchange.steps import Knowledge
from hepix_vm.exchange.wanted import marked
from hepix_vm.exchange.wanted import Situation
from hepix_vm.exchange.wanted import wanted
from hepix_vm.subscriptions import Block
from hepix_vm.subscriptions import Following
from hepix_vm.subscriptions import Subscriptions
from hepix_vm.trust.endorsement import AcceptedList
from hepix_vm.trust.endorsement import AcceptedLists
from hepix_vm.trust.endorsement import SignedList
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.model import Endorser
from hepix_vm.trust.model import ImageEntry
from hepix_vm.trust.model import ImageList
from hepix_vm.trust.settings import Blockable
from hepix_vm.trust.settings import Subscription

NOW = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
VO = 'vo.example.org'
ABILITIES = Abilities(
    frozenset({'web-download', 'glance-direct'}),
    frozenset({'raw', 'qcow2', 'vmdk', 'vhd', 'vhdx', 'iso', 'vdi', 'ami'}),
    frozenset({'bare', 'ova', 'ami', 'compressed'}))


def digest(word):
    return hashlib.sha512(str(word).encode()).hexdigest()


def named(word):
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, str(word)))


def entry(name, content=None, **changes):
    """Return an image by what it is called and what its bytes are."""
    return dataclasses.replace(ImageEntry(
        identifier=named(name), size=10, sha512=digest(
            name if content is None else content), version='1',
        uri='https://images.example.org/image.raw', hypervisor='kvm',
        title=f'Image {name}', format='RAW'), **changes)


def image_list(name, *images, version=1, vo=VO):
    return ImageList(
        named(name), str(version), NOW - datetime.timedelta(days=1),
        NOW + datetime.timedelta(days=30), Endorser('/CN=Alice', '/CN=CA'),
        title=f'List {name}', vo=vo, images=images)


def following(**changes):
    return Following(**{
        'url': 'https://lists.example.org/', 'projects': {VO: ('atlas',)},
        **changes})


class Model:
    """A site and its Glance; plans are carried out on it.

    :param lists: those that were accepted
    """

    def __init__(self, *lists, **known):
        self.images = []
        self.records = []
        self.known = known
        self.used = set()
        self.asked = []
        self.blocks = {}
        self.lists = {}
        self.approved = set()
        self.refused = {}
        self.number = 0
        self.deletable = True
        self.accept(*lists)

    def accept(self, *lists, approved=True, **changes):
        """Accept lists, with these keys of their blocks."""
        for each in lists:
            self.lists[each.identifier] = each
            if each.identifier not in self.blocks or changes or not approved:
                self.blocks[each.identifier] = Block(
                    Subscription(each.identifier, (), approved=approved),
                    following(**changes))

    def accepted(self):
        return AcceptedLists(
            [AcceptedList(SignedList(each, each.endorser, None, ()),
                          self.blocks[each.identifier].subscription)
             for each in self.lists.values()],
            [block.subscription for block in self.blocks.values()])

    def wanted(self):
        return wanted(
            self.accepted(),
            Subscriptions(tuple(self.blocks.values())),
            Situation(self.lists.keys(), {
                name: name for name in ('atlas', 'cms', 'alice')},
                self.approved, ABILITIES))

    def plan(self):
        found, refusals = self.wanted()
        listed = {image.sha512 for each in self.lists.values()
                  for image in each.images}
        return plan(found, refusals, [
            self.judged(image, listed) for image in self.images], Knowledge(**{
            'now': NOW, 'lists': self.lists,
            'waiting': self.blocks.keys() - self.lists.keys(),
            'following': {uuid: block.following
                          for uuid, block in self.blocks.items()
                          if block.following},
            'listed': listed, 'recorded': self.recorded,
            'refused': lambda wanted: self.refused.get(
                wanted.entry.sha512, ()), 'in_use': self.in_use,
            **self.known}))

    def recorded(self, sha512):
        return [record for record in self.records if record.value == sha512]

    def in_use(self, days):
        self.asked.append(days)
        return self.used

    # What the gate would do.

    def verdict(self, image, listed):
        """Return the state that is right for an image."""
        if image.sha512 in listed:
            return 'endorsed'
        facts = {record.fact for record in self.recorded(image.sha512)}
        if Fact.REVOKED in facts:
            return 'revoked'
        if Fact.SUPERSEDED in facts:
            return 'superseded'
        there = self.lists.get(image.list_id)
        if image.list_id in self.blocks and there is None:
            return image.state
        waits = image.shared and not image.parked or not image.ours
        if (there and there.find(image.identifier) and waits
                and image.state == 'endorsed'):
            return 'endorsed'
        return 'refused'

    def judged(self, image, listed):
        if not image.has_bytes:
            return image
        after = self.settled(image, listed)
        return dataclasses.replace(
            image, usable=after.status == 'active',
            outcome='' if after == image else 'settled')

    # Carrying out.

    def run(self, steps=None):
        """Carry out a plan, or its first steps; return how many it has."""
        left = steps
        made = self.plan()
        for chain in made.chains:
            brought = None
            for step in chain:
                if left == 0:
                    return len(made.steps)
                left = None if left is None else left - 1
                brought = self.step(step, brought)
        return len(made.steps)

    def step(self, step, brought):
        image = next((each for each in self.images if step.present
                      and each.image_id == step.present.image_id), brought)
        if step.action is Action.BRING:
            return self.bring(step)
        if step.action is Action.RECORD:
            self.records.append(Record(
                step.fact, Blockable.SHA512, image.sha512, 'why', 'sync',
                NOW, image_list=step.image_list.identifier,
                version=step.image_list.version))
        elif step.action is Action.DISCARD:
            self.images.remove(image)
        elif step.action is Action.DELETE:
            if self.deletable:
                self.images.remove(image)
        elif step.action is Action.RENEW:
            self.change(image, sha512=step.wanted.entry.sha512,
                        list_version=step.wanted.image_list.version)
        elif step.action is Action.SETTLE:
            self.settle(image)
        elif step.action is Action.SHARE:
            self.change(image, shared=step.wanted.access.word, parked='')
        elif step.action is Action.REPLACE:
            self.change(image, shared=step.former.shared, parked='',
                        name=step.former.name)
        elif step.action is Action.HIDE:
            self.change(image, parked=str(NOW))
        elif step.action is Action.PARK:
            self.change(image, parked=str(NOW), shared='')
        elif step.action is Action.EVICT:
            self.evict(image, step.former)
        return next((each for each in self.images
                     if image and each.image_id == image.image_id), brought)

    def bring(self, step):
        wanted = step.wanted
        if step.present:
            self.images = [image for image in self.images
                           if image.image_id != step.present.image_id]
        self.number += 1
        image = Present(
            f'{self.number:04}', 'active', wanted.name, NOW,
            wanted.entry.size, wanted.entry.sha512,
            wanted.image_list.identifier, wanted.image_list.identifier,
            wanted.image_list.version, wanted.entry.identifier,
            state='endorsed')
        self.images.append(image)
        return image

    def evict(self, image, kept):
        if kept is None:
            self.number += 1
            self.images.append(dataclasses.replace(
                image, image_id=f'{self.number:04}', status='queued',
                parked=str(NOW), size=0, state='', usable=False))
        if self.deletable:
            self.images.remove(image)

    def settle(self, image):
        listed = {each.sha512 for each_list in self.lists.values()
                  for each in each_list.images}
        self.images[self.images.index(image)] = self.settled(image, listed)

    def settled(self, image, listed):
        """Return an image as the verdict on it makes it."""
        state = self.verdict(image, listed)
        changes = {'state': state, 'status': (
            'active' if state == 'endorsed' else 'deactivated')}
        if image.sha512 in listed:
            changes |= next(
                {'list_id': each.identifier, 'list_version': each.version,
                 'identifier': entry.identifier}
                for each in self.lists.values() for entry in each.images
                if entry.sha512 == image.sha512)
        return dataclasses.replace(image, **changes)

    def change(self, image, **changes):
        self.images[self.images.index(image)] = dataclasses.replace(
            image, **changes)

    def of(self, listed):
        image, = [image for image in self.images
                  if image.sha512 == listed.sha512]
        return image


def shown(model, *images):
    """Let images be there for long, and shown."""
    model.run()
    model.images = [dataclasses.replace(image, created=NOW - 100 * DAY)
                    for image in model.images]
    return [model.of(image) for image in images]


def refused(**changes):
    image = entry('a')
    values = {
        'image_id': 'x', 'status': 'queued', 'name': 'a', 'created': NOW,
        'size': 0, 'sha512': image.sha512, 'subscription': named('L'),
        'list_id': named('L'), 'list_version': '1', 'uri': image.uri,
        'identifier': image.identifier, 'state': 'refused',
        'reason': 'checksum-mismatch: Other bytes.', **changes}
    return Present(**{'tried': frozenset({marked(
        values['list_id'], values['list_version'], values['uri'])}), **values})


def actions(made):
    return [str(step.action) for step in made.steps]
