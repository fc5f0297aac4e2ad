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

"""``openstack image endorsement show``, over a real Glance."""

import os

import pytest

from tests.functional.conftest import start
from tests.testbed.openstack import OpenStack
from tests.testbed.openstack import OPERATOR
from tests.testbed.site import ALICE
from tests.testbed.site import entry

SHOW, SET = 'image endorsement show', 'image endorsement set'
USER = 'alice:atlas:member,reader'


@pytest.fixture(scope='module')
def gated(tmp_path_factory):
    for cloud in start(tmp_path_factory.mktemp('gated')):
        cloud.site.write_account(cloud.glance.url)
        yield cloud


@pytest.fixture
def run(gated):
    def run(command, *arguments, status=0, site=gated.site, token=OPERATOR):
        ran = OpenStack.at(gated.glance.url, site, token)(
            command, *arguments)
        assert ran.status == status, ran.err
        return ran
    return run


@pytest.fixture
def show(run):
    return lambda *arguments, **more: run(
        SHOW, *arguments, '-f', 'json', **more).json


def test_on_a_controller(gated, run, show):
    data = os.urandom(100)
    image_id = gated.endorsed(data)
    shown = show(image_id)
    assert (shown['judged'], shown['state'], shown['allowed'],
            shown['reasons']) == ('here', 'endorsed', True, [])
    assert (shown['sha512'], shown['endorser_dn'], shown['size']) == (
        entry(data).sha512, ALICE, 100)
    assert shown['endorsed_image_id'] == gated.client.image(
        image_id)['hepix_image_id']
    assert (shown['endorsed_size'], shown['altered']) == (100, False)
    assert shown['expires'].endswith('Z')
    upload, = shown['history']
    assert upload['event'] == 'verdict allowed upload'
    assert upload['source'].startswith('glance-api on ')

    for change in ('--block', '--unblock'):
        run(SET, image_id, change, '--reason', f'why {change}')
    run(SET, image_id, '--block', '--reason', 'CVE-2026-0003')
    shown = show(image_id)
    assert (shown['state'], shown['allowed']) == ('blocked', False)
    reason, = shown['reasons']
    assert reason['code'] == 'image-blocked'
    assert reason['remedy']
    said = [each for each in shown['history'] if each['source'] == 'ledger']
    assert sorted((each['event'], each['reason']) for each in said) == [
        ('blocked', 'CVE-2026-0003'), ('blocked', 'why --block')]
    lifted, = (each['lifted'] for each in said if 'lifted' in each)
    assert lifted.endswith(': why --unblock')
    done = [each['event'] for each in shown['history']
            if each['source'] != 'ledger']
    assert 'block' not in done
    assert {'lift blocked', 'verdict deactivated sweep'} <= set(done)
    # Whoever looked first: Glance looks after uploads too.
    assert {f'verdict reactivated {who}' for who in ('sweep', 'sentinel')} & (
        set(done))
    assert all(each['about'] for each in shown['history'])
    times = [each['time'] for each in shown['history']]
    assert times == sorted(times)
    text = run(SHOW, image_id).out
    assert '[image-blocked] ' in text
    assert '[taken back by ' in text


def test_elsewhere_it_is_what_the_cloud_wrote(gated, run, show):
    image_id = gated.endorsed(os.urandom(100))
    run(SET, image_id, '--block', '--reason', 'x')
    # An administrator on a laptop may read the ledger.
    shown = show(image_id, site=None)
    assert (shown['judged'], shown['state'], shown['allowed']) == (
        'by the cloud', 'blocked', None)
    # In the same form wherever it is judged.
    assert shown['reasons'] == show(image_id)['reasons']
    assert [each['event'] for each in shown['history']] == ['blocked']
    # Users see what Glance shows them.
    shown = show(image_id, site=None, token=USER)
    assert (shown['judged'], shown['state'], shown['history']) == (
        'by the cloud', 'blocked', [])
    assert shown['endorser_dn'] == ALICE
    # On a controller, too: the ledger looks empty to them.
    shown = show(image_id, token=USER)
    assert (shown['judged'], shown['state']) == ('by the cloud', 'blocked')


def test_an_endorsement_that_ended_before_a_sweep_came(gated, show):
    image_id = gated.endorsed(os.urandom(100))
    gated.glance.query(
        "UPDATE image_properties SET value = '2026-01-01T00:00:00Z' WHERE "
        "image_id = ? AND name = 'hepix_expires'", (image_id,))
    shown = show(image_id, site=None)
    assert (shown['state'], shown['reasons'][0]['code']) == (
        'expired', 'image-expired')


def test_an_image_that_has_no_bytes(gated, run, show):
    image_id = gated.client.create(name='ev\x1b[31mil')
    shown = show('ev\x1b[31mil')
    assert shown['id'] == image_id
    assert (shown['name'], shown['status'], shown['state'],
            shown['judged']) == (
        'ev [31mil', 'queued', 'unknown', 'by the cloud')
    assert shown['approved'] is shown['allowed'] is None
    table = run(SHOW, image_id).out
    assert '| state ' in table
    assert 'approved' not in table and 'hypervisor' not in table
    assert '| vo ' in run(SHOW, image_id, '-c', 'vo').out


def test_what_is_not_there(run):
    ran = run(SHOW, 'nobody', status=1)
    assert ran.out == ''
    assert 'There is no image nobody that you may see.' in ran.err
