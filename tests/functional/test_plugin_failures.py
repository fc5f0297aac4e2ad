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

"""The gate does not fall open: whatever fails in it is a refusal."""

import os

from glance.common import exception
import pytest
from taskflow.types import failure

from hepix_vm.glance_hooks import import_plugin
from tests.functional.test_modes import ENTRIES
from tests.functional.test_modes import records_of
from tests.functional.test_routes import assert_untouched
from tests.functional.test_routes import names
from tests.functional.test_routes import put
from tests.functional.test_routes import ROUTES
from tests.functional.test_routes import stage_and_import
from tests.functional.test_routes import web_download
from tests.testbed.site import entry

DATA = os.urandom(100_000)
HIDDEN = ('Traceback', '.py', 'secret detail')

# What a distribution has whose checks raise or do not load.
_CHECKS = '''\
def raises(subject, found, policy):
    raise RuntimeError('secret detail')
'''
_ENTRY_POINTS = '''\
[hepix_vm.image_checks]
raises = broken_checks:raises
no_such_module = broken_checks_that_are_not_there:check
no_such_name = broken_checks:check
'''
NEEDED = 'endorsement,checksum,expiry,revocation'


@pytest.fixture
def broken(tmp_path):
    """A folder for PYTHONPATH that has the broken checks."""
    folder = tmp_path / 'broken'
    info = folder / 'broken_checks-1.dist-info'
    info.mkdir(parents=True)
    (folder / 'broken_checks.py').write_text(_CHECKS)
    (info / 'METADATA').write_text(
        'Metadata-Version: 2.1\nName: broken-checks\nVersion: 1\n')
    (info / 'entry_points.txt').write_text(_ENTRY_POINTS)
    return folder


def all_refuse(cloud, cause):
    """Endorsed bytes are refused on all routes, and the log says why."""
    for route in ENTRIES:
        image_id = cloud.client.create(
            hepix_endorsement=cloud.site.endorse(DATA))
        text = route(cloud, image_id, DATA)
        assert '[internal-error]' in text
        for hidden in (*HIDDEN, str(cloud.site.folder)):
            assert hidden not in text
        assert_untouched(cloud, image_id)
    assert cause in cloud.glance.log_text()


@pytest.mark.parametrize('name, cause', [
    ('raises', 'secret detail'),
    ('no_such_module', 'broken_checks_that_are_not_there'),
    ('no_such_name', 'no_such_name'),
    ('nowhere', 'nowhere')])
def test_a_check_that_fails(make, broken, name, cause):
    cloud = make(settings={'image_checks': f'{NEEDED},{name}'},
                 environment={'PYTHONPATH': str(broken)})
    all_refuse(cloud, cause)


def test_a_source_that_is_missing(make):
    cloud = make(settings={'endorsement_sources': 'inline,nowhere'})
    all_refuse(cloud, 'nowhere')


def test_a_needed_check_that_is_left_out(make):
    cloud = make(settings={'image_checks': 'endorsement,expiry'})
    all_refuse(cloud, 'image_checks lacks checksum, revocation')


def test_settings_that_are_missing(make):
    cloud = make(environment={'HEPIX_VM_CONFIG': '/nowhere/hepix-vm.conf'})
    all_refuse(cloud, 'HEPIX_VM_CONFIG names a file that does not exist')


def test_anchors_that_are_missing(make):
    cloud = make(settings={'trust_anchors': '/nowhere'})
    all_refuse(cloud, 'The folder of trust anchors does not exist')
    assert not any(record['allowed'] for record in cloud.records())


def test_the_plugin_decides_where_the_filter_is_left_out(make):
    cloud = make(filters=())
    for route in ROUTES[2:]:
        image_id = cloud.client.create()
        assert '[not-endorsed]' in route(cloud, image_id, DATA)
        assert_untouched(cloud, image_id)
        image_id = cloud.client.create(
            hepix_endorsement=cloud.site.endorse(DATA))
        assert route(cloud, image_id, DATA) == ''


@pytest.mark.parametrize('route', ROUTES, ids=names(ROUTES))
def test_the_user_reads_what_the_journal_says(cloud, route):
    cloud.site.write_policy(blocked=[
        {'sha512': entry(DATA).sha512, 'reason': 'CVE-2026-0001'}])
    image_id = cloud.client.create(hepix_endorsement=cloud.site.endorse(
        DATA, hypervisor='xen'))
    text = route(cloud, image_id, DATA)
    reasons = records_of(cloud, image_id)[-1]['reasons']
    assert {reason['code'] for reason in reasons} == {
        'image-blocked', 'hypervisor-unsupported'}
    assert text == 'Refused by the image trust policy of this cloud: ' + (
        ' '.join('[{code}] {message} {remedy}'.format(**reason)
                 for reason in reasons))


@pytest.mark.parametrize('known', [
    {}, {'task_id': None}, {'image_id': object(), 'task_type': 7},
    {'import_req': None, 'context': None, 'unheard_of': 1},
    {'task_id': 'a', 'task_type': 'b', 'image_id': 'c', 'import_req': {},
     'backend': None, 'context': object(), 'action_wrapper': None}])
def test_the_flow_never_raises_and_its_task_denies(known, tmp_path):
    staged = tmp_path / 'staged'
    staged.write_bytes(DATA)
    task, = import_plugin.get_flow(**known)
    with pytest.raises(exception.UploadException, match='internal-error'):
        task.execute(f'file://{staged}')
    # Glance keeps the lock when a revert raises.
    assert task.revert(failure.Failure.from_exception(
        ValueError('any'))) is None
    assert staged.exists()


def test_uploads_go_on_after_a_refusal(cloud):
    refused = cloud.client.create()
    assert '[not-endorsed]' in put(cloud, refused, DATA)
    image_id = cloud.client.create(
        hepix_endorsement=cloud.site.endorse(DATA))
    assert put(cloud, image_id, DATA) == ''


@pytest.mark.parametrize('route', [stage_and_import, web_download])
def test_an_import_that_fails_in_the_store_leaves_nothing_of_ours(
        make, route):
    cloud = make()
    image_id = cloud.client.create(
        hepix_endorsement=cloud.site.endorse(DATA), os_distro='mine')
    store = cloud.glance.folder / 'stores' / 'cheap'
    store.rmdir()
    store.write_text('a file where the folder should be')
    assert route(cloud, image_id, DATA) != ''
    store.unlink()
    store.mkdir()
    assert_untouched(cloud, image_id)
    image = cloud.client.image(image_id)
    assert image['os_distro'] == 'mine'
    assert 'img_config_drive' not in image
    assert route(cloud, image_id, DATA) == ''
    assert cloud.client.image(image_id)['hepix_state'] == 'endorsed'
