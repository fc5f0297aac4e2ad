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

import pytest

from hepix_vm import config
from hepix_vm.errors import ConfigError
from hepix_vm import paths


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write hepix-vm.conf and let the environment name it."""
    def write(text, name='hepix-vm.conf'):
        path = tmp_path / name
        path.write_text(text)
        if name == 'hepix-vm.conf':
            monkeypatch.setenv(paths.ENVIRONMENT, str(path))
        return str(path)
    return write


def test_the_defaults_are_safe(write):
    write('')
    group = config.load().hepix_vm
    assert group.enforcement == 'enforcing'
    assert group.crl_policy == 'require'
    assert not group.allow_sha1
    assert group.trust_anchors == '/etc/grid-security/certificates'
    assert group.crl_grace == 72


def test_the_files_of_the_service_win(write):
    write('[hepix_vm]\nenforcement = permissive\ncrl_grace = 1\n')
    service = write('[DEFAULT]\ndebug = true\n[hepix_vm]\n'
                    'enforcement = disabled\n', 'glance-api.conf')
    group = config.load([service]).hepix_vm
    assert (group.enforcement, group.crl_grace) == ('disabled', 1)


def test_what_the_service_has_besides_is_not_ours(write):
    write('')
    service = write('[DEFAULT]\nnobody = knows\n[some]\nkey = 1\n', 'g.conf')
    assert config.load([service]).hepix_vm.enforcement == 'enforcing'


@pytest.mark.parametrize('text, what', [
    ('[hepix_vm]\nenforcment = disabled\n', 'no option enforcment'),
    ('[hepix_vm]\ncrl-grace = 1\n', 'no option crl-grace'),
    ('[hepix-vm]\nenforcement = disabled\n', r'section \[hepix-vm\]'),
    ('[DEFAULT]\nenforcement = disabled\n', r'section \[DEFAULT\]'),
    ('[hepix_vm]\nenforcement = sometimes\n', 'enforcement'),
    ('[hepix_vm]\ncrl_grace = long\n', 'crl_grace'),
    ('[hepix_vm]\ncrl_grace = -1\n', 'crl_grace'),
    ('[hepix_vm]\nimage_checks = checksum\n', 'endorsement, expiry'),
    ('[hepix_vm]\nsigner_purposes = emailProtecton\n',
     'signer_purposes knows no emailProtecton'),
    ('[hepix_vm]\nsigner_purposes = serverAuth, 1.3.\n', r'no 1\.3\.; '),
    ('enforcement = disabled\n', 'hepix-vm.conf'),
])
def test_what_is_wrong_is_named(write, text, what):
    path = write(text)
    with pytest.raises(ConfigError, match=what) as caught:
        config.load()
    assert path in str(caught.value)


def test_purposes_by_name_and_by_oid(write):
    write('[hepix_vm]\nsigner_purposes = clientAuth, 1.3.6.1.5.5.7.3.9\n')
    assert config.load().hepix_vm.signer_purposes == [
        'clientAuth', '1.3.6.1.5.5.7.3.9']


def test_an_unknown_option_in_the_file_of_the_service(write):
    write('')
    service = write('[hepix_vm]\nenforcment = x\n', 'glance-api.conf')
    with pytest.raises(ConfigError, match='glance-api.conf'):
        config.load([service])


def test_a_file_that_is_named_must_be_there(tmp_path, monkeypatch):
    monkeypatch.setenv(paths.ENVIRONMENT, str(tmp_path / 'none.conf'))
    with pytest.raises(ConfigError, match=r'none\.conf'):
        config.load()
