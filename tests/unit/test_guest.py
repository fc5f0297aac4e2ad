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

"""What an image producer installs; that it works is shown by booting it."""

import configparser
import os
import pathlib
import re
import subprocess

from pbr.hooks import files
import pytest

ROOT = pathlib.Path(__file__).parents[2]
GUEST = ROOT / 'guest'
UNITS = sorted(path.name for path in (GUEST / 'systemd').iterdir())
SHELLS = (['dash'], ['bash', '--posix'], ['busybox', 'sh'])


def install(root: pathlib.Path, *arguments: str, shell: list[str] = SHELLS[0],
            ) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*shell, str(GUEST / 'install.sh'), '--root', str(root), *arguments],
        capture_output=True, text=True, timeout=60)


def tree(root: pathlib.Path) -> dict[str, tuple[int, str]]:
    """Return the mode and the content of all that is not a folder."""
    return {
        str(path.relative_to(root)): (
            path.lstat().st_mode & 0o777,
            str(path.readlink()) if path.is_symlink() else path.read_text())
        for path in root.rglob('*') if path.is_symlink() or path.is_file()}


@pytest.fixture
def systemd(tmp_path: pathlib.Path) -> pathlib.Path:
    """The root folder of an image with systemd."""
    (tmp_path / 'usr/lib/systemd/system').mkdir(parents=True)
    (tmp_path / 'usr/lib/systemd/systemd').write_text('')
    return tmp_path


def sysv_root(root: pathlib.Path, *links: str) -> pathlib.Path:
    (root / 'etc/init.d').mkdir(parents=True)
    for link in links:
        path = root / 'etc' / link
        path.parent.mkdir(exist_ok=True)
        path.symlink_to('../init.d/some')
    return root


def started(root: pathlib.Path) -> dict[str, str]:
    """Return where each link of ours leads, by its path below etc."""
    return {str(path.relative_to(root / 'etc')): str(path.readlink())
            for path in (root / 'etc').glob('**/rc?.d/*hepix*')}


@pytest.mark.parametrize('shell', SHELLS, ids=' '.join)
def test_units_are_installed_and_enabled(systemd, shell):
    done = install(systemd, shell=shell)
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')
    found = tree(systemd)
    wants = 'etc/systemd/system/multi-user.target.wants'
    for name in UNITS:
        assert found[f'usr/lib/systemd/system/{name}'][0] == 0o644
    for name in ('hepix-vm-prolog.service', 'hepix-vm-epilog.service'):
        link = systemd / wants / name
        assert str(link.readlink()) == f'/usr/lib/systemd/system/{name}'
    assert found['usr/sbin/hepix-vm-context'] == (
        0o755, (GUEST / 'hepix-vm-context').read_text())
    assert not [name for name in found if 'init.d' in name or '.new' in name]


def test_installed_twice_is_installed_once(systemd):
    install(systemd)
    first = tree(systemd)
    assert install(systemd).returncode == 0
    assert tree(systemd) == first


def test_uninstall_leaves_what_was_there(systemd):
    before = tree(systemd)
    install(systemd)
    assert install(systemd, '--uninstall').returncode == 0
    assert tree(systemd) == before


def test_settings_that_were_changed_stay(systemd):
    settings = systemd / 'etc/hepix-vm-guest.conf'
    install(systemd)
    settings.write_text('PROLOG_LIMIT=5\n')
    install(systemd)
    assert settings.read_text() == 'PROLOG_LIMIT=5\n'
    install(systemd, '--uninstall')
    assert settings.read_text() == 'PROLOG_LIMIT=5\n'


def test_scripts_of_debian_start_before_its_network(tmp_path):
    root = sysv_root(tmp_path, 'rcS.d/S12networking', 'rc2.d/S20ssh')
    assert install(root).returncode == 0
    links = started(root)
    assert links['rcS.d/S12hepix-vm-prolog'] == '../init.d/hepix-vm-prolog'
    order = sorted(path.name for path in (root / 'etc/rcS.d').iterdir())
    assert order == ['S12hepix-vm-prolog', 'S12networking']
    assert {name for name in links if 'epilog' in name} == {
        f'rc{level}.d/{name}hepix-vm-epilog' for level, name in
        zip('2345016', ['S99'] * 4 + ['K01'] * 3, strict=True)}


def test_scripts_of_red_hat_start_before_its_network(tmp_path):
    (tmp_path / 'etc/rc.d/init.d').mkdir(parents=True)
    for level in '2345':
        (tmp_path / f'etc/rc.d/rc{level}.d').mkdir()
        link = tmp_path / f'etc/rc.d/rc{level}.d/S10network'
        link.symlink_to('../init.d/network')
    assert install(tmp_path).returncode == 0
    assert (tmp_path / 'etc/rc.d/init.d/hepix-vm-prolog').exists()
    order = sorted(path.name for path in (tmp_path / 'etc/rc.d/rc3.d'
                                          ).iterdir())
    assert order == ['S10hepix-vm-prolog', 'S10network',
                     'S99hepix-vm-epilog']


def test_scripts_are_removed(tmp_path):
    root = sysv_root(tmp_path, 'rcS.d/S12networking')
    before = tree(root)
    install(root)
    install(root, '--uninstall')
    assert tree(root) == before


@pytest.mark.parametrize(('arguments', 'text'), [
    ((), 'there is neither systemd nor SysV init'),
    (('--init', 'upstart'), '--init is systemd or sysv, not upstart'),
    (('--init',), '--init needs a value'),
    (('--root', '/nonexistent'), 'there is no folder /nonexistent'),
    (('--force',), 'unknown argument: --force')])
def test_what_is_wrong_is_refused(tmp_path, arguments, text):
    done = install(tmp_path, *arguments)
    assert done.returncode == 1
    assert text in done.stderr
    assert tree(tmp_path) == {}


@pytest.mark.parametrize('name', [
    'hepix-vm-context', 'install.sh', 'sysv/hepix-vm-prolog',
    'sysv/hepix-vm-epilog'])
@pytest.mark.parametrize('shell', SHELLS, ids=' '.join)
def test_scripts_are_understood_by_shells(name, shell):
    assert (GUEST / name).stat().st_mode & 0o111 == 0o111
    subprocess.run([*shell, '-n', str(GUEST / name)], check=True, timeout=60)


@pytest.mark.parametrize('arguments', [
    (), ('prolog',), ('prolog', 'restart'), ('middle', 'start'),
    ('prolog', 'start', 'now')])
def test_runner_says_how_it_is_used(arguments):
    done = subprocess.run(
        [str(GUEST / 'hepix-vm-context'), *arguments], capture_output=True,
        text=True, timeout=60)
    assert (done.returncode, done.stderr) == (
        64, 'usage: hepix-vm-context prolog|epilog start|stop\n')


def unit(name: str) -> dict[str, str]:
    parser = configparser.ConfigParser(
        strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(GUEST / 'systemd' / name)
    return dict(parser['Service'])


def seconds(text: str) -> int:
    number, name = re.fullmatch(r'(\d+)(min|h)', text).groups()
    return int(number) * {'min': 60, 'h': 3600}[name]


def test_units_allow_for_the_greatest_limits_of_the_runner():
    """Else systemd would end the runner, and not the script's processes."""
    text = (GUEST / 'hepix-vm-context').read_text()
    greatest = {name: int(number) for name, number in re.findall(
        r'seconds (\w+) "\$value" (\d+)', text)}
    for part in ('prolog', 'epilog'):
        main = unit(f'hepix-vm-{part}.service')
        # A minute for the copy, and for the ten seconds until KILL.
        assert seconds(main['TimeoutStartSec']) >= (
            60 + greatest['DRIVE_WAIT'] + greatest[f'{part.upper()}_LIMIT'])
        assert seconds(unit(f'hepix-vm-{part}-stop.service')[
            'TimeoutStopSec']) >= 60 + greatest['STOP_LIMIT']
    settings = (GUEST / 'hepix-vm-guest.conf').read_text()
    assert set(re.findall(r'^#(\w+)=', settings, re.MULTILINE)) == set(
        greatest)


def test_element_of_diskimage_builder_brings_all_that_is_installed(
        systemd, tmp_path_factory):
    elements = GUEST / 'elements'
    hooks = tmp_path_factory.mktemp('hooks')
    hook = elements / 'hepix-vm-context/extra-data.d/60-hepix-vm-context'
    subprocess.run([str(hook)], check=True, timeout=60, env={
        'PATH': os.environ['PATH'], 'TMP_HOOKS_PATH': str(hooks),
        'ELEMENTS_PATH': f'/nonexistent:{elements}'})
    subprocess.run(
        ['sh', str(hooks / 'hepix-vm-guest/install.sh'), '--root',
         str(systemd)], check=True, timeout=60)
    assert (systemd / 'usr/sbin/hepix-vm-context').exists()
    text = (elements / 'hepix-vm-context/install.d/60-hepix-vm-context'
            ).read_text()
    assert 'sh /tmp/in_target.d/hepix-vm-guest/install.sh' in text


def test_all_of_it_is_installed_with_the_package(monkeypatch):
    monkeypatch.chdir(ROOT)
    config = configparser.ConfigParser()
    config.read('setup.cfg')
    hook = files.FilesConfig({'files': dict(config['files'])}, 'hepix-vm')
    hook.expand_globs()
    listed = {line.strip(" '") for line in hook.data_files.splitlines()}
    sources = {str(path.relative_to(ROOT)) for path in GUEST.rglob('*')
               if path.is_file()}
    assert sources - listed == set()
    assert "'share/hepix-vm/guest/systemd' =" in hook.data_files.replace(
        '"', "'")


def test_guide_names_settings_with_their_values():
    text = (GUEST / 'hepix-vm-context').read_text()
    greatest = dict(re.findall(r'seconds (\w+) "\$value" (\d+)', text))
    defaults = dict(re.findall(r'^(\w+)=(\d*)$', text, re.MULTILINE))
    guide = (ROOT / 'doc/source/user/guest.rst').read_text()
    found = re.findall(r"""\* - ``(\w+)``
     - ([0-9 or]+)
     - (\d+)
""", guide)
    assert {name: most for name, _, most in found} == greatest
    assert {name: value for name, value, _ in found} == {
        name: defaults[name] or '10 or 2' for name in greatest}


@pytest.mark.parametrize('shell', SHELLS, ids=' '.join)
@pytest.mark.parametrize('written, seconds', [
    ('5', 5), ('08', 8), ('010', 10), ('00', 0), ('0', 0), ('301', 300)])
def test_numbers_of_the_settings_are_decimal(
        shell: list[str], written: str, seconds: int) -> None:
    function = re.search(r'^seconds\(\) \{\n.*?^\}\n',
                         (GUEST / 'hepix-vm-context').read_text(),
                         re.MULTILINE | re.DOTALL)
    assert function
    finished = subprocess.run(
        [*shell, '-uc', f'SETTINGS=x; tell() {{ :; }}\n{function[0]}'
         'seconds LIMIT "$1" 300; echo $((LIMIT + 1))', 'sh', written],
        capture_output=True, text=True, timeout=60)
    assert finished.stdout == f'{seconds + 1}\n', finished.stderr


@pytest.mark.parametrize('shell', SHELLS, ids=' '.join)
@pytest.mark.parametrize(('written', 'shown'), [
    ('bad\rhepix-vm: prolog ended with status 0',
     'bad?hepix-vm: prolog ended with status 0'),
    ('\x1b[2J\x1b[Hx\x7f', '?[2J?[Hx?'), ('a\tb  Zürich %s \\n', None)])
def test_a_line_of_a_script_gives_no_orders_to_a_terminal(
        shell, written, shown):
    function, = re.findall(r'^make_plain\(\) \{.*?^\}',
                           (GUEST / 'hepix-vm-context').read_text(),
                           re.MULTILINE | re.DOTALL)
    done = subprocess.run(
        [*shell, '-c', f'{function}\nline=$1\nmake_plain\n'
         'printf %s "$line"', 'sh', written], capture_output=True, timeout=60)
    assert done.stdout.decode() == (shown or written)
