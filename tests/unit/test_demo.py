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

"""The demo finds out when something is not as it should be."""

from collections.abc import Iterator
import contextlib
import dataclasses
import hashlib
import os
import pathlib
import signal
import subprocess
import sys
from typing import Any

import pytest

from hepix_vm.errors import Code
from tests.testbed.client import LOCK
from tests.testbed import images
from tools.demo import __main__ as demo
from tools.demo import cases
from tools.demo.cases import Attempt
from tools.demo.cases import Case
from tools.demo import cloud as demo_cloud
from tools.demo.cloud import Cloud
from tools.demo.cloud import Disk
from tools.demo.cloud import Disks
from tools.demo import following
from tools.demo import interrupts
from tools.demo import needs
from tools.demo import options
from tools.demo import routes
from tools.demo.routes import Answer
from tools.demo.routes import Route
from tools.demo.table import all_right
from tools.demo.table import Row
from tools.demo.table import Seen

ROOT = pathlib.Path(__file__).parents[2]
DIGEST = 'ab' * 64
REFUSED = Case('unendorsed', '', lambda site, disks: Attempt(disks.qcow2),
               Code.NOT_ENDORSED)
ENDORSED = dataclasses.replace(
    cases.QCOW2, prepare=lambda site, disks: Attempt(disks.qcow2, 'signed'))
ROUTE = Route('direct upload', '', lambda *unused: Answer('HTTP 204'))
RIGHT_REFUSAL = Seen(
    Answer('HTTP 422', 'Refused: [not-endorsed] Nobody did.'),
    {'status': 'queued'})
RIGHT_ACCEPTANCE = Seen(
    Answer('HTTP 204'), {'status': 'active', 'hepix_state': 'endorsed',
                         'hepix_sha512': DIGEST},
    [pathlib.Path('stored')], DIGEST)


def row(case: Case, seen: Seen) -> Row:
    return Row(case, ROUTE, DIGEST, seen)


def test_right_rows() -> None:
    table = [row(REFUSED, RIGHT_REFUSAL), row(ENDORSED, RIGHT_ACCEPTANCE)]
    assert [each.problems for each in table] == [[], []]
    assert [each.seen.outcome for each in table] == [
        'not-endorsed', 'accepted']
    assert all_right(table)


def test_an_empty_table_shows_nothing() -> None:
    assert not all_right([])


@pytest.mark.parametrize(('changes', 'problem'), [
    ({'image': {'status': 'active'}}, 'is active, not queued'),
    ({'image': {}}, 'is None, not queued'),
    ({'image': {'status': 'queued', LOCK: 'task'}}, 'locked'),
    ({'files': [pathlib.Path('staging/x')]}, 'left behind: staging/x'),
    ({'answer': Answer('HTTP 422', '[malformed] x')}, 'not-endorsed'),
    ({'answer': Answer('HTTP 422', 'not-endorsed')}, 'the code'),
    ({'answer': Answer('HTTP 500', '[not-endorsed]')}, 'HTTP 500'),
    ({'answer': Answer('task success', '[not-endorsed]')}, 'task success'),
])
def test_wrong_refusals(changes: dict[str, Any], problem: str) -> None:
    wrong = row(REFUSED, dataclasses.replace(RIGHT_REFUSAL, **changes))
    assert len(wrong.problems) == 1
    assert problem in wrong.problems[0]
    assert 'WRONG: ' in '\n'.join(wrong.lines)
    assert not all_right([row(ENDORSED, RIGHT_ACCEPTANCE), wrong])


@pytest.mark.parametrize(('changes', 'problem'), [
    ({'image': {**RIGHT_ACCEPTANCE.image, 'status': 'queued'}},
     'is queued, not active'),
    ({'image': {**RIGHT_ACCEPTANCE.image, 'hepix_state': 'blocked'}},
     'hepix_state is blocked'),
    ({'image': {**RIGHT_ACCEPTANCE.image, 'hepix_sha512': None}},
     'hepix_sha512 is None'),
    ({'sha512': 'cd' * 64}, 'does not give out the bytes'),
    ({'files': []}, 'in 0 files'),
    ({'answer': Answer('HTTP 422', 'Refused')}, 'HTTP 422: Refused'),
])
def test_wrong_acceptances(changes: dict[str, Any], problem: str) -> None:
    wrong = row(ENDORSED, dataclasses.replace(RIGHT_ACCEPTANCE, **changes))
    assert len(wrong.problems) == 1
    assert problem in wrong.problems[0]
    assert not all_right([row(REFUSED, RIGHT_REFUSAL), wrong])


def test_rows_fit_the_page() -> None:
    text = ' '.join(f'[{code}] Some words.' for code in Code)
    for case in cases.CASES:
        for route in routes.ROUTES:
            wrong = Row(case, route, DIGEST, Seen(
                Answer('HTTP 500', text), {'status': 'queued'},
                [pathlib.Path('/folder' * 5, 'file' * 10)]))
            assert max(map(len, wrong.lines)) <= 79


class FakeGlance:
    """A Glance that accepts whatever carries the word ``signed``.

    :param folder: where its bytes lie
    :param lax: it accepts everything
    """

    url = 'http://127.0.0.1:1'

    def __init__(self, folder: pathlib.Path, lax: bool) -> None:
        self.stores = folder / 'stores'
        self.stores.mkdir()
        self.lax = lax
        self.images: dict[str, dict[str, Any]] = {}

    def stored_files(self) -> list[pathlib.Path]:
        return sorted(self.stores.iterdir())

    def create(self, **properties: Any) -> str:
        number = str(len(self.images))
        self.images[number] = {'id': number, 'status': 'queued',
                               **properties}
        return number

    def image(self, image_id: str) -> dict[str, Any]:
        return self.images[image_id]

    def download(self, image_id: str) -> Any:
        return Download((self.stores / image_id).read_bytes())

    def bring(self, cloud: Cloud, image_id: str,
              path: pathlib.Path) -> Answer:
        image = self.images[image_id]
        if not self.lax and 'hepix_endorsement' not in image:
            return RIGHT_REFUSAL.answer
        data = path.read_bytes()
        (self.stores / image_id).write_bytes(data)
        image.update(status='active', hepix_state='endorsed',
                     hepix_sha512=hashlib.sha512(data).hexdigest())
        return Answer('HTTP 204')


class Download(contextlib.nullcontext[Any]):
    """An answer with bytes."""

    def __init__(self, data: bytes) -> None:
        super().__init__(self)
        self.data = data

    def raise_for_status(self) -> None:
        pass

    def iter_content(self, size: int) -> Iterator[bytes]:
        yield self.data


class FakeSite:
    """A site that decides nothing.

    :param journal: the journal of the Glance
    """

    def __init__(self, journal: pathlib.Path) -> None:
        journal.write_text('{"image": "other"}\n{"image": "0"}\n')
        self.journal = journal

    def write_policy(self) -> None:
        """Nothing to undo."""

    write_anchors = write_policy

    def write_subscriptions(self, lists: list[Any]) -> None:
        assert lists == []


@pytest.fixture
def run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the whole demo on a fake Glance and return the exit status."""
    def run(lax: bool = False, console: str = images.GREETING,
            follows: bool = True) -> int:
        path = tmp_path / 'disk'
        path.write_bytes(b'a disk')
        disk = Disk.of(path, 'qcow2')
        glance: Any = FakeGlance(tmp_path, lax)
        site: Any = FakeSite(tmp_path / 'journal')
        monkeypatch.setattr(Cloud, 'client', glance)
        monkeypatch.setattr(needs, 'missing', lambda server: [])
        monkeypatch.setattr(cases, 'CASES', (ENDORSED, REFUSED))
        monkeypatch.setattr(routes, 'ROUTES', (
            dataclasses.replace(ROUTE, bring=glance.bring),))
        monkeypatch.setattr(images, 'boot', lambda *unused: console)
        monkeypatch.setattr(following, 'show', lambda *unused: follows)

        def make_disks(folder: pathlib.Path) -> Disks:
            folder.mkdir()
            return Disks(disk, disk, disk)

        monkeypatch.setattr(demo_cloud, 'make_disks', make_disks)
        monkeypatch.setattr(
            demo_cloud, 'run', lambda *unused: contextlib.nullcontext(
                Cloud(site, glance, site)))
        return demo.main([])

    return run


def test_exit_status_of_a_right_demo(
        run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    printed = capsys.readouterr().out
    assert '2 attempts, 2 as expected, 0 not.' in printed
    assert '[not-endorsed] Nobody did.' in printed
    assert '== all is as expected' in printed


def test_exit_status_of_a_wrong_row(
        run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(lax=True) == 1
    printed = capsys.readouterr().out
    assert '2 attempts, 1 as expected, 1 not.' in printed
    assert 'WRONG: the image is active, not queued' in printed
    assert 'NOT ALL IS AS EXPECTED' in printed


def test_exit_status_of_an_image_that_does_not_boot(run: Any) -> None:
    assert run(console='Missing operating system.') == 1


def test_exit_status_of_a_list_that_is_not_followed(run: Any) -> None:
    assert run(follows=False) == 1


def test_help_comes_before_anything_is_installed(
        tmp_path: pathlib.Path) -> None:
    done = subprocess.run(
        [ROOT / 'tools' / 'demo.sh', '--keep', '--help'], text=True,
        capture_output=True, timeout=60, env={
            'PATH': os.defpath, 'HEPIX_VM_VENV': str(tmp_path / 'venv'),
            'HEPIX_VM_CACHE': str(tmp_path / 'cache')})
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout == options.parser().format_help()
    assert [*tmp_path.iterdir()] == []


def test_a_route_that_breaks_is_a_wrong_row(
        run: Any, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    def bring(*unused: Any) -> Answer:
        raise ConnectionResetError('the line is dead')

    monkeypatch.setattr(FakeGlance, 'bring', bring)
    assert run() == 1
    assert 'ConnectionResetError: the line is dead' in ' '.join(
        capsys.readouterr().out.split())


def test_missing_programs_are_named(
        tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.setenv('HEPIX_VM_KERNEL_DIR', str(tmp_path))
    monkeypatch.setattr(sys, 'executable', str(tmp_path / 'python'))
    assert demo.main(['--server', 'gunicorn']) == 1
    printed = capsys.readouterr()
    assert printed.out == ''
    for name in ('cpio (Debian package cpio)', f'{tmp_path}/glance-manage ',
                 f'{tmp_path}/gunicorn ', f'{tmp_path}/boot/vmlinuz ',
                 'tools/demo.sh installs it.'):
        assert name in printed.err


def test_a_signal_unwinds_once() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interrupts.Interrupts():
        with pytest.raises(interrupts.Stopped) as caught:
            os.kill(os.getpid(), signal.SIGTERM)
        assert caught.value.number == signal.SIGTERM
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_signal_waits_while_held() -> None:
    with interrupts.Interrupts() as signals:
        reached = False
        with pytest.raises(interrupts.Stopped), signals.held():
            os.kill(os.getpid(), signal.SIGINT)
            reached = True
        assert reached


def test_a_signal_during_the_cleaning_up_is_ignored() -> None:
    with interrupts.Interrupts() as signals:
        signals.ignore()
        os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) != signal.SIG_DFL
