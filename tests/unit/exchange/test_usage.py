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

"""What is asked of Nova, Cinder and Keystone, and how often."""

import datetime
import json
import urllib.parse

from keystoneauth1 import exceptions
import pytest
import requests

from hepix_vm.errors import HepixVmError
from hepix_vm.exchange import usage
from hepix_vm.servers import Running

NOW = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)


class Service:
    """An adapter of keystoneauth1 whose service is a function."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    def request(self, path, method, **more):
        place = urllib.parse.urlsplit(path)
        asked = {**dict(urllib.parse.parse_qsl(place.query)),
                 **more.get('params', {})}
        self.asked.append(asked)
        found = self.answer(urllib.parse.unquote(place.path), asked)
        response = requests.Response()
        response.status_code = found if isinstance(found, int) else 200
        response._content = json.dumps(
            {} if isinstance(found, int) else found).encode()
        return response

    def get(self, path, **more):
        return self.request(path, 'GET', **more)


def pages(name, items):
    """Return what answers with two items a page."""
    def answer(path, asked):
        ids = [item['id'] for item in items]
        first = ids.index(asked['marker']) + 1 if 'marker' in asked else 0
        rest = items[first:]
        more = {f'{name}_links': [{'rel': 'next', 'href': 'https://x/'}]}
        return {name: rest[:2], **(more if len(rest) > 2 else {})}
    return answer


def server(number, image='', *volumes):
    return {'id': str(number), 'image': {'id': image} if image else '',
            'os-extended-volumes:volumes_attached': [
                {'id': volume} for volume in volumes]}


def volume(name, image=''):
    return {'id': name, **({'volume_image_metadata': {
        'image_id': image}} if image else {})}


class Nova(Service):
    """A Nova with servers, and with some that were deleted.

    :param status: of its nova-compute
    """

    def __init__(self, *present, deleted=(), status='enabled'):
        def answer(path, asked):
            if path == '/os-services':
                return {'services': [{'status': 'enabled'},
                                     {'status': status}]}
            assert (path, asked['all_tenants']) == ('/servers/detail', 'True')
            if 'deleted' not in asked:
                return pages('servers', present)(path, asked)
            assert asked['changes-since'] == '2026-10-02T00:00:00Z'
            return pages('servers', deleted)(path, asked)
        super().__init__(answer)


class Cinder(Service):
    """A Cinder with volumes."""

    def __init__(self, *volumes):
        def answer(path, asked):
            assert (path, asked['all_tenants']) == ('/volumes/detail', '1')
            return pages('volumes', volumes)(path, asked)
        super().__init__(answer)


def use(nova, cinder=None):
    return usage.usage(
        nova, cinder or Service(lambda path, asked: 503), lambda: NOW)


def test_servers_are_listed_once():
    nova = Nova(server(1, 'a'), server(2, 'b'), server(3, 'a'),
                deleted=[server(4, 'c')])
    in_use = use(nova)
    for _ in range(2):
        assert set(in_use(0)) == {'a', 'b'}
        assert set(in_use(30)) == {'a', 'b', 'c'}
    assert [('deleted' in asked, 'marker' in asked)
            for asked in nova.asked if 'all_tenants' in asked] == [
        (False, False), (False, True), (True, False)]


def test_a_server_that_runs_from_a_volume_uses_its_image():
    cinder = Cinder(volume('other', 'x'), volume('data'), volume('boot', 'b'),
                    volume('later', 'y'), volume('last', 'z'))
    in_use = use(Nova(server(1, 'a'), server(2, '', 'data', 'boot')), cinder)
    assert {'a', 'b'} <= set(in_use(0))
    assert {'x', 'y', 'z'}.isdisjoint(in_use(0))
    # Not beyond the last of them.
    assert len(cinder.asked) == 2


def test_capitals_make_no_other_image_and_no_other_volume():
    """Nova and Cinder keep what was typed; databases may not mind."""
    cinder = Cinder(volume('boot', 'B'))
    nova = Nova(server(1, 'A'), server(2, '', 'BOOT'),
                deleted=[server(3, 'C')])
    assert set(use(nova, cinder)(30)) == {'a', 'b', 'c'}
    found, _ = usage.running(nova, True)
    assert usage.roots(cinder, found) == {'2': {'B'}}
    # What is shown is what Nova says.
    assert found[0].image_id == 'A'


def test_without_such_a_server_cinder_is_not_asked():
    cinder = Cinder()
    # One that failed has no volume.
    assert set(use(Nova(server(1, 'a'), server(2)), cinder)(0)) == {'a'}
    assert cinder.asked == []


@pytest.mark.parametrize(('cinder', 'words'), [
    (Cinder(volume('other', 'x')), 'does not know the volume boot'),
    (Cinder(), 'does not know the volume boot'),
    (Service(lambda path, asked: 403), 'Cinder answers 403'),
    (Service(lambda path, asked: {'volumes': None}), 'not Cinder'),
    (Service(lambda path, asked: {}), 'not Cinder'),
    (Service(lambda path, asked: {'volumes': [], 'volumes_links': []}),
     'not Cinder')])
def test_where_cinder_does_not_say_nothing_is_known(cinder, words):
    in_use = use(Nova(server(1, 'a'), server(2, '', 'boot')), cinder)
    for days in (0, 30):
        error = in_use(days)
        assert isinstance(error, HepixVmError)
        assert words in error.message
        assert error.remedy


def test_volumes_that_go_while_cinder_is_asked():
    """A user starts and ends servers all the time."""
    def answer(path, asked):
        servers = [server(1, '', 'stays'), server(2, '', 'goes', 'data')]
        if cinder.asked:
            servers[1:] = [server(3, '', 'new')]
        return Nova(*servers).answer(path, asked)
    cinder = Cinder(volume('stays', 'a'), volume('data'))
    assert set(use(Service(answer), cinder)(0)) == {'', 'a'}
    cinder = Cinder()
    error = use(Service(answer), cinder)(0)
    assert 'the volume stays of a server' in error.message
    assert error.remedy.startswith('The next run asks again; ')


@pytest.mark.parametrize('answer', [
    503, {}, {'servers': [{}]}, {'servers': [{'id': '1', 'image': 'x'}]}])
def test_where_nova_does_not_say_nothing_is_known(answer):
    error = use(Service(lambda path, asked: answer))(0)
    assert isinstance(error, HepixVmError)
    assert error.message.startswith('Nova does not say which images')
    assert 'Nova' in error.remedy


@pytest.mark.parametrize('nova', [
    # As Nova lists a server of a cell that is down, if there is room.
    Nova(server(1, 'a'), {'id': '2', 'status': 'UNKNOWN'}),
    Nova(server(1, 'a'), server(2, 'b'), status='UNKNOWN')])
def test_where_a_cell_does_not_answer_nothing_is_known(nova):
    error = use(nova)(0)
    assert isinstance(error, HepixVmError)
    assert 'A cell of Nova does not answer' in error.message
    assert error.remedy


def test_why_nova_does_not_say_has_no_password():
    def silent(path, asked):
        raise requests.ConnectionError('http://ops:s3cret@nova/')
    error = use(Service(silent))(0)
    assert 'http://nova/' in error.message
    assert 's3cret' not in error.message


class Keystone(Service):
    """A Keystone with projects, by id, each with domain and name."""

    def __init__(self, **projects):
        domains = {'d1': 'Default', 'd2': 'other'}

        def answer(path, asked):
            _, kind, *rest = path.split('/', 2)
            known = domains if kind == 'domains' else projects
            if rest:
                return {kind[:-1]: {}} if rest[0] in known else 404
            found = known.items()
            if kind == 'projects':
                found = [(key, name) for key, (domain, name) in found
                         if asked.get('domain_id', domain) == domain]
            return {kind: [{'id': key} for key, name in found
                           if name == asked['name']]}
        super().__init__(answer)


@pytest.mark.parametrize(('named', 'found'), [
    ('cms', 'p2'), ('p1', 'p1'), ('nobody', None),
    # Two domains have it.
    ('atlas', None), ('Default:atlas', 'p1'), ('d1:atlas', 'p1'),
    ('other:atlas', 'p3'), ('other:cms', None), ('nowhere:atlas', None),
    # Whoever may make projects in a domain gives them any name, also that
    # of another's id, or that looks like a domain and a name.
    ('p4', 'p4'), ('other:lhcb', 'p7'), ('a:b', 'p8')])
def test_projects_by_id_by_name_and_by_domain(named, found):
    keystone = Keystone(
        p1=('d1', 'atlas'), p2=('d1', 'cms'), p3=('d2', 'atlas'),
        p4=('d1', 'alice'), p5=('d2', 'p4'), p6=('d1', 'other:lhcb'),
        p7=('d2', 'lhcb'), p8=('d1', 'a:b'))
    assert usage.project_ids(keystone, [named]) == (
        {named: found} if found else {})


def test_servers_and_whether_they_are_all():
    found, why = usage.running(
        Nova(server(1, 'a'), server(2, '', 'v'), server(3, 'b')), True)
    assert [(each.identifier, each.image_id, each.volumes)
            for each in found] == [
        ('1', 'a', ()), ('2', '', ('v',)), ('3', 'b', ())]
    assert why is None
    # Behind a full page those of such a cell are not there at all.
    found, why = usage.running(Nova(server(1, 'a'), status='UNKNOWN'), True)
    assert len(found) == 1
    assert 'A cell of Nova does not answer' in why.message
    found, why = usage.running(Nova({'id': '1', 'status': 'UNKNOWN'}), True)
    assert found[0].image_id is None
    assert why


@pytest.mark.parametrize('lost', [1, 2])
def test_a_marker_that_went_meanwhile(lost):
    """Nova answers 400 if it was never built, or was archived.

    :param lost: how often that happens
    """
    present = [server(each, 'a') for each in range(5)]
    nova = Nova(*present)
    answer, gone = nova.answer, []

    def once_gone(path, asked):
        if asked.get('marker') == present[1]['id'] and len(gone) < lost:
            gone.append(asked['marker'])
            return 400
        return answer(path, asked)
    nova.answer = once_gone
    if lost > 1:
        with pytest.raises(HepixVmError, match='Nova answered 400'):
            usage.running(nova, True)
        return
    found, why = usage.running(nova, True)
    assert [each.identifier for each in found] == [*'01234']
    assert why is None


def test_a_question_that_nova_does_not_understand():
    nova = Service(lambda path, asked: 400)
    with pytest.raises(HepixVmError, match='Nova answered 400'):
        usage.running(nova, True)
    assert len(nova.asked) == 1


def test_who_is_no_administrator_asks_for_no_cells():
    def answer(path, asked):
        assert path == '/servers/detail'
        assert asked == {'image': 'a'}
        return {'servers': [server(1, 'a')]}
    found, why = usage.running(Service(answer), False, image='a')
    assert (len(found), why) == (1, None)


@pytest.mark.parametrize('answer', [403, {}, {'servers': [{}]}])
def test_where_nova_does_not_say_there_is_no_list(answer):
    with pytest.raises(HepixVmError) as caught:
        usage.running(Service(lambda path, asked: answer), False)
    assert 'Nova does not say which servers there are' in (
        caught.value.message)


class Known(Service):
    """A service of which Keystone may know."""

    endpoint_override = None

    def __init__(self, answer):
        self._answer = answer

    def get_endpoint(self):
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.mark.parametrize(('keystone', 'answer', 'there'), [
    (True, 'http://nova', True), (True, None, False),
    (True, exceptions.EndpointNotFound('no'), False),
    (False, 'http://glance', False)])
def test_whether_there_is_a_service(keystone, answer, there):
    service = Known(answer)
    assert usage.is_there(service, keystone) is there
    service.endpoint_override = 'http://nova'
    assert usage.is_there(service, keystone)


def test_whether_there_is_a_service_where_keystone_does_not_say():
    with pytest.raises(HepixVmError, match='Keystone cannot be asked'):
        usage.is_there(Known(exceptions.ConnectFailure('no')), True)


def attached(name, image, **servers):
    return {**volume(name, image), 'attachments': [
        {'server_id': server, 'device': device}
        for server, device in servers.items()]}


def test_from_which_image_a_volume_was_made_that_a_server_runs_from():
    def running(number, root, *volumes):
        return Running(number, '', '', 'ACTIVE', '', volumes, root=root)
    cinder = Cinder(
        attached('boot', 'a', s1='/dev/vda'),
        attached('data', 'b', s1='/dev/vdb'),
        # Where it is not said which it is, any may be.
        attached('odd', 'c', s2='/dev/vdb'), attached('late', 'd'),
        attached('blank', '', s4='/dev/vda'), volume('other', 'e'),
        attached('more', 'g', s2='/dev/vda'))
    assert usage.roots(cinder, [
        running('s1', '/dev/vda', 'boot', 'data'),
        running('s2', '', 'odd', 'more'),
        running('s3', '/dev/vda', 'late'), running('s4', '/dev/vda', 'blank'),
        Running('s5', '', '', 'ACTIVE', 'f')]) == {
        's1': {'a'}, 's2': {'c', 'g'}, 's3': {'d'}}
    with pytest.raises(HepixVmError, match='Cinder answers 403'):
        usage.roots(Service(lambda path, asked: 403),
                    [running('s1', '/dev/vda', 'boot')])


@pytest.mark.parametrize(('device', 'root', 'runs'), [
    ('/dev/vda', '/dev/vda', True), ('/dev/vdb', '/dev/vda', False),
    ('', '/dev/vda', False), ('', '', False), (None, '/dev/vda', False)])
def test_what_was_made_of_an_image_may_run_from_a_volume(device, root, runs):
    """Nova lets its user name one image, and boot a volume of another."""
    cinder = Cinder(attached('v', 'bad', **(
        {} if device is None else {'s': device})))
    assert usage.roots(cinder, [
        Running('s', '', '', 'ACTIVE', 'good', ('v',), root=root)]) == (
        {'s': {'bad'}} if runs else {})


def test_the_images_of_such_volumes_are_in_use():
    nova = Nova(server(1, 'good', 'v', 'lost'))
    assert {'good', 'bad'} <= set(use(nova, Cinder(volume('v', 'bad')))(0))
    # One that is lost is none that it runs from, and no reason to ask again.
    assert sum('all_tenants' in asked for asked in nova.asked) == 1
    # What it does not say may be anything.
    assert isinstance(use(nova)(0), HepixVmError)


def test_names_of_projects():
    keystone = Service(lambda path, asked: {'projects': [
        {'id': 'a', 'name': 'atlas'}, {'id': 'b', 'name': 'cms'}]})
    assert usage.project_names(keystone) == {'a': 'atlas', 'b': 'cms'}
    assert len(keystone.asked) == 1
    with pytest.raises(HepixVmError):
        usage.project_names(Service(lambda path, asked: {}))
