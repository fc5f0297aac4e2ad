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

"""The house rules of HACKING.rst that no linter knows."""

import ast
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PACKAGES = ('hepix_vm', 'tests', 'tools', 'benchmarks')
SOURCES = sorted(
    path for package in PACKAGES for path in (ROOT / package).rglob('*.py')
    if path.stat().st_size)
CORE = [ROOT / 'hepix_vm' / 'errors.py', *sorted(
    path for package in ('trust', 'context')
    for path in (ROOT / 'hepix_vm' / package).rglob('*.py'))]

# Standard modules that reach a file, a process, the network, the clock or
# the environment, or that differ from run to run.
IMPURE = {
    'asyncio', 'concurrent', 'ctypes', 'fcntl', 'getpass', 'glob', 'http',
    'importlib', 'locale', 'logging', 'mmap', 'multiprocessing', 'os',
    'pathlib', 'pickle', 'platform', 'random', 'secrets', 'select',
    'shutil', 'signal', 'smtplib', 'socket', 'sqlite3', 'ssl',
    'subprocess', 'sys', 'syslog', 'tempfile', 'threading', 'time',
    'urllib'}
CORE_MAY_IMPORT = (sys.stdlib_module_names - IMPURE) | {
    'asn1crypto', 'cryptography', 'pycdlib'}
OWN = ('hepix_vm.errors', 'hepix_vm.trust', 'hepix_vm.context')
CLOCK_AND_FILES = {'now', 'utcnow', 'today', 'open', 'print', 'input'}


def name(path: pathlib.Path) -> str:
    return str(path.relative_to(ROOT))


def imported(tree: ast.AST) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f'{node.module}.{alias.name}' for alias in node.names]
    return names


def impure(text: str) -> list[str]:
    """Return what a module of the core must not have."""
    tree = ast.parse(text)
    found = [
        module for module in imported(tree)
        if module.split('.')[0] not in CORE_MAY_IMPORT
        and not f'{module}.'.startswith(tuple(f'{own}.' for own in OWN))]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = getattr(
                node.func, 'attr', getattr(node.func, 'id', None))
            if called in CLOCK_AND_FILES:
                found.append(f'{called}()')
    return found


@pytest.mark.parametrize('path', CORE, ids=name)
def test_core_is_pure(path):
    assert impure(path.read_text()) == []


@pytest.mark.parametrize(('text', 'found'), [
    ('import os', 'os'),
    ('import os.path', 'os.path'),
    ('from oslo_log import log', 'oslo_log.log'),
    ('from hepix_vm import config', 'hepix_vm.config'),
    ('def f():\n    import requests', 'requests'),
    ('import datetime\ndatetime.datetime.now()', 'now()'),
    ('open("x")', 'open()'),
])
def test_impurity_is_found(text, found):
    assert impure(text) == [found]


def test_core_may_import_itself():
    assert impure('from hepix_vm.trust import names\n'
                  'from hepix_vm.errors import Code\n'
                  'import asn1crypto.cms') == []


@pytest.mark.parametrize('path', SOURCES, ids=name)
def test_license_and_length(path):
    lines = path.read_text().splitlines()
    assert lines[0].startswith('# Licensed under the Apache License')
    assert len(lines) <= 400


def test_functions_are_short():
    lengths = [
        node.end_lineno - node.lineno + 1
        for path in SOURCES for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    short = [length for length in lengths if length <= 40]
    assert len(short) >= 0.9 * len(lengths) > 0
