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
"""Lists that are followed into a real Glance, and what became of them."""

import contextlib
import dataclasses
import json
import os
import threading
from typing import TYPE_CHECKING
import urllib.parse
import uuid

import pytest

from hepix_vm.cmd import sync
from hepix_vm.exchange.allowance import Allowance
from hepix_vm.exchange.execute import Executor
from hepix_vm.exchange import follow
from hepix_vm import paths
from hepix_vm.trust import ledger
from hepix_vm.trust.ledger import Fact
from tests.testbed.client import ADMIN
from tests.testbed.client import Client
from tests.testbed.client import LIMIT
from tests.testbed.site import ALICE
from tests.testbed.site import CA
from tests.testbed.site import entry

if TYPE_CHECKING:
    from tests.functional.conftest import Cloud

ACCOUNT = 'sync:service:admin'
VO = 'vo.example.org'


@dataclasses.dataclass
class Ran:
    """What a run of the command said."""

    status: int
    out: str
    err: str


class Lists:
    """Lists of a site as if they had been fetched and accepted.

    :param cloud: whose site it is
    """

    def __init__(self, cloud: 'Cloud') -> None:
        self.cloud = cloud
        self.site = cloud.site
        self.blocks: dict[str, dict] = {}
        self.top: dict = {}
        self.site.write_account(cloud.glance.url, ACCOUNT)

    def image(self, data: bytes | None = None, **changes):
        """Return an entry whose bytes the web server of the cloud has."""
        data = os.urandom(2000) if data is None else data
        path = f'/{uuid.uuid4()}.raw'
        self.cloud.web.contents[path] = data
        return entry(data, **{'uri': self.cloud.web.url(path), **changes})

    def accept(self, *images, block=None, **changes):
        """Accept a version of a list, and return it.

        :param block: what subscriptions.yaml says of it besides
        :param changes: fields of the list
        """
        image_list = self.site.image_list(*images, **changes)
        number = image_list.identifier
        path = self.site.state / 'lists' / f'{number}.smime'
        path.write_bytes(self.site.sign(image_list, self.site.alice))
        if block is not None or number not in self.blocks:
            self.block(number, **(block or {}))
        return image_list

    def next(self, image_list, *images, **changes):
        """Accept the next version of a list, with these images."""
        return self.accept(
            *images, identifier=image_list.identifier,
            version=str(int(image_list.version) + 1), **changes)

    def block(self, number, **keys):
        """Subscribe a list, or change its block; None drops a key."""
        block = {
            'url': f'https://lists.example.org/{number}', 'uuid': number,
            'endorsers': [{'dn': ALICE, 'ca': CA}],
            'projects': {VO: ['atlas', 'cms']}, 'share': 'members',
            'internal_addresses': True, **keys}
        self.blocks[number] = {name: value for name, value in block.items()
                               if value is not None}
        self.write()

    def write(self):
        """Write subscriptions.yaml with all blocks."""
        self.site.write_subscriptions(list(self.blocks.values()), **self.top)

    def forget(self):
        """Let the site follow nothing, and Glance have nothing."""
        self.blocks.clear()
        self.top.clear()
        for path in self.site.state.glob('lists/*'):
            path.unlink()
        self.write()
        self.site.write_policy()
        self.site.write_anchors()
        query = self.cloud.glance.query
        # But for the record of the gate itself.
        query('DELETE FROM images WHERE name != ?',
              (ledger.name_of(None, ''),))
        query('DELETE FROM image_properties WHERE image_id NOT IN '
              '(SELECT id FROM images)')
        for statement in (
                'DELETE FROM image_locations', 'DELETE FROM image_members',
                'DELETE FROM image_tags', 'DELETE FROM task_info',
                'DELETE FROM tasks'):
            query(statement)

    def journalled(self):
        """Return the steps that the journal of the command has."""
        path = self.site.state / 'journal' / 'hepix-vm-sync.jsonl'
        found = map(json.loads, path.read_text().splitlines())
        return [record for record in found if record['event'] == 'step']

    @property
    def admin(self) -> Client:
        """The client of an administrator."""
        return self.cloud.client.as_(ADMIN)

    def images(self):
        """Return all images that are ours."""
        found = []
        for hidden in ('true', 'false'):
            found += self.admin.call(
                'GET', f'/v2/images?os_hidden={hidden}&visibility=all'
                '&limit=1000').json()['images']
        return [image for image in found if 'hepix_subscription' in image]

    def of(self, listed):
        """Return the one image of ours with the bytes of an entry."""
        image, = [each for each in self.images()
                  if each['hepix_sha512'] == listed.sha512]
        return image

    def members(self, image):
        """Return the projects with which an image is shared."""
        answer = self.admin.call(
            'GET', f'/v2/images/{image["id"]}/members').json()
        return {each['member_id']: each['status']
                for each in answer['members']}

    def records(self, *facts):
        """Return the records of the ledger, but for those of the gate."""
        images = self.admin.call(
            'GET', '/v2/images?owner=hepix-vm&os_hidden=true').json()
        found = [ledger.parse(image['hepix_ledger'])
                 for image in images['images']]
        return [record for record in found if record.fact in (
            facts or set(Fact) - {Fact.INSTALLED, Fact.ACCEPTED})]


def followed(lists, monkeypatch):
    """Yield lists to a test whose commands are of their site."""
    monkeypatch.setenv(paths.ENVIRONMENT, str(lists.site.config))
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    yield lists
    lists.forget()


def runner(capsys):
    """Return what runs the command."""
    def run(*arguments, status=0):
        code = sync.main(arguments)
        said = capsys.readouterr()
        assert 'Traceback' not in said.err
        assert code == status, said.out + said.err
        return Ran(code, said.out, said.err)
    return run


class Killed(BaseException):
    """In place of a signal: nothing of the run is done after it."""


def killer(monkeypatch):
    """Return what begins a run, and ends it at a step."""
    def kill(name):
        def checkpoint(reached):
            if reached == name:
                raise Killed

        with monkeypatch.context() as patched:
            patched.setattr(Executor, 'checkpoint', staticmethod(checkpoint))
            with pytest.raises(Killed):
                sync.main(['--no-fetch'])
    return kill


@contextlib.contextmanager
def endless(lists, listed, monkeypatch):
    """Serve an image without an end, and give runs no more time for it.

    Once what it yields is set they have their time again.
    """
    contents = lists.cloud.web.contents
    path = path_of(listed)
    data = contents[path]
    asked, released, patient = (threading.Event() for _ in range(3))

    def slow():
        asked.set()
        assert released.wait(LIMIT)
        return data

    class Brief(Allowance):
        over = property(
            lambda self: asked.is_set() and not patient.is_set())

    contents[path] = slow
    try:
        with monkeypatch.context() as patched:
            patched.setattr(follow, 'Allowance', Brief)
            yield patient
    finally:
        released.set()


def path_of(listed):
    """Return where the web server of the cloud has an image."""
    return urllib.parse.urlsplit(listed.uri).path


def idle(ran):
    """Return whether a run found nothing to do, and said nothing else."""
    lines = ran.out.splitlines()
    return lines[-1] == 'total: nothing to do' and all(
        line.startswith('list ') and line.endswith(': nothing to do')
        for line in lines[:-1])


def check_said(lists, ran, steps, before, after):
    """Each step of a new version is a line and, but judging, a record."""
    where = f'in Glance "Ours" ({before["id"]}): '
    *lines, of_list, total = ran.out.splitlines()
    assert [line.partition(': ')[0] for line in lines] == [
        '2.0 KiB in 1 image to come',
        'fetching "Testbed image" of "Testbed"', 'bring', 'replace',
        'record', 'judge', 'park']
    assert lines[3].endswith(f'; it takes the place of {before["id"]}')
    assert f'{where}deactivated (' in lines[5], lines[5]
    assert 'image-superseded' in lines[5]
    assert lines[6].endswith(f'{where}is superseded')
    assert of_list.endswith(
        '): 1 image came in (2.0 KiB), 1 image superseded')
    assert total == 'total: 1 image came in (2.0 KiB), 1 image superseded'
    assert [(record['step'], record['image'])
            for record in lists.journalled()[steps:]] == [
        ('bring', after['id']), ('replace', after['id']),
        ('record', before['id']), ('park', before['id'])]


def planned(ran):
    """Return the steps of a plan in JSON."""
    return json.loads(ran.out)['steps']


def state(lists):
    """Return what users and operators see of our images, without ids."""
    return sorted(
        (image['hepix_sha512'], image['status'], image['name'],
         image['visibility'], image['os_hidden'], image['owner'],
         image.get('hepix_state'), 'hepix_parked' in image,
         tuple(sorted(lists.members(image)))
         if image['visibility'] == 'shared' else ())
        for image in lists.images())
