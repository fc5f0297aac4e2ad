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

"""A site on disk, and a folder that stands for a server."""

import pytest

from hepix_vm import paths
from tests.testbed.site import Site
from tests.unit.parts import applets
from tests.unit.parts import Server
from tests.unit.parts import SHELLS


@pytest.fixture
def site(tmp_path, monkeypatch):
    site = Site(tmp_path)
    monkeypatch.setenv(paths.ENVIRONMENT, str(site.config))
    return site


@pytest.fixture(scope='session')
def programs(tmp_path_factory):
    return applets(tmp_path_factory.mktemp('applets'))


@pytest.fixture(params=SHELLS)
def bare(request, tmp_path, programs):
    """A server on which nothing is installed."""
    return Server(tmp_path, programs, SHELLS[request.param])


@pytest.fixture
def server(bare):
    """One on which everything is installed, under systemd."""
    for name in ('rsyslogd', 'chronyd', 'usermod', 'condor_master',
                 'condor_off', 'cvmfs_config', 'systemctl',
                 'prometheus-node-exporter'):
        bare.program(name)
    bare.program('pidof', 'exit 1')
    for folder in ('/run/systemd/system', '/usr/lib/systemd'):
        bare.path(folder).mkdir(parents=True)
    bare.write('/usr/lib/systemd/system/ssh.service')
    bare.write('/etc/rsyslog.conf',
               '$IncludeConfig /etc/rsyslog.d/*.conf\n')
    bare.write('/etc/chrony/chrony.conf',
               f'sourcedir {bare.root}/run/chrony-dhcp\n'
               f'sourcedir {bare.root}/etc/chrony/sources.d\n')
    bare.write('/etc/ssh/sshd_config',
               'Include /etc/ssh/sshd_config.d/*.conf\n')
    bare.write('/etc/passwd', 'root:x:0:0::/:/bin/sh\n')
    return bare
