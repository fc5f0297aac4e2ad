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
"""The whole run: lists are fetched over https, and followed into Glance."""

import os


from hepix_vm.exchange import coordination
from tests.functional.following import ACCOUNT
from tests.functional.following import planned
from tests.functional.following import state
from tests.testbed.listserver import ListServer
from tests.testbed.site import entry


def publish(server, lists, *images, **changes):
    """Publish a list, and subscribe it."""
    image_list = lists.site.image_list(*images, **changes)
    server.serve('/image.list', lists.site.sign(
        image_list, lists.site.alice))
    lists.block(image_list.identifier, url=server.url('/image.list'),
                ca_bundle=server.bundle(lists.site.folder))
    return image_list


def test_from_the_publisher_to_the_project(lists, run):
    site = lists.site
    metrics = site.folder / 'hepix.prom'
    site.write_config(metrics_file=str(metrics))
    site.write_account(lists.cloud.glance.url, ACCOUNT)
    data = os.urandom(100_000)
    with ListServer() as server:
        # The CAs of the list are not Glance's: the bytes come by us.
        listed = entry(data, uri=server.serve('/image.raw', data))
        image_list = publish(server, lists, listed)
        stored = site.state / 'lists' / f'{image_list.identifier}.smime'
        ran = run('--dry-run', '-f', 'json')
        assert [row['action'] for row in planned(ran)] == ['bring', 'share']
        assert not stored.exists()
        assert lists.images() == []
        ran = run()
        assert f'{image_list.identifier} accepted: version 1' in ran.out
        assert stored.exists()
        image = lists.of(listed)
        assert (image['status'], image['hepix_state'],
                image['visibility']) == ('active', 'endorsed', 'shared')
        assert lists.cloud.client.download(image['id']).content == data
        text = metrics.read_text()
        assert 'hepix_vm_run_status 0.0' in text
        # Nothing came: nothing changes, and it is said.
        before = state(lists)
        server.serve('/image.list', b'nonsense')
        ran = run(status=1)
        assert f'{image_list.identifier} refused: ' in ran.out
        assert state(lists) == before
        assert 'hepix_vm_run_status 1.0' in metrics.read_text()
    ran = run(status=2)
    assert f'{image_list.identifier} failed: ' in ran.out
    assert state(lists) == before


def test_lists_are_fetched_though_glance_is_down(lists, run):
    with ListServer() as server:
        listed = lists.image()
        image_list = publish(server, lists, listed)
        lists.site.write_account('http://127.0.0.1:1', ACCOUNT)
        ran = run(status=2)
        assert f'{image_list.identifier} accepted: version 1' in ran.out
        assert 'Glance cannot be asked' in ran.err
        lists.site.write_account(lists.cloud.glance.url, ACCOUNT)
        run()
    assert len(lists.images()) == 1


def test_metrics_of_what_a_run_does_not_look_at(lists, run):
    """It is for one list, another follows, or Glance is down."""
    site = lists.site
    path = site.folder / 'hepix.prom'
    site.write_config(metrics_file=str(path))
    site.write_account(lists.cloud.glance.url, ACCOUNT)

    def measured():
        return [line for line in path.read_text().splitlines()
                if line.startswith((
                    'hepix_vm_images', 'hepix_vm_follow_timestamp',
                    'hepix_vm_refusals'))]

    with ListServer() as server:
        image_list = publish(server, lists, lists.image())
        lists.block(image_list.identifier, url=server.url('/image.list'),
                    ca_bundle=server.bundle(site.folder),
                    approve='by-operator')
        run()
        run()  # which finds it in Glance
        before = measured()
        assert 'hepix_vm_images{state="endorsed"} 1.0' in before
        assert 'hepix_vm_images_waiting 1.0' in before
        run('--list', image_list.identifier)
        assert measured() == before
        with coordination.alone('', str(site.state)) as alone:
            assert alone
            run()
        assert measured() == before
        site.write_account('http://127.0.0.1:1', ACCOUNT)
        run(status=2)
        assert measured() == before
    assert 'hepix_vm_run_status 2.0' in path.read_text()
    site.write_account(lists.cloud.glance.url, ACCOUNT)


def test_that_no_list_is_followed_is_said(lists, run):
    lists.write()
    for arguments in (('--no-fetch',), ('--dry-run',)):
        ran = run(*arguments)
        assert 'No list is followed: ' in ran.err
        assert str(lists.site.config.parent) in ran.err
