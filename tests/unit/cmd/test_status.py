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


"""The program ``hepix-vm-status`` and its command for one file."""

import os
import stat
import sys

import pytest

from hepix_vm.cmd import status
from hepix_vm.cmd import upgrade_check
from hepix_vm.errors import PluginError
from hepix_vm.findings import Finding
from hepix_vm.findings import Severity
from hepix_vm import protections

SITE = ('# mine\n[^mine$]\ncreate = admin\nread = @\nupdate = admin\n'
        'delete = admin\n\n[.*]\ncreate = @\nread = @\nupdate = @\n'
        'delete = @\n')
MERGE = ('property-protections', 'merge')


@pytest.fixture
def site_file(tmp_path, site):
    path = tmp_path / 'site.conf'
    path.write_text(SITE)
    return path


def test_it_prints(site_file, capsys):
    assert status.main([*MERGE, str(site_file)]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == (protections.merge(SITE, 'admin').text, '')
    assert site_file.read_text() == SITE


def test_without_a_file_it_prints_the_shipped_one(site, capsys):
    assert status.main(MERGE) == 0
    assert capsys.readouterr().out == protections.shipped()


def test_the_operator_role_is_written(site, site_file, capsys):
    site.write_config(operator_role='image_operator')
    assert status.main([*MERGE, str(site_file)]) == 0
    assert capsys.readouterr().out == protections.merge(
        SITE, 'admin,image_operator').text
    assert status.main(
        [*MERGE, '--rule-format', 'policies', str(site_file)]) == 0
    out, err = capsys.readouterr()
    assert 'create = hepix_operator\n' in out
    assert err == ('Warning: The policy file of Glance needs '
                   '"hepix_operator": "rule:context_is_admin or '
                   'role:image_operator".\n')


def test_warnings_are_no_part_of_the_file(site_file, capsys):
    site_file.write_text(SITE[:SITE.index('[.*]')])
    assert status.main([*MERGE, str(site_file)]) == 0
    out, err = capsys.readouterr()
    assert 'Warning: ' not in out
    assert err.startswith('Warning: No section matched every property')


@pytest.mark.parametrize('umask', [0o022, 0o077])
def test_it_replaces_a_file(site_file, capsys, umask):
    if os.geteuid() == 0:
        # Whoever may give files away does not take them.
        os.chown(site_file, 12345, 23456)
    site_file.chmod(0o640)
    before = site_file.stat()
    old = os.umask(umask)
    try:
        assert status.main(
            [*MERGE, '--output', str(site_file), str(site_file)]) == 0
        new = site_file.with_name('new.conf')
        assert status.main([*MERGE, '--output', str(new)]) == 0
    finally:
        os.umask(old)
    after = site_file.stat()
    assert stat.S_IMODE(after.st_mode) == 0o640
    assert stat.S_IMODE(new.stat().st_mode) == 0o644
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino
    assert site_file.read_text() == protections.merge(SITE, 'admin').text
    assert capsys.readouterr() == ('', '')
    assert not list(site_file.parent.glob('.*'))


def test_a_link_is_followed(site_file, tmp_path):
    link = tmp_path / 'link.conf'
    link.symlink_to(site_file)
    assert status.main([*MERGE, '--output', str(link), str(link)]) == 0
    assert link.is_symlink()
    assert 'hepix_' in site_file.read_text()


def one_line(capsys, *words):
    out, err = capsys.readouterr()
    line, = err.splitlines()
    assert out == ''
    assert line.startswith('hepix-vm-status: ')
    for word in words:
        assert word in line


def test_what_cannot_be_done_is_one_line(site, site_file, capsys):
    assert status.main([*MERGE, '/nowhere/site.conf']) == 2
    one_line(capsys, '/nowhere/site.conf: It cannot be read')
    assert status.main([*MERGE, '--output', '/nowhere/new.conf']) == 2
    one_line(capsys, '/nowhere/new.conf: It cannot be written')
    site_file.write_text('nonsense')
    assert status.main(
        [*MERGE, '--output', str(site_file), str(site_file)]) == 2
    one_line(capsys, f'{site_file}: ', 'Correct the setting')
    assert site_file.read_text() == 'nonsense'
    site.write_config(enforcment='disabled')
    assert status.main(MERGE) == 2
    one_line(capsys, 'has no option enforcment')


def test_what_nobody_thought_of_is_one_line_too(site, capsys, monkeypatch):
    def broken(*unused):
        raise RuntimeError('cause')

    monkeypatch.setattr(protections, 'merge', broken)
    assert status.main(MERGE) == 2
    one_line(capsys, 'RuntimeError: cause', '--debug')
    with pytest.raises(SystemExit):
        status.main([*MERGE, '--unheard-of'])


def test_without_arguments_it_says_what_it_can_do(capsys):
    assert status.main([]) == 0
    out = capsys.readouterr().out
    for name in ('upgrade check', 'property-protections merge'):
        assert name in out


def test_a_command_that_is_not_there(capsys):
    assert status.main(['nonsense']) == 2


def test_glance_that_is_not_installed(site, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'glance.common', None)
    assert status.main(['upgrade', 'check']) == 2
    one_line(capsys, 'Glance cannot be imported',
             'Run the command with the Python environment of glance-api.')


def test_a_command_that_cannot_be_imported(capsys, monkeypatch):
    # A library that is too old leaves no command out.
    monkeypatch.setitem(sys.modules, 'hepix_vm.cmd.context', None)
    for arguments in (['context', 'check'], ['help', 'context', 'check']):
        assert status.main(arguments) == 2
        one_line(capsys, 'The command context check cannot be loaded: ',
                 'ModuleNotFoundError: ', 'requirements.txt')
    with pytest.raises(PluginError):
        status.main(['--debug', 'context', 'check'])
    capsys.readouterr()
    assert status.main(['help']) == 0
    out = capsys.readouterr().out
    assert 'Could not load' in out
    assert 'context_check' in out
    assert 'upgrade check' in out


@pytest.mark.parametrize('user', [0, 1000])
def test_root_is_told_to_ask_as_somebody_else(capsys, monkeypatch, user):
    monkeypatch.setattr(os, 'geteuid', lambda: user)
    monkeypatch.setattr(upgrade_check, '_of_vendordata', lambda arguments: [
        Finding(Severity.WARNING, 'Something', '')])
    assert status.main(['upgrade', 'check', 'vendordata']) == 1
    out, err = capsys.readouterr()
    assert 'Something' in out
    assert ('as the user of the service' in err) is (user == 0)
    assert len(err.splitlines()) == (user == 0)
