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

"""What the records of images say, and what is changed in them."""

import dataclasses

from hepix_vm.exchange.record import lacking
from hepix_vm.exchange.record import made_of
from hepix_vm.exchange.record import record_of
from hepix_vm.exchange.record import renewal_of
from hepix_vm.subscriptions import Properties
from tests.unit.exchange.models import entry
from tests.unit.exchange.models import image_list
from tests.unit.exchange.models import Model


def wanted(image, *tools, version=1):
    model = Model()
    model.accept(image_list('L', image, version=version),
                 compatibility=frozenset(tools))
    (found,) = model.wanted()[0].values()
    return found


def image(**values):
    """Return an image of Glance."""
    return {'id': 'x', 'status': 'active', 'os_hidden': False,
            'protected': False, 'min_disk': 0, 'min_ram': 0, 'tags': [],
            **values}


def changed(there, values):
    """Return an image with some values, where None removes one."""
    return {name: value for name, value in {**there, **values}.items()
            if value is not None}


def test_an_image_becomes_what_another_was():
    former = image(os_hidden=True, protected=True, min_disk=7, min_ram=9,
                   tags=['b', 'a'], hw_disk_bus='scsi', os_version='mine',
                   hepix_sha512='old', hepix_parked='2026',
                   os_glance_import_task='t', img_config_drive='optional')
    there = image(tags=['atrope'], os_version='12', architecture='x86_64',
                  vo='v', hepix_sha512='new', hepix_state='endorsed',
                  img_config_drive='mandatory', **{
                      'trait:CUSTOM_HEPIX_ENDORSED': 'required'})
    assert changed(there, made_of(there, former)) == image(
        os_hidden=True, protected=True, min_disk=7, min_ram=9,
        tags=['a', 'b'], hw_disk_bus='scsi', os_version='mine',
        architecture='x86_64', hepix_sha512='new', hepix_state='endorsed',
        img_config_drive='mandatory', **{
            'trait:CUSTOM_HEPIX_ENDORSED': 'required'})


def test_a_record_becomes_that_of_the_next_version():
    old = wanted(entry('a', 1, format='raw', osversion='12'))
    new = wanted(entry('a', 2, format='qcow2', title='Other', extra={
        'hv:ram_minimum': '64'}), Properties.ATROPE, version=2)
    there = image(**record_of(old) | {
        'name': 'Ours', 'visibility': 'shared', 'os_hidden': False,
        'owner': 'them', 'os_version': '12', 'tags': ['ours'],
        'min_ram': 7, 'hepix_parked': '2026'})
    after = changed(there, renewal_of(new))
    expected = record_of(new)
    for name in ('hepix_sha512', 'hepix_size', 'hepix_list_version',
                 'disk_format', 'appdb_id', 'image_list'):
        assert after[name] == expected[name]
    for name in ('name', 'visibility', 'os_hidden', 'owner', 'tags',
                 'min_ram', 'hepix_parked'):
        assert after[name] == there[name]
    # That of the older version, which was written once.
    assert 'os_version' not in after


def test_what_other_tools_lack():
    listed = entry('a', title='Title')
    there = image(tags=['ours'], **record_of(wanted(listed)))
    assert lacking(there, wanted(listed)) == {}
    both = wanted(listed, *Properties)
    values = lacking(there, both)
    assert values['tags'] == ['atrope', 'ours']
    assert values['appdb_id'] == listed.identifier
    assert values['CLOUDKEEPER_title'] == 'Title'
    assert lacking(changed(there, values), both) == {}
    other = wanted(dataclasses.replace(listed, title='New'), *Properties)
    assert lacking(changed(there, values), other).keys() == {
        'CLOUDKEEPER_title', 'APPLIANCE_ATTRIBUTES'}
