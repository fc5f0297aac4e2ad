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

"""The sweep, over a Glance that has no gate and lets everything in."""

import concurrent.futures
import dataclasses
import fcntl
import json
import os
import subprocess

import pytest

from hepix_vm.cmd import sync
from hepix_vm.exchange.catalogue import Catalogue
from hepix_vm import paths
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.settings import Blockable
from tests.functional.ungated import ACCOUNT
from tests.functional.ungated import BOB
from tests.functional.ungated import upload
from tests.functional.ungated import write
from tests.testbed.client import add
from tests.testbed.client import ADMIN
from tests.testbed.client import LOCK
from tests.testbed.client import replace
from tests.testbed.glance import program
from tests.testbed.mail import mail_server
from tests.testbed.site import entry


# Of servers that run these images; there is no Nova here.
SERVERS = {'servers', 'locked', 'stopping', 'unstopped'}


def journal(cloud):
    return cloud.site.state / 'journal' / 'hepix-vm-sync.jsonl'


def journalled(cloud):
    return [json.loads(line)
            for line in journal(cloud).read_text().splitlines()]


def endorsed(cloud, data=None, **values):
    data = data or os.urandom(100)
    return upload(cloud.client, data, **{
        'hepix_endorsement': cloud.site.endorse(data), **values})


@dataclasses.dataclass
class Swept:
    status: int
    out: str
    err: str
    tally: dict


@pytest.fixture
def sweep(capsys):
    def sweep(*more):
        status = sync.main(['--sweep', *more])
        said = capsys.readouterr()
        last = said.out.splitlines()[-1:] or ['']
        pairs = [part.split() for part in last[0].split(', ')]
        tally = {pair[0]: int(pair[1]) for pair in pairs
                 if len(pair) == 2 and pair[1].isdigit()
                 and pair[0] not in SERVERS}
        assert 's3cret' not in said.out + said.err
        assert 'Traceback' not in said.err
        return Swept(status, said.out, said.err, tally)
    return sweep


def tally(judged, **more):
    return {'judged': judged, 'deactivated': 0, 'reactivated': 0,
            'marked': 0, 'skipped': 0, 'failed': 0, **more}


def show(cloud, image_id):
    return cloud.client.as_(ADMIN).image(image_id)


def test_what_a_crash_left_unmarked_is_marked(bare, sweep):
    """Between the 204 of an upload and its marking."""
    data = os.urandom(100)
    image_id = endorsed(bare, data)
    assert 'hepix_state' not in show(bare, image_id)
    done = sweep()
    assert (done.status, done.tally) == (0, tally(1, marked=1))
    assert f'{image_id} was marked\n' in done.out
    image = show(bare, image_id)
    assert (image['status'], image['hepix_state']) == ('active', 'endorsed')
    assert image['hepix_sha512'] == entry(data).sha512
    assert image['hepix_size'] == '100'
    record, = journalled(bare)
    assert (record['service'], record['route'], record['action']) == (
        'hepix-vm-sync', 'sweep', 'marked')
    assert (record['image'], record['project']) == (image_id, 'atlas')
    again = sweep()
    assert (again.status, again.tally) == (0, tally(1))
    assert len(journalled(bare)) == 1


@pytest.mark.parametrize('values', [
    {}, {'visibility': 'community'}, {'os_hidden': True},
    {'visibility': 'private', 'os_hidden': True}])
def test_what_nobody_endorsed_is_taken_out_of_use(bare, sweep, values):
    client = bare.client.as_(BOB)
    image_id = upload(client, b'whatever', **values)
    done = sweep()
    assert (done.status, done.tally) == (0, tally(1, deactivated=1))
    assert f'{image_id} was deactivated (not-endorsed)\n' in done.out
    image = show(bare, image_id)
    assert (image['status'], image['hepix_state']) == (
        'deactivated', 'refused')
    assert image['hepix_reason'].startswith('not-endorsed: ')
    assert client.download(image_id).status_code == 403
    assert journalled(bare)[0]['action'] == 'deactivated'
    assert sweep().tally == tally(1)


def test_what_the_ledger_says_and_takes_back(bare, sweep):
    data = os.urandom(100)
    image_id = endorsed(bare, data)
    assert sweep().tally == tally(1, marked=1)
    record = write(bare, Fact.REVOKED, Blockable.SHA512,
                   entry(data).sha512)
    assert sweep().tally == tally(1, deactivated=1)
    image = show(bare, image_id)
    assert (image['status'], image['hepix_state']) == (
        'deactivated', 'revoked')
    admin = bare.client.as_(ADMIN)
    # As after an owner's PATCH that was begun before the revocation.
    assert admin.reactivate(image_id).status_code == 204
    assert admin.patch(image_id, *replace(
        hepix_state='endorsed')).status_code == 200
    assert sweep().tally == tally(1, deactivated=1)
    assert show(bare, image_id)['hepix_state'] == 'revoked'
    text = json.loads(admin.image(record)['hepix_ledger'])
    assert admin.patch(record, *replace(hepix_ledger=json.dumps(
        {**text, 'lifted': 'ops: wrong'}))).status_code == 200
    assert sweep().tally == tally(1, reactivated=1)
    image = show(bare, image_id)
    assert (image['status'], image['hepix_state']) == ('active', 'endorsed')
    assert 'hepix_reason' not in image
    assert [record['action'] for record in journalled(bare)] == [
        'marked', 'deactivated', 'deactivated', 'reactivated']


def test_what_others_took_out_of_use_is_left_alone(bare, sweep):
    image_id = endorsed(bare)
    assert bare.client.as_(ADMIN).deactivate(image_id).status_code == 204
    assert sweep().tally == tally(0)
    assert show(bare, image_id)['status'] == 'deactivated'


def test_an_import_is_left_to_its_plugin(bare, sweep):
    image_id = upload(bare.client, b'whatever')
    bare.glance.query(
        'INSERT INTO image_properties (image_id, name, value, created_at, '
        'updated_at, deleted) VALUES (?, ?, ?, ?, ?, 0)',
        (image_id, LOCK, 'task', *['2026-01-01 00:00:00.000000'] * 2))
    assert sweep().tally == tally(0, skipped=1)
    assert show(bare, image_id)['status'] == 'active'


def test_permissive_takes_nothing_out_of_use(bare, sweep):
    bare.site.write_config(enforcement='permissive')
    bare.site.write_account(bare.glance.url, ACCOUNT)
    image_id = upload(bare.client, b'whatever')
    assert sweep().tally == tally(1)
    assert show(bare, image_id)['status'] == 'active'


def test_a_dry_run_changes_nothing(bare, sweep):
    image_id, other = upload(bare.client, b'whatever'), endorsed(bare)
    before = show(bare, image_id), show(bare, other)
    done = sweep('--dry-run')
    assert (done.status, done.tally) == (
        0, tally(2, deactivated=1, marked=1))
    assert f'{image_id} would be deactivated (not-endorsed)\n' in done.out
    assert f'{other} would be marked\n' in done.out
    assert (show(bare, image_id), show(bare, other)) == before
    assert not journal(bare).exists()


def test_what_somebody_else_puts_back_each_time(bare, sweep, monkeypatch):
    image_id = endorsed(bare)
    monkeypatch.setattr(Catalogue, 'update', lambda *given: None)
    done = sweep()
    assert (done.status, done.tally['failed']) == (2, 1)
    named = done.err.partition('each time is ')[2].partition('.')[0]
    assert {'hepix_state', 'hepix_sha512'} <= set(named.split(', '))
    assert 'status' not in named
    monkeypatch.undo()
    assert show(bare, image_id)['status'] == 'active'


def test_an_image_that_fails_does_not_end_the_sweep(bare, sweep):
    """One has so many properties already that Glance takes no more."""
    full = upload(bare.client, b'full')
    assert bare.client.patch(full, *add(**{
        f'p{number}': 'x' for number in range(128)})).status_code == 200
    others = [upload(bare.client, b'whatever') for _ in range(3)]
    done = sweep()
    assert done.status == 2
    assert done.tally == tally(4, deactivated=4, failed=1)
    assert f'The image {full} cannot be settled: Glance answers 413' in (
        done.err)
    for image_id in (full, *others):
        assert show(bare, image_id)['status'] == 'deactivated'


def test_one_sweep_at_a_time(bare, sweep):
    image_id = upload(bare.client, b'whatever')
    with (bare.site.state / 'sweep.lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = sweep()
    assert done.status == 0
    assert 'Another sweep is at work' in done.out
    assert show(bare, image_id)['status'] == 'active'
    assert sweep().tally == tally(1, deactivated=1)


def test_three_controllers_sweep_at_once(bare, tmp_path):
    """As the real command, each with a state_dir of its own."""
    revoked = [os.urandom(100) for _ in range(10)]
    images = [endorsed(bare, data) for data in revoked]
    for data in revoked:
        write(bare, Fact.REVOKED, Blockable.SHA512, entry(data).sha512)
    good = [endorsed(bare) for _ in range(10)]

    def run(number):
        own = tmp_path / f'{number}.conf'
        own.write_text(bare.site.config.read_text().replace(
            f'state_dir = {bare.site.state}',
            f'state_dir = {tmp_path / str(number)}'))
        (tmp_path / str(number)).mkdir()
        return subprocess.run(
            [program('hepix-vm-sync'), '--sweep'], text=True, timeout=120,
            env={**os.environ, paths.ENVIRONMENT: str(own)},
            capture_output=True)

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for done in pool.map(run, range(3)):
            # Each of them tells of what it changed itself.
            assert all(line.startswith('WARNING: An image was revoked: ')
                       for line in done.stderr.splitlines())
            assert done.returncode == 0
            assert done.stdout.endswith(
                'skipped 0, failed 0, servers unknown\n')
    for image_id in images:
        image = show(bare, image_id)
        assert (image['status'], image['hepix_state']) == (
            'deactivated', 'revoked')
    for image_id in good:
        image = show(bare, image_id)
        assert (image['status'], image['hepix_state']) == (
            'active', 'endorsed')


def untouched(cloud, image_id, done, *words, status=2):
    """Check that a sweep ended with one line and did nothing."""
    assert done.status == status
    line, = done.err.splitlines()
    assert line.startswith('hepix-vm-sync: ')
    for word in words:
        assert word in line
    image = show(cloud, image_id)
    assert image['status'] == 'active'
    assert 'hepix_state' not in image
    assert not journal(cloud).exists()


def test_an_account_that_is_no_administrator(bare, sweep):
    image_id = upload(bare.client, b'whatever')
    bare.site.write_account(bare.glance.url, 'sync:atlas:member,reader')
    untouched(bare, image_id, sweep(), 'answers 403', 'role admin')


def test_settings_that_cannot_be_read(bare, sweep):
    """They would else refuse every image."""
    image_id = upload(bare.client, b'whatever')
    (bare.site.folder / 'policy.yaml').write_text('nonsense: 1')
    untouched(bare, image_id, sweep(), 'policy.yaml:1: ', 'nonsense',
              status=3)


def test_no_account(bare, sweep):
    image_id = upload(bare.client, b'whatever')
    bare.site.write_config()
    untouched(bare, image_id, sweep(), '[service_credentials]', status=3)


def test_no_glance(bare, sweep):
    image_id = upload(bare.client, b'whatever')
    bare.site.write_account('http://127.0.0.1:1', ACCOUNT)
    untouched(bare, image_id, sweep(), 'Glance cannot be asked')


def test_no_place_for_the_lock(bare, sweep):
    image_id = upload(bare.client, b'whatever')
    bare.site.write_config(state_dir=str(bare.site.folder / 'nothing'))
    bare.site.write_account(bare.glance.url, ACCOUNT)
    untouched(bare, image_id, sweep(), 'sweep.lock', 'No such file',
              status=3)


def test_a_record_of_the_gate_that_cannot_be_read(bare, sweep):
    image_id = upload(bare.client, b'whatever')
    record = write(bare, Fact.INSTALLED, None, '', text='nonsense')
    untouched(bare, image_id, sweep(), record, 'cannot be read')


def test_a_record_that_cannot_be_read_refuses_what_it_names(bare, sweep):
    known, named, other = b'known', b'named', os.urandom(100)
    images = [endorsed(bare, known), endorsed(bare, other)]
    assert sweep().tally == tally(2, marked=2)
    images.append(endorsed(bare, named))
    for data in (known, named):
        write(bare, Fact.BLOCKED, Blockable.SHA512, entry(data).sha512,
              text='nonsense')
    done = sweep()
    assert done.tally == tally(3, deactivated=1)
    assert 'that cannot be read' in done.err
    # What was decided stays; what was not is refused.
    assert [show(bare, image_id)['status'] for image_id in images] == [
        'active', 'active', 'deactivated']
    assert show(bare, images[2])['hepix_reason'].startswith(
        'internal-error: ')


@pytest.mark.parametrize('arguments', [
    ['--sweep', '--no-fetch'], ['--nonsense'],
    ['--sweep', 'adopt', '--reason', 'x', 'y'],
    ['adopt', '--reason', 'x'],
    ['adopt', '--reason', 'x', '--all-unknown', 'y']])
def test_command_lines_that_say_nothing(bare, arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        raise SystemExit(sync.main(arguments))
    assert caught.value.code == 3
    assert 'usage: hepix-vm-sync' in capsys.readouterr().err


def test_a_fresh_controller_takes_nothing_out_of_use(bare, sweep):
    """Another one has the list; what the site no longer follows goes."""
    data = os.urandom(100)
    image_list = bare.site.image_list(entry(data))
    bare.site.accept(image_list)
    image_id = upload(bare.client, data)
    assert sweep().tally == tally(1, marked=1)
    assert show(bare, image_id)['hepix_list_id'] == image_list.identifier
    for path in bare.site.state.rglob('*.smime'):
        path.unlink()
    assert sweep().tally == tally(1)
    assert show(bare, image_id)['hepix_state'] == 'endorsed'
    bare.site.write_subscriptions([])
    assert sweep().tally == tally(1, deactivated=1)


def test_endorser_and_operators_are_told_once(bare, sweep):
    """An image that its list dropped is not on it any more."""
    data = os.urandom(100)
    site = bare.site
    old = site.image_list(entry(data))
    site.accept(old)
    image_id = upload(bare.client, data)
    assert sweep().tally == tally(1, marked=1)
    site.accept(dataclasses.replace(old, version='2', images=()))
    write(bare, Fact.REVOKED, Blockable.SHA512, entry(data).sha512,
          image_list=old.identifier, version='2')
    settings = site.config.read_text()
    with mail_server() as server:
        site.config.write_text(settings.replace('[hepix_vm]\n', (
            '[hepix_vm]\nnotifiers = email\nsmtp_tls = none\n'
            f'smtp_port = {server.port}\noperators = ops@example.org\n'
            'mail_from = images@example.org\n'), 1))
        assert sweep('--dry-run').tally == tally(1, deactivated=1)
        assert server.received == []
        assert sweep().tally == tally(1, deactivated=1)
        assert sweep().tally == tally(1)
    assert [item.recipients for item in server.received] == [
        ['ops@example.org'], ['alice@example.org']]
    text = server.received[1].message.get_content()
    for part in ('An image was revoked.', f'in Glance {image_id}',
                 f'{old.identifier} version 2', '[image-revoked]'):
        assert part in text
