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


"""What is read of a request, compared with what Nova reads of it."""

import json

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from nova.api.openstack.compute import routes as nova_routes
from nova.api.openstack import ProjectMapper
from nova.api.openstack import wsgi
from nova import exception
import pytest
import routes.middleware

from hepix_vm.nova_ctx import bootable
from hepix_vm.nova_ctx.bootable import Asked
from hepix_vm.nova_ctx.bootable import Unreadable
from hepix_vm.nova_ctx.bootable import Wanted

A, B, C = (f'{digit * 8}-0000-4000-8000-{digit * 12}' for digit in 'abc')
CREATE = {'action': 'create'}
ACTION = {'action': 'action', 'id': 'x'}

SEGMENTS = ['servers', 'os-volumes_boot', 'action', 'actions', 'Servers',
            'abc-123', A, 'servers.json', 'x', '', '.', '..', 'é', 'serv%65rs',
            'detail', 'servers;x', 'servers ']
METHODS = ['GET', 'POST', 'PUT', 'post', 'DELETE', 'PATCH']


def of_nova():
    """Return Nova's own mapper, with names in place of controllers."""
    mapper = ProjectMapper()
    for path, methods in nova_routes.ROUTE_LIST:
        if isinstance(methods, str):
            mapper.redirect(path, methods)
            continue
        for method, (controller, action) in methods.items():
            name = controller.args[0].__name__
            mapper.create_route(path, method, name, action)
    return mapper


def matched(environ, mapper):
    found = {}

    def app(environ, start):
        found.update(environ['wsgiorg.routing_args'][1])
        return ()
    routes.middleware.RoutesMiddleware(app, mapper)(
        dict(environ), lambda *unused: None)
    if (found.get('controller') in (
            'ServersController', 'VolumesBootController')
            and found['action'] in ('create', 'action')):
        return found['action'], found.get('id')
    return None


MAPPER = of_nova()
OURS = bootable.BootRoutes()


def both(method, path, query=''):
    environ = {'REQUEST_METHOD': method, 'PATH_INFO': path,
               'SCRIPT_NAME': '/v2.1', 'QUERY_STRING': query,
               'SERVER_NAME': 'x', 'SERVER_PORT': '80', 'HTTP_HOST': 'x',
               'wsgi.url_scheme': 'http'}
    before = dict(environ)
    found = OURS.match(environ)
    assert environ == before
    return (matched(environ, MAPPER),
            found and (found['action'], found.get('id')))


@settings(max_examples=1000, deadline=None)
@given(st.sampled_from(METHODS), st.lists(st.sampled_from(SEGMENTS),
                                          min_size=1, max_size=5),
       st.sampled_from(['', '_method=POST', '_method=post', '_method=GET',
                        '_method=%ff', 'x=1&_method=POST&_method=PUT']))
def test_routes_are_those_of_nova(method, segments, query):
    path = '/' + '/'.join(segments)
    nova, ours = both(method, path, query)
    assert nova == ours


@pytest.mark.parametrize('method, path, query, found', [
    ('POST', '/servers', '', ('create', None)),
    ('POST', '/abc/servers', '', ('create', None)),
    ('POST', '/os-volumes_boot', '', ('create', None)),
    ('POST', '/abc/os-volumes_boot', '', ('create', None)),
    ('PUT', '/servers', '_method=POST', ('create', None)),
    ('POST', f'/servers/{A}/action', '', ('action', A)),
    ('POST', f'/abc/servers/{A}/action', '', ('action', A)),
    ('GET', '/servers', '', None),
    ('POST', '/servers', '_method=GET', None)])
def test_what_is_looked_at(method, path, query, found):
    assert both(method, path, query) == (found, found)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.sampled_from([A, B, C, 'image', 'volume', 'snapshot']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from([
            'server', 'imageRef', 'block_device_mapping', 'rescue',
            'block_device_mapping_v2', 'uuid', 'source_type', 'volume_id',
            'image_id', 'snapshot_id', 'boot_index', 'rebuild', 'unshelve',
            'rescue_image_ref', 'x']), inner, max_size=4), max_leaves=20)


@settings(max_examples=500, deadline=None)
@given(VALUES, st.sampled_from([CREATE, ACTION]))
def test_documents_of_any_shape(document, route):
    """Nothing else is raised, whatever stands there."""
    body = json.dumps(document).encode()
    try:
        found = bootable.asked(route, body)
    except Unreadable as error:
        assert str(error)
        return
    assert found is None or all(
        isinstance(name, str) and name for names in (
            found.wanted.images, found.wanted.volumes,
            found.wanted.snapshots) for name in names)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=40) | st.text(max_size=20).map(str.encode)
       | VALUES.map(json.dumps).map(str.encode)
       | VALUES.map(json.dumps).map(lambda text: text.encode('utf-16')))
def test_bodies_are_read_as_nova_reads_them(body):
    try:
        theirs = wsgi.JSONDeserializer().deserialize(body)['body']
    except exception.MalformedRequestBody:
        with pytest.raises(Unreadable):
            bootable._document(body)
    else:
        assert repr(bootable._document(body)) == repr(theirs)


@pytest.mark.parametrize('body', [
    b'[' * 100000, b'{"server":' * 100000, b'9' * 5000, b'\xff', b'\xfe\xff'])
def test_bodies_by_which_nova_would_fail(body):
    for route in (CREATE, ACTION):
        with pytest.raises(Unreadable, match='Malformed request body'):
            bootable.asked(route, body)


def created(**server):
    found = bootable.asked(CREATE, json.dumps({'server': server}).encode())
    assert found.action == 'create'
    assert found.server == ''
    return found.wanted


def mapped(*devices):
    return created(block_device_mapping_v2=list(devices))


def test_an_image():
    assert created(imageRef=A) == Wanted((A,))
    for nothing in ({}, {'imageRef': ''}, {'imageRef': None}):
        assert created(**nothing) == Wanted()
    assert created(imageRef=A, block_device_mapping_v2=[
        {'source_type': 'image', 'uuid': A}]) == Wanted((A,))


def test_the_last_of_two_keys():
    assert bootable.asked(CREATE, f'''{{"server": {{"imageRef": "{A}"}},
        "server": {{"imageRef": "{A}", "imageRef": "{B}"}}}}'''.encode(),
        ).wanted == Wanted((B,))


@pytest.mark.parametrize('index, boots', [
    (0, True), ('0', True), (1, True), ('-0', True), (0.0, True),
    (True, True), ('0\n', True), ('x', True), ([], True), ({}, True),
    (-1, False), ('-1', False), (None, False), (-0.5, True)])
def test_volumes_that_are_booted(index, boots):
    for kind in ('volume', 'snapshot'):
        for named in ({'source_type': kind, 'uuid': A}, {f'{kind}_id': A}):
            wanted = mapped({**named, 'boot_index': index})
            assert wanted == (Wanted(**{f'{kind}s': (A,)}) if boots
                              else Wanted(beside=((kind, A),)))
    assert mapped({'volume_id': A}) == Wanted(beside=(('volume', A),))
    # Of an image a disk is made that may be booted later.
    assert mapped({'source_type': 'image', 'uuid': A,
                   'boot_index': index}) == Wanted((A,))


def test_endless_numbers():
    for text in ('1e999', '-1e999', 'NaN'):
        found = bootable.asked(CREATE, f'''{{"server": {{
            "block_device_mapping_v2": [{{"volume_id": "{A}",
            "boot_index": {text}}}]}}}}'''.encode())
        assert found.wanted == Wanted(volumes=(A,))


def test_all_names_of_a_disk():
    assert mapped({'source_type': 'image', 'uuid': A, 'image_id': B,
                   'volume_id': C, 'snapshot_id': A, 'boot_index': 0,
                   'no_device': True}) == Wanted((B, A), volumes=(C,),
                                                 snapshots=(A,))
    assert mapped({'source_type': 'blank', 'uuid': A, 'volume_id': B,
                   'boot_index': 0}) == Wanted(volumes=(B,))


def test_the_old_form():
    assert created(block_device_mapping=[
        {'device_name': 'vdb', 'volume_id': A}, {'snapshot_id': B},
        ], block_device_mapping_v2=[{'uuid': C, 'source_type': 'image'}],
        ) == Wanted((C,), volumes=(A,), snapshots=(B,))


@pytest.mark.parametrize('server', [
    {'imageRef': [A]}, {'imageRef': {}}, {'imageRef': []}, {'imageRef': 1},
    {'imageRef': True}, {'block_device_mapping': A},
    {'block_device_mapping_v2': {}}, {'block_device_mapping_v2': [A]},
    {'block_device_mapping': [{'volume_id': 1}]},
    {'block_device_mapping': [{'volume_id': []}]},
    {'block_device_mapping_v2': [{'source_type': 'image', 'uuid': [A]}]}])
def test_what_is_no_id(server):
    with pytest.raises(Unreadable):
        created(**server)


def acted(document):
    return bootable.asked(ACTION, json.dumps(document).encode())


def test_actions():
    assert acted({'rebuild': {'imageRef': A}}) == Asked(
        'rebuild', 'x', Wanted((A,)))
    assert acted({'rescue': {'rescue_image_ref': A}}) == Asked(
        'rescue', 'x', Wanted((A,)))
    for said in (None, {}, {'rescue_image_ref': ''}):
        assert acted({'rescue': said}) == Asked('rescue', 'x')
    for name in ('unshelve', 'shelve', 'createImage', 'createBackup'):
        for said in (None, {}, [], 1):
            assert acted({name: said}) == Asked(name, 'x')


def test_other_actions():
    for document in ({'reboot': {'type': 'HARD'}}, {'os-start': None}, {},
                     {'rescue': None, 'rebuild': {'imageRef': A}}):
        assert acted(document) is None
    for document in (['rescue'], 'rescue', None, 1, {'rescue': A},
                     {'rescue': []}, {'rebuild': None}):
        with pytest.raises(Unreadable):
            acted(document)


def test_both():
    assert Wanted((A,), (B,)) + Wanted((C,), former=(A,)) == Wanted(
        (A, C), (B,), (A,))
