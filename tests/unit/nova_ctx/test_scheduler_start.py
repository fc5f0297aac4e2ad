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

"""How nova-scheduler comes by the filter."""

from nova import conf
from nova.scheduler.filters import HostFilterHandler
from oslo_config import cfg
import pytest

from hepix_vm.errors import ConfigError
from hepix_vm.nova_ctx.scheduler_filter import EndorsedImageFilter


def test_nova_finds_it_by_its_name():
    found, = HostFilterHandler().get_matching_classes([
        'hepix_vm.nova_ctx.scheduler_filter.EndorsedImageFilter'])
    assert found is EndorsedImageFilter


@pytest.mark.parametrize('policy', ['volumes: perhaps\n', '[', None])
def test_it_does_not_start_without_a_policy(site, monkeypatch, policy):
    of_nova = cfg.ConfigOpts()
    of_nova([], default_config_files=[], default_config_dirs=[])
    monkeypatch.setattr(conf, 'CONF', of_nova)
    path = site.folder / 'policy.yaml'
    site.write_config(policy_file=str(path))
    path.write_text('endorsers: []\n')
    EndorsedImageFilter()
    path.unlink()
    if policy is not None:
        path.write_text(policy)
    with pytest.raises(ConfigError, match='policy.yaml'):
        EndorsedImageFilter()
