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

"""What every test gets: hypothesis profiles, no silent skips, clean logs."""

from collections.abc import Iterator
import logging
import os
from typing import Any

import hypothesis
import pytest

# The same examples in every run, here as in continuous integration; soak
# looks for new ones.
hypothesis.settings.register_profile(
    'ci', derandomize=True, deadline=None, print_blob=True)
hypothesis.settings.register_profile(
    'soak', max_examples=20_000, deadline=None, print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile(
    'soak' if os.environ.get('HEPIX_VM_SOAK') else 'ci')

_STACK = 'tests/functional/stack/'
_DEVSTACK = 'tests/functional/devstack/'
# Of these, each starts what it needs by itself.
_APART = {*(f'{_STACK}test_{name}.py' for name in ('processes', 'standing')),
          f'{_DEVSTACK}test_left_out.py'}
_skipped: list[str] = []


def _in_ci() -> bool:
    return os.environ.get('CI', '').lower() not in ('', '0', 'false')


def _note_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and not hasattr(report, 'wasxfail'):
        _skipped.append(report.nodeid)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note a test that was skipped; an expected failure is none."""
    _note_skip(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Note a module that was skipped as a whole."""
    _note_skip(report)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the whole clouds, which take longest."""
    items.sort(key=lambda item: not item.nodeid.startswith(
        (_STACK, _DEVSTACK)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Let a module run in one process, and a whole cloud in one as well.

    So what they share is started once.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByModule(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            module = nodeid.partition('::')[0]
            # These share a machine that is soon made.
            if module.startswith(f'{_DEVSTACK}test_functions'):
                return f'{_DEVSTACK}test_functions'
            if module not in _APART:
                for folder in (_STACK, _DEVSTACK):
                    if module.startswith(folder):
                        return folder
            return module

    return ByModule(config, log)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let a run with skipped tests fail where CI is set."""
    if _skipped and _in_ci() and session.exitstatus in (
            pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
        terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly which tests did not run."""
    if not _skipped:
        return
    terminalreporter.section('tests that did not run')
    for nodeid in _skipped:
        terminalreporter.write_line(nodeid)
    if _in_ci():
        terminalreporter.write_line(
            'CI is set: a test that does not run is a failure.')


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """What a program changes in the logging of its process is undone."""
    root = logging.getLogger()
    before = root.level, root.handlers[:]
    yield
    root.setLevel(before[0])
    root.handlers[:] = before[1]
