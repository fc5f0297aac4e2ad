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


"""The place of the filter: last on every way to Glance's API.

PasteDeploy reads the file, as it does when Glance starts; nothing of it is
started here.
"""

from hepix_vm.findings import Found
from hepix_vm.findings import Severity
from hepix_vm.glance_hooks.checks.finding import Checked
from hepix_vm.pastefile import misplaced
from hepix_vm.pastefile import Ways


def check(glance: Checked) -> Found:
    """Whether the filter is where it sees every request as Glance does."""
    from glance.common import config

    from hepix_vm.glance_hooks import upload_filter

    # As glance.common.config.load_paste_app finds them.
    name = 'glance-api' + config._get_deployment_flavor()
    try:
        path = config._get_deployment_config_file()
    except RuntimeError as error:
        yield Severity.FAILURE, (
            f'{glance.where("config_file", "paste_deploy")} names no file: '
            f'{error} Set config_file to glance-api-paste.ini.')
        return
    try:
        chains = _ways().chains(path, name)
    except Exception as error:
        yield Severity.FAILURE, (
            f'{path}: the application {name} cannot be loaded: {error}. '
            f'Correct the file, or '
            f'{glance.where("flavor", "paste_deploy")}.')
        return
    wrong = misplaced(chains, upload_filter.filter_factory, 'hepix_trust',
                      'Glance')
    if wrong:
        yield Severity.FAILURE, (
            f'{path}: in the pipeline of {name} '
            f'({glance.where("flavor", "paste_deploy")}) {wrong} Put '
            f'hepix_trust last before rootapp, and add the section '
            f'[filter:hepix_trust] with use = egg:hepix-vm#hepix_trust.')


def _ways() -> Ways:
    from glance import api
    from glance.api.v2 import router
    from paste import urlmap

    return Ways(
        router.API.factory,
        {api.pipeline_factory: api.CONF.paste_deploy.flavor or 'default'},
        (api.root_app_factory, urlmap.urlmap_factory))
