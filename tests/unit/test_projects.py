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

"""By what name rules know the project of who sends a request."""

from oslo_context import context
import pytest

from hepix_vm.nova_ctx.boot import booter_of
from hepix_vm.projects import name_of


@pytest.mark.parametrize('said, name', [
    ({'project_name': 'atlas', 'project_domain_id': 'default'}, 'atlas'),
    ({'project_name': 'atlas'}, 'atlas'),
    # Whoever administers a domain calls projects as he likes.
    ({'project_name': 'atlas', 'project_domain_id': 'd1',
      'project_domain_name': 'Grid'}, 'Grid/atlas'),
    ({'project_name': 'atlas', 'project_domain_id': 'd1'}, ''),
    ({}, '')])
def test_names_carry_their_domain(said, name):
    asks = context.RequestContext(project_id='p1', **said)
    assert name_of(asks) == name
    booter = booter_of(asks)
    assert booter.names == {name} - {''} and booter.project == 'p1'
