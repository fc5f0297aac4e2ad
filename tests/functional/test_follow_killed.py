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
"""Following lists, interrupted: by a kill, by Glance's end, by others."""

import concurrent.futures
import os
import random
import subprocess
import sys
import uuid

import pytest

from hepix_vm.exchange import bring
from hepix_vm.exchange import coordination
from hepix_vm.exchange.execute import Executor
from hepix_vm.exchange.rest import Rest
from hepix_vm import paths
from tests.functional.following import endless
from tests.functional.following import idle
from tests.functional.following import state
from tests.testbed.client import LIMIT
from tests.testbed.glance import program

# For each line it reads it runs the command in a process of its own, which
# kills itself when a step of that name is reached for the nth time.
KILLED = """
import itertools, os, signal, sys
from hepix_vm.cmd import sync
from hepix_vm.exchange import coordination
from hepix_vm.exchange.execute import Executor
import tooz.coordination
for line in sys.stdin:
    name, number = line.rstrip().rsplit(' ', 1)
    child = os.fork()
    if not child:
        seen = itertools.count(1)
        def checkpoint(reached):
            if reached == name and next(seen) == int(number):
                os.kill(os.getpid(), signal.SIGKILL)
        Executor.checkpoint = staticmethod(checkpoint)
        sys.stdout = sys.stderr
        os._exit(sync.main(['--no-fetch']))
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""
STEPS = (
    ('before bring', 1), ('create', 1), ('download', 1), ('imported', 2),
    ('before replace', 1), ('after replace', 1), ('before record', 1),
    ('after record', 2), ('after judge', 1), ('before park', 1),
    ('after hide', 1), ('before share', 1))
MORE = ('staged', 'import', 'after bring', 'after share', 'after park',
        'before judge', 'before hide')


@pytest.fixture
def kill(lists):
    """What runs the command until a step, and returns its exit status."""
    with subprocess.Popen(
            [sys.executable, '-W', 'ignore', '-c', KILLED], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE) as runs:
        def kill(name, number):
            runs.stdin.write(f'{name} {number}\n')
            runs.stdin.flush()
            return int(runs.stdout.readline())
        yield kill
        runs.stdin.close()


def points():
    """Return where the process is killed: 50 points in a soak."""
    if 'HEPIX_VM_SOAK' not in os.environ:
        return [*STEPS, ('staged', 1)]
    chosen = random.Random(20261121)  # noqa: S311
    names = [name for name, _ in STEPS] + list(MORE)
    return [(chosen.choice(names), chosen.choice((1, 1, 2)))
            for _ in range(50)]


def check(lists, *listed):
    """Check that what is listed is there once, and nothing else in use."""
    images = lists.images()
    for each in listed:
        image, = [image for image in images
                  if image['hepix_sha512'] == each.sha512]
        assert (image['status'], image['hepix_state'], image['visibility'],
                image['os_hidden']) == ('active', 'endorsed', 'shared', False)
        assert lists.members(image) == {
            'atlas': 'accepted', 'cms': 'accepted'}
        assert 'hepix_parked' not in image
        images.remove(image)
    for image in images:
        assert (image['status'], image['os_hidden']) == (
            'deactivated', True), image
        assert image['hepix_state'] in ('superseded', 'revoked')
        assert 'hepix_parked' in image


def test_killed_at_each_step(lists, run, kill):
    """Whatever a run leaves, the next one comes to the same end."""
    first, toggled = lists.image(), lists.image()
    image_list = lists.accept(first, toggled)
    run('--no-fetch')
    reached = 0
    for number, (name, count) in enumerate(points()):
        # With a token the bytes come by us.
        lists.block(image_list.identifier, **(
            {'token': 'alice:s3cret'} if name in ('staged', 'import')
            else {}))
        # A new version of one, a new one, and one that comes and goes.
        first = lists.image(identifier=first.identifier, title=f'v{number}')
        listed = [first, lists.image(), *([toggled] if number % 2 else [])]
        image_list = lists.next(image_list, *listed)
        status = kill(name, count)
        assert status in (-9, 0)
        reached += status == -9
        run('--no-fetch')
        check(lists, *listed)
        assert idle(run('--no-fetch'))
    # What is gone is recorded once a version, whoever was killed.
    said = [(record.fact, record.value, record.image_list, record.version)
            for record in lists.records()]
    assert sorted(said) == sorted(set(said))
    assert reached >= len(points()) * 2 // 3


def test_glance_is_killed_in_mid_import(lists, run, monkeypatch):
    listed, other = lists.image(os.urandom(50_000_000)), lists.image()
    lists.accept(other)
    run('--no-fetch')
    before = state(lists)
    lists.accept(listed)
    glance = lists.cloud.glance

    def kill(name):
        if name == 'download':
            glance.kill()

    monkeypatch.setattr(Executor, 'checkpoint', staticmethod(kill))
    monkeypatch.setattr(bring, '_PATIENCE', 0.5)
    try:
        ran = run('--no-fetch', status=2)
    finally:
        glance.start()
    monkeypatch.setattr(Executor, 'checkpoint', staticmethod(lambda name: 0))
    assert 'Glance cannot be asked' in ran.err
    assert [row for row in state(lists) if row[0] == other.sha512] == before
    image_id = lists.of(listed)['id']
    # Nobody knows yet that this import is dead.
    assert 'pending: ' in run('--no-fetch').out
    glance.query("UPDATE tasks SET updated_at = datetime('now', '-3 hours')")
    run('--no-fetch')
    assert lists.of(listed)['status'] == 'active'
    assert lists.of(listed)['id'] != image_id
    assert idle(run('--no-fetch'))


def test_one_at_a_time(lists, run):
    listed = lists.image()
    lists.accept(listed)
    with coordination.alone('', str(lists.site.state)) as first:
        assert first
        assert 'Another sync is at work' in run('--no-fetch').out
        # Who waits for an image must know that it did not come.
        ran = run('fetch', listed.identifier, status=2)
        assert 'nothing was fetched' in ran.err
        # Who only looks is in nobody's way.
        assert '2 steps, ' in run('--no-fetch', '--dry-run').out
    assert lists.images() == []
    run('--no-fetch')
    assert len(lists.images()) == 1


def test_controllers_that_know_nothing_of_each_other(lists, run, tmp_path):
    """Each with a state_dir of its own and no place to meet."""
    old = lists.image()
    image_list = lists.accept(old)
    run('--no-fetch')
    listed = [lists.image(identifier=old.identifier),
              *(lists.image() for _ in range(3))]
    lists.next(image_list, *listed)
    name = f'lists/{image_list.identifier}.smime'

    def sync(number):
        own = tmp_path / str(number)
        (own / 'lists').mkdir(parents=True)
        (own / name).write_bytes((lists.site.state / name).read_bytes())
        config = tmp_path / f'{number}.conf'
        config.write_text(lists.site.config.read_text().replace(
            f'state_dir = {lists.site.state}', f'state_dir = {own}'))
        return subprocess.run(
            [program('hepix-vm-sync'), '--no-fetch'], text=True,
            env={**os.environ, paths.ENVIRONMENT: str(config)},
            capture_output=True, timeout=LIMIT)

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for done in pool.map(sync, range(3)):
            assert done.returncode == 0, done.stderr
    run('--no-fetch')
    check(lists, *listed)
    assert len(lists.images()) == 5


def test_bytes_that_another_controller_sends(lists, run):
    """Until it cannot live any more they are left to it."""
    listed = lists.image()
    lists.accept(listed, block={'token': 'alice:s3cret'})
    record = lists.admin.create(
        id=str(uuid.uuid5(bring._NAMESPACE, f'{listed.sha512} 0')),
        disk_format='raw', container_format='bare', hepix_bringer='theirs',
        hepix_subscription='x', hepix_sha512=listed.sha512)
    query = lists.cloud.glance.query
    for status in ('queued', 'uploading'):
        query('UPDATE images SET status = ? WHERE id = ?', (status, record))
        ran = run('--no-fetch')
        assert 'Another controller brings its bytes in' in ran.out
        image = lists.of(listed)
        assert (image['status'], image['hepix_bringer']) == (status, 'theirs')
    query("UPDATE images SET updated_at = datetime('now', '-5 hours')")
    run('--no-fetch')
    image = lists.of(listed)
    assert (image['status'], image['id'] == record) == ('active', False)
    assert 'hepix_bringer' not in image


def test_what_takes_longer_than_a_run(lists, run, monkeypatch):
    """Glance goes on with it, and the next run finds it."""
    listed, other = lists.image(), lists.image()
    lists.accept(listed, other)
    with endless(lists, listed, monkeypatch):
        assert 'Glance goes on importing it' in run('--no-fetch').out
    run('--no-fetch')
    check(lists, listed, other)


def test_a_project_that_is_a_member_twice(lists, run, monkeypatch):
    """As two make it that share an image at once."""
    listed = lists.image()
    lists.accept(listed)
    query = lists.cloud.glance.query
    request = Rest.request

    def raced(self, method, path, *more, **rest):
        answer = request(self, method, path, *more, **rest)
        if path.endswith('/members') and answer.status_code == 200 and (
                method == 'POST'):
            query('INSERT INTO image_members (image_id, member, can_share, '
                  'created_at, deleted, status) SELECT image_id, member, 0, '
                  "created_at, 0, 'pending' FROM image_members "
                  'WHERE member = ?', (rest['json']['member'],))
        return answer

    monkeypatch.setattr(Rest, 'request', raced)
    run('--no-fetch')
    members = lists.admin.call(
        'GET', f'/v2/images/{lists.of(listed)["id"]}/members').json()
    assert sorted((each['member_id'], each['status'])
                  for each in members['members']) == [
        ('atlas', 'accepted'), ('cms', 'accepted')]


def test_a_run_without_news_costs_the_same_for_any_catalogue(
        lists, run, monkeypatch):
    asked = []
    request = Rest.request

    def counted(self, method, path, *more, **rest):
        asked.append(f'{method} {path.partition("?")[0]}')
        return request(self, method, path, *more, **rest)

    monkeypatch.setattr(Rest, 'request', counted)
    images = [lists.image() for _ in range(8)]
    image_list = lists.accept(*images[:2])
    run('--no-fetch')
    asked.clear()
    run('--no-fetch')
    few = list(asked)
    assert set(few) == {
        'GET /v2/info/stores/detail', 'GET /v2/info/import',
        'GET /v2/schemas/image', 'GET /v2/images'}
    assert len(few) == 6
    lists.next(image_list, *images)
    run('--no-fetch')
    asked.clear()
    run('--no-fetch')
    assert asked == few


def test_nobody_can_be_asked_whether_another_is_at_work(lists, run):
    lists.site.write_config(coordination_url='nonsense://127.0.0.1:1')
    lists.site.write_account(lists.cloud.glance.url)
    try:
        ran = run('--no-fetch', status=3)
    finally:
        lists.site.write_config()
        lists.site.write_account(lists.cloud.glance.url)
    assert 'coordination_url' in ran.err
