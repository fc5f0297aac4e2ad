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


"""Glance's configuration as it would be read, without a Glance."""

import configparser
import dataclasses
import pathlib
from typing import Any

from glance.common import property_utils
from oslo_config import cfg
import pytest

from hepix_vm.glance_hooks import preflight
from hepix_vm.glance_hooks import service
from tests.testbed import config
from tests.testbed.config import Options
from tests.testbed import glance as testbed_glance
from tests.testbed import site as testbed_site

NO_SENTINEL = {'oslo_messaging_notifications': {'driver': 'noop'}}


def alone(found, what, *words):
    """Check that there is one finding, which has these words."""
    assert set(found) == {what}, found
    message, = found[what]
    for word in words:
        assert word in message
    return message


@dataclasses.dataclass
class Configured:
    """The files of a Glance, as the testbed writes them."""

    folder: pathlib.Path

    @property
    def etc(self) -> pathlib.Path:
        return self.folder / 'etc'

    def findings(self, **options: Any) -> dict[str, list[str]]:
        """Return what the preflight finds, by check, where not all is ok.

        :param options: of :class:`tests.testbed.config.Options`; the
            shipped files by default
        """
        config.write(self.folder, 9292, Options(**{
            'property_protections': testbed_site.PROPERTY_PROTECTIONS,
            'policy': testbed_site.POLICY, **options}), 'sqlite://')
        return self.again()

    def again(self) -> dict[str, list[str]]:
        """Return what the preflight finds in the files as they are."""
        preflight.load([str(self.etc / 'glance-api.conf')])
        found: dict[str, list[str]] = {}
        for finding in preflight.findings():
            if finding.severity:
                found.setdefault(finding.what, []).append(
                    f'{finding.severity}: {finding.message}')
        return found


@pytest.fixture
def configured(site, tmp_path, monkeypatch):
    """A Glance of the testbed with the site ``site``, not started."""
    monkeypatch.syspath_prepend(testbed_glance.SERVER)
    # Glance adds to what it read before.
    monkeypatch.setattr(property_utils, 'CONFIG',
                        configparser.ConfigParser())
    # As for Glance's user; root may write it all the same.
    (site.state / 'lists').chmod(0o550)
    service.gate.cache_clear()
    yield Configured(tmp_path / 'glance')
    service.gate.cache_clear()
    cfg.CONF.reset()
