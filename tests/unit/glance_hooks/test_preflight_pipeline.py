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


"""The place of the filter, in all forms that a paste file can have."""

import pathlib
import re
import sys

import pytest

SHIPPED = pathlib.Path(
    sys.prefix, 'etc', 'glance', 'glance-api-paste.ini').read_text()
OURS = '[filter:hepix_trust]\nuse = egg:hepix-vm#hepix_trust\n'
WHERE = '[paste_deploy] flavor'
FLAVORS = ['', 'caching', 'cachemanagement', 'keystone', 'keystone+caching',
           'keystone+cachemanagement']

# As older releases of Glance shipped it.
_OLD = """
[pipeline:glance-api-keystone]
pipeline = cors versionnegotiation authtoken context hepix_trust rootapp
"""
_SECTIONS = SHIPPED[SHIPPED.index('[composite:rootapp]'):]


def found(configured, text, flavor):
    """Return what is found of a paste file."""
    configured.etc.mkdir(parents=True, exist_ok=True)
    path = configured.etc / 'used.ini'
    path.write_text(text)
    deploy = {'config_file': str(path)}
    if flavor:
        deploy['flavor'] = flavor
    every = configured.findings(extra={
        'oslo_messaging_notifications': {'driver': 'hepix_trust'},
        'paste_deploy': deploy | ({} if flavor else {'flavor': ''})})
    assert set(every) <= {'Filter in the pipeline'}
    return every.get('Filter in the pipeline', [])


def refused(messages, *words):
    message, = messages
    for word in ('failure: ', '/used.ini: ', *words):
        assert word in message


def with_filter(before='rootapp', after=''):
    """Glance's own file with the filter before rootapp everywhere."""
    return SHIPPED.replace(
        f' {before}\n', f' hepix_trust{after} {before}\n') + OURS


@pytest.mark.parametrize('flavor', FLAVORS)
def test_the_file_that_glance_ships(configured, flavor):
    assert found(configured, with_filter(), flavor) == []
    refused(found(configured, SHIPPED, flavor),
            f'glance-api{"-" if flavor else ""}{flavor} (',
            'the filter hepix_trust is missing. Put hepix_trust last before '
            'rootapp, and add the section [filter:hepix_trust] with use = '
            'egg:hepix-vm#hepix_trust.', WHERE)


def test_only_the_flavor_that_is_used_counts(configured):
    text = re.sub('^(keystone = .*) rootapp$', r'\1 hepix_trust rootapp',
                  SHIPPED, flags=re.MULTILINE) + OURS
    assert found(configured, text, 'keystone') == []
    refused(found(configured, text, 'keystone+caching'), 'is missing')


def test_a_filter_after_ours(configured):
    refused(found(configured, with_filter(after=' cache'), 'keystone'),
            'is followed by another one')


def test_a_filter_of_the_same_name(configured):
    """What counts is what is loaded, not how it is called."""
    other = OURS.replace('use = egg:hepix-vm#hepix_trust', (
        'paste.filter_factory = osprofiler.web:WsgiMiddleware.factory'))
    text = with_filter().replace(OURS, other)
    refused(found(configured, text, 'keystone'), 'is missing')
    renamed = with_filter().replace('hepix_trust rootapp', 'mine rootapp')
    renamed = renamed.replace('[filter:hepix_trust]', '[filter:mine]')
    assert found(configured, renamed, 'keystone') == []


def test_pipelines_as_they_were(configured):
    text = _OLD + _SECTIONS + OURS
    assert found(configured, text, 'keystone') == []
    refused(found(configured, text.replace(
        'hepix_trust rootapp', 'rootapp'), 'keystone'), 'is missing')
    refused(found(configured, text.replace(
        'context hepix_trust', 'hepix_trust context'), 'keystone'),
        'is followed by another one')


def test_other_ways_of_writing_it(configured):
    """A filter within a filter, an application that uses another."""
    text = _OLD.replace('hepix_trust rootapp', 'behind') + _SECTIONS + OURS
    assert found(configured, text + (
        '[filter-app:behind]\nuse = hepix_trust\nnext = rootapp\n'),
        'keystone') == []
    assert found(configured, text + (
        '[composite:behind]\nuse = rootapp\nfilter-with = hepix_trust\n'),
        'keystone') == []
    refused(found(configured, text + (
        '[app:behind]\nuse = rootapp\n'), 'keystone'), 'is missing')
    around = OURS.replace('hepix_trust]', 'hepix_trust]\n'
                          'filter-with = versionnegotiation')
    assert found(configured, text.replace(OURS, around).replace(
        'behind', 'hepix_trust rootapp'), 'keystone') == []
    inside = text.replace('behind', 'cors rootapp').replace(
        '[filter:cors]', '[filter:cors]\nfilter-with = hepix_trust')
    refused(found(configured, inside, 'keystone'),
            'is followed by another one')


def test_a_second_way_to_the_api(configured):
    text = with_filter() + '[composite:open]\nuse = rootapp\n'
    text = text.replace(
        '/: api\n', '/: api\n/open: open\n')
    refused(found(configured, text, 'keystone'), 'is missing')


@pytest.mark.parametrize(('flavor', 'text'), [
    ('unheard-of', SHIPPED),
    ('keystone', SHIPPED.replace('[composite:api]', '[composite:other]')),
    ('keystone', with_filter().replace(OURS, '')),
    ('keystone', 'nonsense')])
def test_a_file_that_cannot_be_loaded(configured, flavor, text):
    refused(found(configured, text, flavor), 'cannot be loaded', WHERE)


def test_an_api_that_is_not_glances(configured):
    text = with_filter().replace(
        'glance.api.v2.router:API.factory',
        'glance.api.versions:create_resource')
    refused(found(configured, text, 'keystone'),
            'nothing leads to the API of Glance')


def test_a_file_that_is_not_there(configured):
    every = configured.findings(extra={
        'oslo_messaging_notifications': {'driver': 'hepix_trust'},
        'paste_deploy': {'config_file': '/nowhere/paste.ini'}})
    message, = every['Filter in the pipeline']
    assert '[paste_deploy] config_file names no file' in message
