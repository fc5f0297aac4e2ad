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


"""The files of the site, and when Glance is not started."""

import os

import pytest

from hepix_vm.errors import ConfigError
from hepix_vm.glance_hooks import preflight
from hepix_vm.glance_hooks import service
from tests.unit.glance_hooks.conftest import alone
from tests.unit.glance_hooks.conftest import NO_SENTINEL


def test_files_that_do_not_load(configured, site):
    site.write_policy(endorser=[])
    alone(configured.findings(), 'Files of the site', 'warning: ',
          'Every image is refused', 'policy.yaml:1: ', 'endorser')


def test_settings_that_do_not_load(configured, site):
    site.write_config(enforcment='disabled')
    alone(configured.findings(), 'Files of the site',
          'has no option enforcment', str(site.config))


def test_files_that_others_can_write(configured, site):
    paths = [site.folder / 'policy.yaml', site.folder / 'subscriptions.yaml',
             site.config, site.state / 'lists',
             site.anchors, next(site.anchors.iterdir())]
    for path in paths:
        for bit in (0o020, 0o002):
            mode = path.stat().st_mode
            path.chmod(mode | bit)
            alone(configured.findings(), 'Rights on files', 'warning: ',
                  f'{path} (', 'Run chmod go-w on it.')
            path.chmod(mode)
    assert configured.findings() == {}


def test_a_folder_above_that_others_can_write(configured, site):
    mode = site.folder.stat().st_mode
    site.folder.chmod(mode | 0o020)
    found = configured.findings()
    assert set(found) == {'Rights on files'}
    assert all(f'{site.folder} (' in each
               for each in found['Rights on files'])
    # As in /tmp, only owners exchange names.
    site.folder.chmod(mode | 0o1022)
    assert configured.findings() == {}


def test_the_folder_of_the_journal_is_for_several_users(configured, site):
    journal = site.state / 'journal'
    journal.mkdir()
    journal.chmod(0o3770)
    assert configured.findings() == {}
    # Who may exchange names there exchanges the lists.
    site.state.chmod(0o770)
    alone(configured.findings(), 'Rights on files', f'{site.state} (')


def test_a_glance_that_may_write_the_accepted_lists(configured, site,
                                                    monkeypatch):
    lists = site.state / 'lists'
    lists.chmod(0o750)
    monkeypatch.setattr('os.geteuid', lambda: os.getuid() or 1)
    alone(configured.findings(), 'Rights on files', 'warning: ',
          f'{lists} (the accepted lists) can be written by the user of this '
          f'process (uid ', 'with mode 0750')
    monkeypatch.setattr('os.access', lambda path, mode: not (
        path == str(lists) and mode == os.W_OK))
    assert configured.findings() == {}


def test_images_of_servers_without_an_account(configured, site):
    site.write_policy(derived_images={'projects': {'atlas': 'inherit'}})
    alone(configured.findings(), 'Images made from servers', 'warning: ',
          '[service_credentials] of hepix-vm.conf has no auth_type.')
    site.write_policy(derived_images='refuse')
    assert configured.findings() == {}


def test_a_check_that_fails_is_a_failure(configured, monkeypatch):
    def broken(glance):
        raise RuntimeError('cause')

    monkeypatch.setattr(preflight, '_CHECKS', {'Broken': broken})
    alone(configured.findings(), 'Broken', 'failure: ',
          'It cannot be checked (RuntimeError: cause)')


def logged(caplog):
    """Return level and text of what the preflight logged."""
    return [(record.levelname, record.getMessage())
            for record in caplog.records if record.name == preflight.__name__]


def test_what_is_wrong_is_told_at_once(configured, caplog):
    configured.findings(import_plugins=(), policy=None)
    with pytest.raises(ConfigError) as caught:
        preflight.require()
    lines = caught.value.message.splitlines()
    assert lines[0].startswith('glance-api does not start')
    assert [line.split('. ')[0] for line in lines[1:]] == list('1234')
    assert 'Set image_import_plugins = [hepix_trust].' in lines[1]
    assert [level for level, _ in logged(caplog)] == ['CRITICAL'] * 4


def test_warnings_let_it_start(configured, caplog):
    configured.findings(extra=NO_SENTINEL)
    preflight.require()
    (level, text), = logged(caplog)
    assert level == 'WARNING'
    assert 'driver lacks hepix_trust' in text


@pytest.mark.parametrize('mode', ['permissive', 'disabled'])
def test_where_nothing_is_refused_it_is_only_logged(
        configured, site, caplog, mode):
    site.write_config(enforcement=mode)
    configured.findings(import_plugins=())
    preflight.require()
    (level, text), = logged(caplog)
    assert level == 'WARNING'
    assert 'Set image_import_plugins' in text


@pytest.mark.parametrize(('rules', 'refused'), [
    ([{'project': 'atlas', 'mode': 'enforcing'}], True),
    ([{'project': 'atlas', 'mode': 'disabled'}], False)])
def test_a_rule_that_says_enforcing(configured, site, rules, refused):
    site.write_config(enforcement='permissive')
    site.write_policy(enforcement=rules)
    configured.findings()
    assert preflight.can_enforce(service.gate()) is refused


def test_what_cannot_be_read_may_say_enforcing(configured, site):
    site.write_config(enforcement='permissive')
    configured.findings()
    policy = site.folder / 'policy.yaml'
    policy.write_text('enforcement: [')
    assert preflight.can_enforce(service.gate())
    policy.unlink()
    assert not preflight.can_enforce(service.gate())
    service.gate.cache_clear()
    site.write_config(enforcment='permissive')
    assert preflight.can_enforce(service.gate())


def test_a_configuration_that_is_not_there(configured):
    with pytest.raises(ConfigError, match='Glance cannot be read'):
        preflight.load(['/nowhere/glance-api.conf'])
