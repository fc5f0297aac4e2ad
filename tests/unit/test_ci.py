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

"""What continuous integration is told: .zuul.yaml, and its playbooks."""

import configparser
import os
import pathlib
import re
import shlex
from typing import Any

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
SETTINGS = (ROOT / 'devstack' / 'settings').read_text()

ITEMS: list[dict[str, Any]] = yaml.safe_load(
    (ROOT / '.zuul.yaml').read_text())
JOBS: dict[str, dict[str, Any]] = {
    each['job']['name']: each['job'] for each in ITEMS if 'job' in each}
PROJECT, = (each['project'] for each in ITEMS if 'project' in each)
OF_DEVSTACK = [name for name in JOBS if 'devstack' in name]


def variables(name: str) -> dict[str, Any]:
    """Return the variables of a job, and of those of ours before it."""
    job = JOBS.get(name, {})
    found = variables(job['parent']) if job else {}
    for key, value in job.get('vars', {}).items():
        found[key] = ({**found.get(key, {}), **value}
                      if isinstance(value, dict) else value)
    return found


@pytest.mark.parametrize('pipeline', ['check', 'gate'])
def test_every_job_of_ours_is_run(pipeline: str) -> None:
    named = PROJECT[pipeline]['jobs']
    assert {*JOBS} == {name for name in named if name.startswith('hepix-vm')}


@pytest.mark.parametrize('name', OF_DEVSTACK)
def test_a_cloud_of_devstack_has_the_plugin(name: str) -> None:
    given = variables(name)
    assert [*given['devstack_plugins']] == ['hepix-vm']
    # DevStack copies what lies in these folders, and clones nothing.
    assert '{{ zuul.project.src_dir | dirname }}' in (
        given['devstack_source_dirs'])
    knobs = {key for key in given.get('devstack_localrc', {})
             if key.startswith('HEPIX_VM_')}
    assert knobs <= {*re.findall(r'(?m)^(HEPIX_VM_\w+)=', SETTINGS)}


def test_there_is_a_cloud_with_all_and_one_with_images_alone() -> None:
    whole, images = (variables(name)['devstack_services']
                     for name in OF_DEVSTACK)
    assert not [name for name in whole if name.startswith(('n-', 'q-'))]
    assert {'n-api', 'n-cpu', 'q-svc', 'c-api', 'placement-api'} <= {
        name for name, enabled in images.items() if enabled is False}
    assert 'g-api' not in images


def test_no_secrets_are_kept() -> None:
    kept = {path for name in OF_DEVSTACK
            for path in variables(name)['zuul_copy_output']}
    assert kept
    # Our own file has a password; the CA's folder has keys.
    assert not [path for path in kept if re.search(
        r'hepix-vm\.conf|hepix-vm/?$|/ca\b|vendordata\.conf', path)]


def test_the_acceptance_run_is_run() -> None:
    run, = {JOBS[name]['run'] for name in OF_DEVSTACK
            if 'run' in JOBS[name]}
    stack, exercise = yaml.safe_load((ROOT / run).read_text())
    assert stack['roles'] == ['orchestrate-devstack']
    task, = exercise['tasks']
    shell = task['ansible.builtin.shell']
    # What it ends with is not what tee ends with.
    assert 'set -o pipefail\n' in shell['cmd']
    assert task['become_user'] == 'stack'
    words = shlex.split(shell['cmd'].replace('\\\n', ''))
    script, = (word for word in words if word.endswith('.sh'))
    path = ROOT / script.removeprefix('hepix-vm/')
    assert path.is_file() and os.access(path, os.X_OK)
    assert 'ignore_errors' not in task and 'failed_when' not in task


def test_the_constraints_of_openstack_are_kept_too() -> None:
    """Those of ours have newer libraries than services run with."""
    job = JOBS['hepix-vm-upper-constraints']
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / 'tox.ini')
    section = tox[f'testenv:{job["vars"]["tox_envlist"]}']
    constraints, *_ = section['deps'].split()
    assert constraints.startswith('-c{env:TOX_CONSTRAINTS_FILE:')
    assert 'constraints.txt' not in section['deps']
    assert 'openstack/requirements' in job['required-projects']
