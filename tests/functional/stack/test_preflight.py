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

"""What the preflight says of a cloud that is set up as the pages say."""

import json
import subprocess

import pytest

from hepix_vm.sitecontext import compiled
from tests.testbed.daemon import clean_environment
from tests.testbed.glance import program
from tests.testbed.glance import SERVER
from tests.testbed.stack import Stack


@pytest.mark.parametrize('service', ['glance', 'nova', 'cinder',
                                     'vendordata'])
def test_nothing_is_left_open(stack: Stack, service: str) -> None:
    nova = stack.compute.api.conf
    glance = stack.glance.folder / 'etc' / 'glance-api.conf'
    conf = {'nova': nova, 'glance': glance,
            'cinder': stack.cinder.conf}.get(service)
    # It has a password.
    stack.site.config.chmod(0o640)
    environment = {
        **clean_environment(), **stack.environment,
        'OS_NOVA_CONFIG_DIR': str(nova.parent),
        compiled.ENVIRONMENT: str(stack.folder / 'context.json'),
        # Glance's pipeline has a filter of the testbed.
        'PYTHONPATH': str(SERVER)}
    status = program('hepix-vm-status')
    # As the pages say, once the context is written.
    subprocess.run([status, 'context', 'compile'], check=True, timeout=120,
                   env=environment, capture_output=True)
    done = subprocess.run(
        [status, 'upgrade', 'check', service, '-f', 'json',
         *([f'--{service}-config', str(conf)] if conf else [])],
        capture_output=True, text=True, timeout=120, env=environment)
    assert done.stdout, done.stderr
    assert [row for row in json.loads(done.stdout)
            if row['Result'] != 'ok'] == []
    assert done.returncode == 0
