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

"""hepix-vm-mkisofs where a source of the context does what it must not."""

import contextlib
import os
import re
import time

import pytest

from hepix_vm.context.bundle import Bundle
from hepix_vm.context.bundle import File
from hepix_vm.context import iso
from hepix_vm.errors import ContextError
from hepix_vm import journal
from hepix_vm.nova_ctx import mkisofs
from hepix_vm.sitecontext import compiled
from tests.testbed.contexts import ARGUMENTS
from tests.testbed.contexts import ContextSite
from tests.testbed.contexts import write_tree


@pytest.fixture
def make(tmp_path, monkeypatch, capsys):
    """Make a drive with a source; return status, output and journal."""
    site = ContextSite(tmp_path / 'site')
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    tree = write_tree(tmp_path / 'tree')

    def make(give, failure='fail'):
        settings = compiled.Settings(failure, 1, str(site.state))
        source = type('Source', (), {'give': staticmethod(give)})
        monkeypatch.setattr(compiled, '_imported', lambda entry: source)
        monkeypatch.setattr(compiled, 'load', lambda: compiled.Compiled(
            compiled.FORMAT, '', [], settings, [['own', 'x:Source', None]]))
        drive = tmp_path / 'drive'
        make.arguments = ['-o', str(drive), *ARGUMENTS, str(tree)]
        status = mkisofs.main(make.arguments)
        make.drive = drive
        return status, capsys.readouterr().err, site.journal

    return make


def hang(compiled, facts):
    time.sleep(60)


def mistake(compiled, facts):
    raise KeyError('s3cret')


def test_one_that_hangs_is_cut_short(make):
    begin = time.monotonic()
    status, said, journal = make(hang)
    assert time.monotonic() - begin < 30
    assert status == 1
    assert 'It took too long.' in said
    assert journal[0]['outcome'] == 'failed'
    assert not make.drive.exists()


def test_one_that_hangs_leaves_time_for_the_drive(make):
    status, said, journal = make(hang, 'warn')
    assert (status, journal[0]['outcome']) == (0, 'left-out')
    assert 'warning: no context is on the drive: It took too long' in said
    assert make.drive.stat().st_size


def test_the_journal_has_time_of_its_own(make, monkeypatch):
    record = journal.Journal.record

    def slowly(self, what):
        time.sleep(1.5)
        record(self, what)

    monkeypatch.setattr(journal.Journal, 'record', slowly)
    status, said, records = make(mistake, 'warn')
    assert (status, records[0]['outcome']) == (0, 'left-out')


def test_nothing_takes_it_for_a_drive_before_it_is_whole(make, monkeypatch):
    real = os.pwrite
    seen = []

    def pwrite(descriptor, data, offset):
        path = f'/proc/self/fd/{descriptor}'
        with open(path, 'rb') as file:
            seen.append(file.read()[iso.DESCRIPTORS:][1:6])
        # A little at a time, as to a slow disk.
        return real(descriptor, data[:10_000], offset)

    monkeypatch.setattr(os, 'pwrite', pwrite)
    status, said, _ = make(lambda compiled, facts: Bundle())
    assert status == 0
    assert len(seen) > 2
    assert b'CD001' not in seen
    assert make.drive.read_bytes()[iso.DESCRIPTORS:][1:6] == b'CD001'


def test_what_another_process_has_compiled_is_used(make, monkeypatch):
    @contextlib.contextmanager
    def turn():
        """Come last: the one before has done it."""
        monkeypatch.setattr(compiled, 'load', load)
        yield

    make(lambda compiled, facts: Bundle())
    load = compiled.load
    monkeypatch.setattr(compiled, 'turn', turn)
    monkeypatch.setattr(compiled, 'load', lambda: None)
    monkeypatch.setattr(mkisofs, '_compiled_anew', pytest.fail)
    assert mkisofs.main(make.arguments) == 0


def test_a_mistake_tells_its_place_and_not_its_text(make):
    status, said, journal = make(mistake)
    assert status == 1
    assert re.fullmatch(
        r'hepix-vm-mkisofs: The drive cannot be made: KeyError at '
        r'/\S+/test_mkisofs\.py:\d+\. Tell the operator: [^\n]+\n', said)
    assert journal[0]['reason'] == 'KeyError'
    assert any('test_mkisofs.py:' in place for place in journal[0]['where'])
    assert 's3cret' not in str(journal)


def test_what_it_says_itself_is_one_line(make):
    def refuse(compiled, facts):
        raise ContextError('One.\nTwo.', remedy='Three.\n')

    status, said, _ = make(refuse)
    assert said == 'hepix-vm-mkisofs: One. Two. Three.\n'
    assert status == 1


def test_what_it_gives_is_on_the_drive(make):
    status, said, journal = make(lambda compiled, facts: Bundle(
        files={'hostkey.pem': File(b'key of the server', 0o400)}))
    assert (status, said, journal) == (0, '', [])
    assert b'key of the server' in make.drive.read_bytes()


def test_a_path_that_leaves_the_context_is_refused(make):
    for path in ('../prolog.sh', 'a/../../prolog.sh', '/prolog.sh', ''):
        status, said, _ = make(lambda compiled, facts, path=path: Bundle(
            files={path: File(b'')}))
        assert status == 1
        assert 'cannot be the name of a file' in said
