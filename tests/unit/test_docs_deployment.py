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

"""Each step of the pages for deployment tools ends with a look at its rows."""

import re

import pytest
import yaml

from hepix_vm.nova_ctx.checks.gate import FILTER
from tests.unit.test_docs import blocks
from tests.unit.test_docs import ETC
from tests.unit.test_docs import plain
from tests.unit.test_docs import read
from tests.unit.test_docs_preflight import checks

PAGES = ['admin/deployment.rst', 'admin/deployment-kolla.rst',
         'admin/deployment-openstack-ansible.rst',
         'admin/deployment-puppet.rst']
# Of which service each step is the last word, in the order of the pages.
STEPS = {'package': 'glance', 'files': 'glance', 'glance': 'glance',
         'paste': 'glance', 'sync': 'sync', 'vendordata': 'vendordata',
         'api': 'nova-api', 'scheduler': 'nova-scheduler',
         'metadata': 'nova-api-metadata', 'compute': 'nova-compute',
         'cinder': 'cinder'}


def rows():
    """Return the rows that each step names."""
    text = read('admin/deployment-rows.inc')
    return {name: re.findall(r'\*([^*]+)\*', plain(said)) for name, said
            in re.findall(r'^\.\. \|ok-(\w+)\| replace::(.*?)(?=^\.\.|\Z)',
                          text, re.MULTILINE | re.DOTALL)}


def test_every_row_belongs_to_a_step():
    named = {(what, STEPS[step]) for step, names in rows().items()
             for what in names}
    assert named == {(what, service) for what, services in checks().items()
                     for service in services}


@pytest.mark.parametrize('page', PAGES)
def test_every_step_ends_with_its_rows(page):
    text = read(page)
    assert '.. include:: deployment-rows.inc' in text
    assert re.findall(r'\|ok-(\w+)\|', text) == list(STEPS)
    ends = re.findall(r'Ok then\s\((.*?)\):\s\|ok-(\w+)\|', text, re.DOTALL)
    for command, step in ends:
        service = STEPS[step]
        assert plain(command.replace('``', '')).count('upgrade check') == 1
        named = re.search(r'upgrade check(?: ([a-z][a-z-]+))?', plain(
            command.replace('``', '')))[1] or 'glance'
        assert named == service, command
    assert [step for _, step in ends] == list(STEPS)


@pytest.mark.parametrize('page', PAGES)
def test_the_steps_have_the_same_names_everywhere(page):
    found = re.findall(r'^(\d+\. .*)\n[=-]{3,}$', read(page), re.MULTILINE)
    assert found == re.findall(
        r'^(\d+\. .*)\n[=-]{3,}$', read(PAGES[0]), re.MULTILINE)
    assert len(found) == 10


def as_yaml(page):
    found = {}
    for text in blocks(page, 'yaml'):
        document = yaml.safe_load(text)
        if isinstance(document, dict):
            found |= document
    return found


def test_what_openstack_ansible_is_told():
    told = as_yaml('admin/deployment-openstack-ansible.rst')
    policy = yaml.safe_load((ETC / 'glance-policy.yaml').read_text())
    assert told['glance_policy_overrides'] == policy
    assert told['cinder_policy_overrides'] == yaml.safe_load(
        (ETC / 'cinder-policy.yaml').read_text())
    # As a set, which config_template writes as several lines.
    filters = told['nova_nova_conf_overrides']['filter_scheduler'][
        'available_filters']
    assert set(filters) == {'nova.scheduler.filters.all_filters', FILTER}
    assert set(filters.values()) == {None}
    driver = told['glance_glance_api_conf_overrides'][
        'oslo_messaging_notifications']['driver']
    assert driver == {'messagingv2': None, 'hepix_trust': None}
    for name, ours in (('glance_glance_api_paste_ini_overrides',
                        'hepix_trust rootapp'),
                       ('nova_api_paste_ini_overrides',
                        'hepix_boot osapi_compute_app_v21')):
        lines = [line for section, options in told[name].items()
                 if section.startswith('composite:')
                 for line in options.values()]
        assert lines
        assert all(line.endswith(f' {ours}') for line in lines)


def test_both_pipelines_of_nova_as_they_are_shipped():
    told = as_yaml('admin/deployment-openstack-ansible.rst')[
        'nova_api_paste_ini_overrides']
    puppet = read('admin/deployment-puppet.rst')
    shipped = re.findall(r'^#\s+keystone = (.*)$', (
        ETC / 'nova-api-paste.snippet.ini').read_text(), re.MULTILINE)
    assert [plain(options['keystone']) for section, options in told.items()
            if section.startswith('composite:')] == shipped
    assert re.findall(r"'(cors .* osapi_compute_app_v21)'",
                      puppet) == shipped


def test_what_kolla_is_told():
    """As merge_configs writes it: an option has all lines of one file."""
    found = {}
    for text in blocks('admin/deployment-kolla.rst', 'ini'):
        section = ''
        for line in text.splitlines():
            if line.startswith('['):
                section = line.strip('[]')
            elif line:
                name, value = line.split(' = ')
                found.setdefault((section, name), []).append(value)
    usual = 'nova.scheduler.filters.all_filters'
    assert found['filter_scheduler', 'available_filters'] == [usual, FILTER]
    (enabled,) = found['filter_scheduler', 'enabled_filters']
    assert enabled.endswith(',' + FILTER.rpartition('.')[2])
    assert found['oslo_messaging_notifications', 'driver'] == [
        'messagingv2', 'hepix_trust']
    assert found['image_import_opts', 'image_import_plugins'] == [
        '[hepix_trust]']
    assert found['DEFAULT', 'mkisofs_cmd'] == [
        '/var/lib/kolla/venv/bin/hepix-vm-mkisofs']
    # A file is named when it is there, and not before.
    text = read('admin/deployment-kolla.rst')
    copied = text.index('docker cp glance_api')
    assert text.index('config_file = ') > copied
    assert text.index('api-paste.ini:ro') > text.index('7. nova-api')


def test_compute_hosts_get_no_password():
    """They need none, and any process of Nova could read it there."""
    for page in PAGES[1:]:
        said = plain(read(page))
        assert '``hepix-vm.conf`` **without** ``[service_credentials]``' in (
            said), page
    play, = (text for text in blocks(PAGES[2], 'yaml') if '- hosts: ' in text)
    task, = (task for task in yaml.safe_load(play)[0]['tasks']
             if 'ansible.builtin.copy' in task)
    assert task['ansible.builtin.copy']['src'].endswith('/{{ part }}/')
    assert '${part}' in read(PAGES[3])
