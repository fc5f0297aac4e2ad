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

"""The script that starts hepix-vm-mkisofs finds what it needs."""

import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from tests.testbed.contexts import ARGUMENTS
from tests.testbed.contexts import ContextSite
from tests.testbed.contexts import write_tree
from tests.testbed.glance import program

_VERSION = 'python{}.{}'.format(*sys.version_info)


@pytest.fixture
def site(tmp_path: pathlib.Path) -> ContextSite:
    return ContextSite(tmp_path / 'site')


def start(path: pathlib.Path, site: ContextSite, **environment: str,
          ) -> subprocess.CompletedProcess[str]:
    """Make a drive with a copy of the script."""
    tree = write_tree(site.folder / 'tree')
    return subprocess.run(
        [str(path), '-o', str(site.folder / 'drive'), *ARGUMENTS, str(tree)],
        capture_output=True, text=True, timeout=60,
        env={'PATH': os.environ['PATH'], **site.environment, **environment})


def environment(folder: pathlib.Path, *packages: str) -> pathlib.Path:
    """Make a folder like a virtual environment; return its script."""
    (folder / 'bin').mkdir(parents=True)
    script = folder / 'bin' / 'hepix-vm-mkisofs'
    shutil.copy(program('hepix-vm-mkisofs'), script)
    # The interpreter itself: a link to that of this environment would know
    # where its own packages are.
    (folder / 'bin' / 'python3').symlink_to(os.path.realpath(sys.executable))
    site_packages = folder / 'lib' / _VERSION / 'site-packages'
    site_packages.mkdir(parents=True)
    for name in packages:
        found = importlib.util.find_spec(name)
        assert found and found.origin
        (site_packages / name).symlink_to(pathlib.Path(found.origin).parent)
    return script


def made(finished: subprocess.CompletedProcess[str],
         site: ContextSite) -> bool:
    assert finished.stderr == ''
    return finished.returncode == 0 and (
        site.folder / 'drive').stat().st_size > 0


def compile_first(site: ContextSite) -> None:
    """Compile: what that needs is not in the environments made here."""
    assert start(pathlib.Path(program('hepix-vm-mkisofs')),
                 site).returncode == 0
    (site.folder / 'drive').unlink()


def test_installed_as_a_wheel(site: ContextSite,
                              tmp_path: pathlib.Path) -> None:
    compile_first(site)
    script = environment(tmp_path / 'venv', 'hepix_vm', 'pycdlib')
    assert made(start(script, site), site)


def test_by_a_link(site: ContextSite, tmp_path: pathlib.Path) -> None:
    compile_first(site)
    script = environment(tmp_path / 'venv', 'hepix_vm', 'pycdlib')
    (tmp_path / 'link').symlink_to('other')
    (tmp_path / 'other').symlink_to(script)
    assert made(start(tmp_path / 'link', site), site)


def test_in_a_folder_with_blanks(site: ContextSite,
                                 tmp_path: pathlib.Path) -> None:
    compile_first(site)
    script = environment(tmp_path / 'my  $(venv)', 'hepix_vm', 'pycdlib')
    assert made(start(script, site), site)


def test_the_environment_of_the_caller_injects_nothing(
        site: ContextSite, tmp_path: pathlib.Path) -> None:
    (tmp_path / 'evil').mkdir()
    for name in ('json', 'sitecustomize', 'pycdlib'):
        (tmp_path / 'evil' / f'{name}.py').write_text(
            f'open({str(tmp_path / "mark")!r}, "w")')
    finished = start(pathlib.Path(program('hepix-vm-mkisofs')), site,
                     PYTHONPATH=str(tmp_path / 'evil'),
                     PYTHONSTARTUP=str(tmp_path / 'evil' / 'json.py'))
    assert made(finished, site)
    assert not (tmp_path / 'mark').exists()


def test_without_an_interpreter_beside_it(site: ContextSite,
                                          tmp_path: pathlib.Path) -> None:
    """As pip installs programs for Debian's own Python."""
    compile_first(site)
    script = environment(tmp_path / 'venv', 'hepix_vm', 'pycdlib')
    (tmp_path / 'venv' / 'bin' / 'python3').rename(tmp_path / 'python3')
    path = f'{tmp_path}:{os.environ["PATH"]}'
    assert made(start(script, site, PATH=path), site)


def test_packages_of_which_some_lie_elsewhere(
        site: ContextSite, tmp_path: pathlib.Path) -> None:
    """As on Red Hat, where those that are compiled have lib64.

    Here what compiling needs is where a file of site packages points to.
    """
    script = environment(tmp_path / 'venv', 'hepix_vm', 'pycdlib')
    (tmp_path / 'venv' / 'pyvenv.cfg').write_text(
        f'home = {os.path.dirname(os.path.realpath(sys.executable))}\n'
        f'include-system-site-packages = false\n')
    site_packages = tmp_path / 'venv' / 'lib' / _VERSION / 'site-packages'
    (site_packages / 'elsewhere.pth').write_text(
        '\n'.join(path for path in sys.path if 'site-packages' in path))
    assert made(start(script, site), site)


@pytest.mark.parametrize('packages, missing', [
    ((), 'hepix_vm'), (('hepix_vm',), 'pycdlib')])
def test_what_is_not_installed_is_named(
        site: ContextSite, tmp_path: pathlib.Path,
        packages: tuple[str, ...], missing: str) -> None:
    script = environment(tmp_path / 'venv', *packages)
    finished = start(script, site)
    assert finished.returncode == 1
    assert f"No module named '{missing}'. Install hepix-vm" in (
        finished.stderr)
    assert 'Traceback' not in finished.stderr
    assert finished.stderr.count('\n') == 1
