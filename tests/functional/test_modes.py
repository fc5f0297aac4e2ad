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

"""Enforcing, permissive, disabled; and settings that are broken."""

import os

import pytest

from tests.functional.conftest import Cloud
from tests.functional.test_routes import assert_untouched
from tests.functional.test_routes import names
from tests.functional.test_routes import put
from tests.functional.test_routes import ROUTES
from tests.functional.test_routes import stage_and_import
from tests.functional.test_routes import web_download
from tests.testbed.client import ADMIN
from tests.testbed.site import entry

DATA = os.urandom(100_000)
OTHER = os.urandom(100_000)
ENTRIES = [put, stage_and_import, web_download]
BROKEN = 'endorsers: [\nnonsense'


def records_of(cloud: Cloud, image_id: str) -> list[dict]:
    if not cloud.site.journal.exists():
        return []
    return [record for record in cloud.records()
            if record['image'] == image_id]


def ours(image: dict) -> dict:
    return {name: value for name, value in image.items()
            if name.startswith('hepix_') and name != 'hepix_endorsement'}


def passes_marked_as_not_endorsed(cloud, route, endorsement, code):
    properties = {'hepix_endorsement': endorsement} if endorsement else {}
    image_id = cloud.client.create(**properties)
    assert route(cloud, image_id, DATA) == ''
    image = cloud.client.image(image_id)
    assert image['status'] == 'active'
    assert cloud.client.download(image_id).content == DATA
    assert image['hepix_state'] == 'refused'
    assert image['hepix_reason'].startswith(f'{code}: ')
    assert image['hepix_sha512'] == entry(DATA).sha512
    last = records_of(cloud, image_id)[-1]
    assert last['mode'] == 'permissive'
    assert (last['allowed'], last['endorsed']) == (True, False)
    assert code in [reason['code'] for reason in last['reasons']]
    assert last['sha512'] == entry(DATA).sha512


@pytest.mark.parametrize('route', ROUTES, ids=names(ROUTES))
def test_permissive_by_project(cloud, route):
    cloud.site.write_policy(enforcement=[
        {'project': 'atlas', 'mode': 'permissive'}])
    passes_marked_as_not_endorsed(cloud, route, '', 'not-endorsed')
    passes_marked_as_not_endorsed(cloud, route, cloud.site.endorse(OTHER),
                                  'checksum-mismatch')
    image_id = cloud.client.create(
        hepix_endorsement=cloud.site.endorse(DATA))
    assert route(cloud, image_id, DATA) == ''
    image = cloud.client.image(image_id)
    assert image['hepix_state'] == 'endorsed'
    assert 'hepix_reason' not in image


def test_permissive_judges_an_empty_body_too(either):
    """Nova makes an image active so, whose data lies in a volume."""
    either.site.write_policy(enforcement=[
        {'project': 'atlas', 'mode': 'permissive'}])
    image_id = either.client.create()
    assert put(either, image_id, b'') == ''
    assert either.client.status(image_id) == 'active'
    last = records_of(either, image_id)[-1]
    assert last['sha512'] == entry(b'').sha512
    assert [reason['code'] for reason in last['reasons']] == ['not-endorsed']


@pytest.mark.parametrize('route', ENTRIES, ids=names(ENTRIES))
def test_permissive_for_one_project_is_not_for_others(cloud, route):
    cloud.site.write_policy(enforcement=[
        {'project': 'cms', 'mode': 'disabled'},
        {'project': 'lhcb', 'mode': 'permissive'}])
    image_id = cloud.client.create()
    assert '[not-endorsed]' in route(cloud, image_id, DATA)
    assert_untouched(cloud, image_id)
    assert [record['mode'] for record in records_of(cloud, image_id)] == (
        ['enforcing'])


@pytest.mark.parametrize('route', ENTRIES, ids=names(ENTRIES))
def test_disabled_by_project(cloud, route):
    cloud.site.write_policy(enforcement=[
        {'project': 'atlas', 'mode': 'disabled'}])
    not_looked_at(cloud, route)


def not_looked_at(cloud, route):
    image_id = cloud.client.create()
    assert route(cloud, image_id, DATA) == ''
    image = cloud.client.image(image_id)
    assert image['status'] == 'active'
    assert ours(image) == {}
    assert records_of(cloud, image_id) == []


def test_the_option(make):
    permissive = make(settings={'enforcement': 'permissive'})
    for route in ENTRIES:
        passes_marked_as_not_endorsed(permissive, route, '', 'not-endorsed')
    permissive.site.write_policy(enforcement=[
        {'project': 'atlas', 'mode': 'enforcing'}])
    image_id = permissive.client.create()
    assert '[not-endorsed]' in put(permissive, image_id, DATA)
    assert_untouched(permissive, image_id)
    disabled = make(settings={'enforcement': 'disabled'})
    for route in ENTRIES:
        not_looked_at(disabled, route)


@pytest.mark.parametrize('route', ENTRIES, ids=names(ENTRIES))
def test_a_broken_policy_refuses_until_it_is_mended(cloud, route):
    policy = cloud.site.folder / 'policy.yaml'
    image_id = cloud.client.create(
        hepix_endorsement=cloud.site.endorse(DATA))
    policy.write_text(BROKEN)
    text = route(cloud, image_id, DATA)
    assert '[internal-error]' in text
    for secret in ('Traceback', '.py', '.yaml', str(cloud.site.folder)):
        assert secret not in text
    assert_untouched(cloud, image_id)
    last = records_of(cloud, image_id)[-1]
    assert not last['allowed']
    assert str(policy) in last['cause']
    assert 'ConfigError' in last['cause']
    cloud.site.write_policy()
    assert route(cloud, image_id, DATA) == ''
    assert cloud.client.status(image_id) == 'active'


def test_an_unknown_key_in_the_policy_names_its_line(cloud):
    cloud.site.write_policy(endorser=[])
    image_id = cloud.client.create()
    assert '[internal-error]' in put(cloud, image_id, DATA)
    cause = records_of(cloud, image_id)[-1]['cause']
    assert 'policy.yaml:1: ' in cause
    assert 'endorser' in cause


def test_an_unknown_option_refuses_uploads_and_serves_downloads(make):
    cloud = make()
    text = cloud.site.endorse(DATA)
    active = cloud.client.create(hepix_endorsement=text)
    assert put(cloud, active, DATA) == ''
    cloud.site.write_config(enforcment='disabled')
    cloud.glance.restart()
    for route in ENTRIES:
        image_id = cloud.client.create(hepix_endorsement=text)
        refusal = route(cloud, image_id, DATA)
        assert '[internal-error]' in refusal
        assert str(cloud.site.folder) not in refusal
        assert_untouched(cloud, image_id)
    assert cloud.client.download(active).content == DATA
    assert cloud.client.status(active) == 'active'
    assert '[hepix_vm] has no option enforcment' in cloud.glance.log_text()
    cloud.site.write_config()
    image_id = cloud.client.create(hepix_endorsement=text)
    assert put(cloud, image_id, DATA) == ''


def test_the_project_is_the_owner_of_the_image(cloud):
    """An administrator who uploads for a project is judged as it is."""
    cloud.site.write_policy(enforcement=[
        {'project': 'admin', 'mode': 'permissive'}])
    image_id = cloud.client.create()
    admin = cloud.client.as_(ADMIN)
    assert admin.put(image_id, DATA).status_code == 422
    assert_untouched(cloud, image_id)


def test_settings_of_the_service_win(make):
    cloud = make(extra={'hepix_vm': {'enforcement': 'permissive'}})
    passes_marked_as_not_endorsed(cloud, put, '', 'not-endorsed')
