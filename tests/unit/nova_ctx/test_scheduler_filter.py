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

"""What the filter of nova-scheduler sees in Nova's own objects."""

import contextlib
import types
import uuid

from nova import context as contexts
from nova import exception
from nova import objects
from nova.objects import fields
from oslo_db import exception as db
import pytest

from hepix_vm.boot import Booter
from hepix_vm.errors import Code
from hepix_vm.nova_ctx.boot import Boots
from hepix_vm.nova_ctx.bootable import Wanted
from hepix_vm.nova_ctx.lookup import Unknown
from hepix_vm.nova_ctx.refusal import Answer
from hepix_vm.nova_ctx.scheduler_filter import EndorsedImageFilter
from hepix_vm.opts import Occasion
from hepix_vm.trust.verdict import Reason
from hepix_vm.trust.verdict import Verdict

SERVER, IMAGE, OTHER, KERNEL, RAMDISK, VOLUME, SNAPSHOT = (
    str(uuid.uuid4()) for _ in range(7))
PROJECT = 'p1'
HOSTS = ('host1', 'host2')
NO = Answer(unknown=Verdict((Reason(Code.IMAGE_REVOKED, 'It is.'),)))

objects.register_all()
CELL = objects.CellMapping(uuid=OTHER)
# What a user could give to his server, and Nova tells its scheduler by.
HINT = {'_nova_check_type': ['rebuild']}


class FakeBoots:
    """Remembers what it is asked."""

    def __init__(self):
        self.asked = []
        self.answer = Answer()
        self.enforce_on = [*map(str, Occasion)]
        self.gate = types.SimpleNamespace(
            settings=types.SimpleNamespace(enforce_on=self.enforce_on),
            site=lambda: None)

    def deadline(self):
        return None

    def judge(self, wanted, booter, deadline, **who):
        self.asked.append((who.pop('action'), wanted, booter, who))
        return self.answer

    def refused(self, reason, booter, **who):
        self.asked.append((reason.code, None, booter, who))
        return NO

    unknown = refused


@pytest.fixture
def boots(monkeypatch):
    boots = FakeBoots()
    monkeypatch.setattr(Boots, 'of', lambda service, conf: boots)
    FakeBoots.unknown = lambda self, error, booter, **who: self.refused(
        Reason(error.code, ''), booter, **who)
    return boots


@pytest.fixture
def cloud(monkeypatch):
    """What Nova has in its databases."""
    cloud = types.SimpleNamespace(building=None, instance=None, devices=[])

    def of_build(context, server):
        assert context.is_admin
        if cloud.building is None:
            raise exception.BuildRequestNotFound(uuid=server)
        return cloud.building

    def of_instance(context, server, expected_attrs):
        assert context == 'cell', 'it looked in another database'
        assert {'flavor', 'system_metadata'} <= {*expected_attrs}
        if isinstance(cloud.instance, Exception):
            raise cloud.instance
        return cloud.instance
    monkeypatch.setattr(
        objects.BuildRequest, 'get_by_instance_uuid', of_build)
    monkeypatch.setattr(
        objects.InstanceMapping, 'get_by_instance_uuid',
        lambda context, server: objects.InstanceMapping(
            instance_uuid=server, cell_mapping=None
            if cloud.instance is None else CELL))
    monkeypatch.setattr(contexts, 'target_cell', _target_cell)
    monkeypatch.setattr(objects.Instance, 'get_by_uuid', of_instance)
    monkeypatch.setattr(
        objects.BlockDeviceMappingList, 'get_by_instance_uuid',
        lambda context, server: objects.BlockDeviceMappingList(
            objects=cloud.devices))
    return cloud


@contextlib.contextmanager
def _target_cell(context, cell):
    assert cell is CELL
    yield 'cell'


def device(**values):
    return objects.BlockDeviceMapping(**{
        'boot_index': 0, 'image_id': None, 'volume_id': None,
        'snapshot_id': None, 'source_type': 'image',
        'destination_type': 'local', 'device_name': '/dev/vda', **values})


def instance(image=IMAGE, flavor='small', **values):
    return objects.Instance(**{
        'uuid': SERVER, 'project_id': PROJECT, 'image_ref': image,
        'kernel_id': '', 'ramdisk_id': '', 'system_metadata': {},
        'vm_state': 'active',
        'root_device_name': '/dev/vda',
        'flavor': objects.Flavor(flavorid=flavor), **values})


def spec(hints=None, image=IMAGE, project=PROJECT, flavor='small'):
    context = contexts.RequestContext(
        'alice', project, roles=['member'], is_admin=False)
    return objects.RequestSpec(
        context, instance_uuid=SERVER, project_id=PROJECT,
        scheduler_hints=hints or {}, flavor=objects.Flavor(flavorid=flavor),
        image=objects.ImageMeta(id=image) if image else None)


def asked(boots, **values):
    """Return what is asked of the gate for one request."""
    found = EndorsedImageFilter().filter_all(HOSTS, spec(**values))
    assert found == ([*HOSTS] if boots.answer.allowed else [])
    (action, wanted, *_), = boots.asked
    return action, wanted


def build(*devices, **values):
    return objects.BuildRequest(
        instance=instance(**values), project_id=PROJECT,
        block_device_mappings=objects.BlockDeviceMappingList(
            objects=[*devices]))


def test_a_new_server(boots, cloud):
    cloud.building = build(kernel_id=KERNEL, ramdisk_id=RAMDISK)
    action, wanted = asked(boots)
    assert action == 'create'
    assert {*wanted.images} == {IMAGE}
    assert {*wanted.kept} == {KERNEL, RAMDISK}


@pytest.mark.parametrize('mapped, wanted', [
    ({'source_type': 'image', 'image_id': OTHER}, Wanted((OTHER,))),
    ({'source_type': 'volume', 'volume_id': VOLUME},
     Wanted(volumes=(VOLUME,))),
    ({'source_type': 'snapshot', 'snapshot_id': SNAPSHOT},
     Wanted(snapshots=(SNAPSHOT,))),
    # A volume that was made of the image before is booted all the same.
    ({'source_type': 'image', 'image_id': OTHER, 'volume_id': VOLUME},
     Wanted((OTHER,), volumes=(VOLUME,)))])
def test_a_new_server_from_a_volume(boots, cloud, mapped, wanted):
    cloud.building = build(device(**mapped), image='')
    assert asked(boots, image=None) == ('create', wanted)


DATA = {'source_type': 'volume', 'destination_type': 'volume',
        'volume_id': VOLUME, 'boot_index': -1}


@pytest.mark.parametrize('root, more, name, certain', [
    # As Nova makes it of imageRef.
    ({'device_type': 'disk'}, {}, None, True),
    ({}, {'boot_index': None}, None, True),
    ({'disk_bus': 'scsi'}, {'disk_bus': 'scsi'}, None, True),
    ({}, {'disk_bus': 'scsi'}, None, False),
    ({}, {'device_type': 'lun'}, None, False),
    ({'device_name': '/dev/vdb'}, {}, None, False),
    ({}, {'device_name': '/dev/vda'}, None, False),
    # Nova has it from the image.
    ({}, {}, '/dev/vdb', False)])
def test_a_new_server_with_data(boots, cloud, root, more, name, certain):
    cloud.building = build(
        device(**{'image_id': IMAGE, 'device_name': None, **root}),
        device(**{**DATA, 'device_name': None, **more}),
        device(**{'device_name': None, **root, 'image_id': OTHER,
                  'boot_index': -1}),
        root_device_name=name)
    _, wanted = asked(boots)
    assert {*wanted.images} == {IMAGE, OTHER}
    assert wanted.volumes == ()
    assert (wanted.beside, wanted.instead) == (
        ((('volume', VOLUME),), ()) if certain
        else ((), (('volume', VOLUME),)))


@pytest.mark.parametrize('state, hints', [
    ('rebuilding', HINT), ('unshelving', {}), ('migrating', {})])
def test_a_server_with_data(boots, cloud, state, hints):
    """Nova gave names to all its disks when it was started."""
    cloud.instance = instance(task_state=state)
    root = device(image_id=IMAGE, disk_bus='virtio')
    for name, instead in (('/dev/vdb', ()), ('/dev/sdb', (
            ('volume', VOLUME),))):
        boots.asked.clear()
        cloud.devices = [root, device(**DATA, device_name=name)]
        assert asked(boots, hints=hints)[1].instead == instead


def test_a_rebuild_takes_the_new_image(boots, cloud):
    # What was asked for when the server was made counts no more.
    cloud.building = build(image=OTHER)
    cloud.instance = instance(image=OTHER, kernel_id=KERNEL,
                              task_state='rebuilding')
    assert asked(boots, hints=HINT) == (
        'rebuild', Wanted((IMAGE,), (KERNEL,)))


def test_a_new_server_is_no_rebuild_whatever_its_user_says(boots, cloud):
    boots.enforce_on[:] = ['create']
    boots.answer = NO
    cloud.building = build(device(image_id=OTHER), image='')
    assert asked(boots, hints=HINT) == ('create', Wanted((OTHER,)))


def test_the_filter_runs_for_rebuilds(boots, cloud):
    assert EndorsedImageFilter.RUN_ON_REBUILD


MOVES = [
    ('resize_prep', 'large', 'resize'), ('resize_prep', 'small', 'migrate'),
    ('migrating', 'small', 'migrate'), ('rebuilding', 'small', 'evacuate')]


@pytest.mark.parametrize('state, flavor, occasion', MOVES)
def test_a_server_that_moves(boots, cloud, state, flavor, occasion):
    cloud.instance = instance(task_state=state, kernel_id=KERNEL)
    assert asked(boots, flavor=flavor) == (
        occasion, Wanted(kept=(IMAGE, KERNEL)))


@pytest.mark.parametrize('state, occasion', [
    ('resize_prep', 'resize'), ('migrating', 'migrate'),
    ('unshelving', 'unshelve'), (None, 'create')])
def test_a_hint_of_a_user_makes_nothing_a_rebuild(
        boots, cloud, state, occasion):
    """The image of the request is of no account then."""
    cloud.instance = instance(task_state=state, system_metadata={
        'shelved_image_id': KERNEL})
    action, wanted = asked(boots, hints=HINT, image=OTHER, flavor='large')
    assert action == occasion
    assert OTHER not in {*wanted.images, *wanted.kept, *wanted.former}


def test_a_server_that_moves_with_its_volume(boots, cloud):
    cloud.instance = instance(image='', task_state='migrating')
    cloud.devices = [device(
        source_type='volume', destination_type='volume', volume_id=VOLUME)]
    assert asked(boots, image=None) == ('migrate', Wanted(volumes=(VOLUME,)))


def test_a_server_that_is_unshelved(boots, cloud):
    cloud.instance = instance(
        task_state='unshelving', system_metadata={'shelved_image_id': OTHER})
    action, wanted = asked(boots)
    assert action == 'unshelve'
    assert wanted.images == (OTHER,)
    assert wanted.former == (IMAGE,)


@pytest.mark.parametrize('state', [None, 'spawning', 'something_new'])
def test_what_nobody_knows_is_judged_as_new(boots, cloud, state):
    boots.enforce_on[:] = ['create']
    cloud.instance = instance(task_state=state)
    assert asked(boots)[0] == 'create'


def test_one_decision_a_request(boots, cloud):
    cloud.building = build(device(image_id=IMAGE))
    filtering, request = EndorsedImageFilter(), spec()
    for hosts in (HOSTS, HOSTS[1:]):
        assert filtering.filter_all(hosts, request) == [*hosts]
    assert len(boots.asked) == 1
    # The next request is another one, though it looks the same.
    filtering.filter_all(HOSTS, spec())
    assert len(boots.asked) == 2


def test_where_no_host_is_left_nothing_is_asked(boots, cloud):
    assert EndorsedImageFilter().filter_all(iter(()), spec()) == []
    assert boots.asked == []


def test_a_refusal_leaves_no_host_and_is_logged(boots, cloud, caplog):
    cloud.building = build(device(image_id=IMAGE))
    boots.answer = NO
    assert asked(boots)[0] == 'create'
    assert 'image-revoked' in caplog.text
    assert SERVER in caplog.text


@pytest.mark.parametrize('state, flavor, occasion', MOVES)
def test_servers_that_run_may_move(boots, cloud, state, flavor, occasion):
    boots.enforce_on.remove(occasion)
    boots.answer = NO
    cloud.instance = instance(task_state=state)
    assert EndorsedImageFilter().filter_all(
        HOSTS, spec(flavor=flavor)) == [*HOSTS]
    assert boots.asked == []


def test_who_boots(boots, cloud):
    cloud.building = build(device(image_id=IMAGE))
    request = spec()
    EndorsedImageFilter().filter_all(HOSTS, request)
    (_, _, booter, who), = boots.asked
    assert (booter.user, booter.project, booter.roles) == (
        'alice', PROJECT, frozenset({'member'}))
    assert who == {'server': SERVER, 'request': request._context.request_id}


def test_an_administrator_moves_a_server_of_others(boots, cloud):
    """His roles and his project let nothing boot there."""
    cloud.instance = instance(task_state='rebuilding')
    EndorsedImageFilter().filter_all(HOSTS, spec(project='admins'))
    (_, _, booter, _), = boots.asked
    assert booter == Booter('alice', PROJECT)


def test_a_server_without_any_source_is_refused(boots, cloud):
    cloud.building = build(image='')
    assert EndorsedImageFilter().filter_all(HOSTS, spec(image=None)) == []
    assert boots.asked[0][0] == Code.VOLUME_REFUSED


@pytest.mark.parametrize('error', [
    exception.InstanceNotFound(instance_id=SERVER), db.DBConnectionError()])
def test_a_cell_that_does_not_answer(boots, cloud, error):
    cloud.instance = error
    assert EndorsedImageFilter().filter_all(HOSTS, spec()) == []
    (code, _, _, who), = boots.asked
    assert (code, who['action'], who['server']) == (
        Unknown.default_code, 'schedule', SERVER)


def test_a_server_that_was_deleted_meanwhile(boots, cloud):
    assert EndorsedImageFilter().filter_all(HOSTS, spec(hints=HINT)) == []
    assert boots.asked[0][0] == Unknown.default_code


def test_a_mistake_of_ours_refuses(boots, cloud, caplog):
    cloud.building = build(device(image_id=IMAGE))
    boots.judge = None
    assert EndorsedImageFilter().filter_all(HOSTS, spec()) == []
    assert 'It cannot be judged what would boot' in caplog.text


def test_the_task_states_are_those_of_nova():
    from nova.compute import task_states

    from hepix_vm.nova_ctx import scheduled
    assert {*scheduled._OCCASIONS, scheduled._RESIZING} == {
        str(getattr(task_states, name)) for name in (
            'UNSHELVING', 'MIGRATING', 'REBUILDING', 'RESIZE_PREP')}
    assert fields.InstanceTaskState.RESIZE_PREP == scheduled._RESIZING
