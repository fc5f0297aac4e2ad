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

"""The test set-up itself: a skipped test fails where CI is set."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

CONFTEST = pathlib.Path(__file__).parents[1] / 'conftest.py'

CASES = {
    'test': 'import pytest\n'
            'def test_it():\n'
            '    pytest.skip("no such tool")\n',
    'module': 'import pytest\n'
              'pytest.skip("no such tool", allow_module_level=True)\n',
    'mark': 'import pytest\n'
            '@pytest.mark.skip(reason="no such tool")\n'
            'def test_it():\n'
            '    assert True\n',
}
EXPECTED_FAILURE = (
    'import pytest\n'
    '@pytest.mark.xfail(reason="known", strict=True)\n'
    'def test_it():\n'
    '    assert False\n')


def _run(folder: pathlib.Path, text: str,
         ci: str | None) -> subprocess.CompletedProcess[str]:
    shutil.copy(CONFTEST, folder / 'conftest.py')
    (folder / 'test_ran.py').write_text('def test_ran():\n    assert 1\n')
    (folder / 'test_case.py').write_text(text)
    (folder / 'pytest.ini').write_text('[pytest]\n')
    environment = {k: v for k, v in os.environ.items() if k != 'CI'}
    if ci is not None:
        environment['CI'] = ci
    return subprocess.run(
        [sys.executable, '-m', 'pytest', '-p', 'no:cacheprovider', '.'],
        cwd=folder, env=environment, capture_output=True, text=True,
        timeout=120)


@pytest.mark.parametrize('case', CASES)
def test_skip_fails_in_ci(tmp_path, case):
    done = _run(tmp_path, CASES[case], 'true')
    assert done.returncode == 1, done.stdout
    assert 'tests that did not run' in done.stdout
    assert 'test_case.py' in done.stdout
    assert '1 passed, 1 skipped' in done.stdout


@pytest.mark.parametrize('ci', [None, '', 'false'])
def test_skip_is_told_elsewhere(tmp_path, ci):
    done = _run(tmp_path, CASES['test'], ci)
    assert done.returncode == 0, done.stdout
    assert 'tests that did not run' in done.stdout


def test_expected_failure_is_no_skip(tmp_path):
    done = _run(tmp_path, EXPECTED_FAILURE, 'true')
    assert done.returncode == 0, done.stdout
    assert 'tests that did not run' not in done.stdout
