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

"""What is answered, with a stand-in for Glance."""

import email
import json

import pytest

from hepix_vm import config
from hepix_vm.errors import ConfigError
from hepix_vm.errors import ContextError
from hepix_vm.errors import ServiceError
from hepix_vm.nova_ctx import vendor
from hepix_vm.nova_ctx.vendor import Problem
from hepix_vm.nova_ctx.vendor import Server
from hepix_vm.nova_ctx.vendor import Vendor
from hepix_vm.sitecontext import compiler

ENDORSED = {
    'id': 'i', 'hepix_state': 'endorsed', 'hepix_image_id': 'identifier',
    'hepix_endorser_dn': '/CN=Alice', 'hepix_vo': 'vo.example.org'}
SERVER = Server('u', 'p', 'i', 'host')


class Glance:
    """Has one image, and counts the questions."""

    def __init__(self, adapter):
        self.image = dict(ENDORSED)
        self.error = None
        self.administrator = True
        self.asked = []

    def find(self, image_id):
        """Return the image."""
        self.asked.append(image_id)
        if self.error:
            raise self.error
        return self.image if image_id == 'i' else None

    def check_administrator(self):
        """Say whether it shows all images."""
        self.asked.append('administrator')
        if not self.administrator:
            raise ServiceError('Glance answers 403.', 403, 'Be one.')


@pytest.fixture
def make(site, monkeypatch):
    """Make the service, with a rule for everybody and one for a VO."""
    monkeypatch.setattr(vendor, 'Catalogue', Glance)
    site.write_script('all.sh')
    site.write_script('vo.sh')
    site.write_context(rules=[
        {'match': {}, 'prolog': ['all.sh']},
        {'match': {'vo': 'vo.example.org'}, 'epilog': ['vo.sh']}])

    def make(**settings):
        site.write_config(**settings)
        made = Vendor(config.load())
        return made, made._catalogue
    return make


def ask(made, server=SERVER):
    return json.loads(made.answer('hepix_vm', server))


def test_an_endorsed_image(make):
    made, _ = make()
    answer = ask(made)
    assert answer['version'] == 1
    assert answer['image'] == {
        'uuid': 'i', 'identifier': 'identifier', 'endorser': '/CN=Alice',
        'vo': 'vo.example.org'}
    assert answer['prolog'].startswith('#!/bin/sh\n')
    assert 'all.sh' in answer['prolog']
    assert 'vo.sh' in answer['epilog']
    assert 'note' not in answer
    for value in ('u', 'p', 'host'):
        assert f"='{value}'\n" in answer['prolog']


def test_secrets_are_in_no_answer(make, site):
    made, _ = make()
    site.write_context(rules=[{'match': {}, 'prolog': ['all.sh']}],
                       secrets={'password': 'hunter2'})
    for target in vendor.TARGETS:
        answer = json.loads(made.answer(target, SERVER))
        text = json.dumps(answer) + ''.join(
            part.get_payload(decode=True).decode()
            for part in email.message_from_string(answer).get_payload()
        ) if target == 'cloud-init' else answer['prolog']
        assert '#!/bin/sh' in text
        assert 'hunter2' not in text


@pytest.mark.parametrize('state', [
    'derived', 'expired', 'revoked', 'blocked', 'adopted', '', None])
def test_names_count_only_while_the_image_is_endorsed(make, state):
    made, glance = make()
    glance.image['hepix_state'] = state
    if state is None:
        del glance.image['hepix_state']
    answer = ask(made)
    assert answer['image'] == {
        'uuid': 'i', 'identifier': '', 'endorser': '', 'vo': ''}
    assert answer['epilog'] == ''
    assert 'all.sh' in answer['prolog']


@pytest.mark.parametrize('image', ['', 'gone'])
def test_an_image_that_nobody_knows(make, image):
    made, _ = make()
    answer = ask(made, SERVER._replace(image=image))
    assert set(answer['image'].values()) == {''}
    assert 'all.sh' in answer['prolog']


def test_an_account_that_does_not_see_the_images(make):
    made, glance = make()
    glance.administrator = False
    with pytest.raises(ServiceError):
        ask(made, SERVER._replace(image='hidden'))
    glance.administrator = True
    for image in ('hidden', 'other'):
        ask(made, SERVER._replace(image=image))
    assert glance.asked == ['hidden', 'administrator'] * 2 + ['other']


def test_the_six_calls_of_a_build(make, site):
    made, glance = make()
    first = [made.answer(target, SERVER) for target in vendor.TARGETS]
    glance.image['hepix_state'] = 'revoked'
    site.write_script('all.sh', '#!/bin/sh\n# another\n')
    for _ in range(5):
        assert [made.answer(target, SERVER)
                for target in vendor.TARGETS] == first
    assert glance.asked == ['i']


def test_an_image_is_asked_for_once_for_many_servers(make, monkeypatch):
    made, glance = make()
    for name in ('v', 'w'):
        ask(made, SERVER._replace(instance=name))
    assert glance.asked == ['i']
    monkeypatch.setattr(vendor, '_SAME_IMAGE', 0)
    made, glance = make()
    for name in ('v', 'w'):
        ask(made, SERVER._replace(instance=name))
    assert glance.asked == ['i', 'i']


@pytest.mark.parametrize('change', [
    {'instance': 'x'}, {'project': 'x'}, {'image': 'x'}, {'hostname': 'x'}])
def test_others_do_not_get_its_answer(make, change):
    made, _ = make()
    assert made.answer('hepix_vm', SERVER) != made.answer(
        'hepix_vm', SERVER._replace(**change))


def test_two_processes_answer_alike(make):
    assert [ask(make()[0]) for _ in range(2)] == [ask(make()[0])] * 2


def test_glance_that_does_not_answer_is_asked_again(make):
    made, glance = make()
    glance.error = ServiceError('Glance cannot be asked.', 0, 'Look.')
    with pytest.raises(ServiceError):
        ask(made)
    glance.error = None
    assert ask(made)['image']['vo'] == 'vo.example.org'


def test_files_that_change_and_break(make, site, monkeypatch):
    made, _ = make(vendordata_cache='0')
    ask(made)
    site.write_script('all.sh', '#!/bin/sh\n# another\n')
    assert '# another' in ask(made)['prolog']
    with monkeypatch.context() as without:
        # Nothing has changed: nothing is compiled.
        without.delattr(compiler, 'compile_context')
        assert '# another' in ask(made)['prolog']
    site.write_script('all.sh', 'no script')
    with pytest.raises(ConfigError, match='interpreter'):
        ask(made)
    # It stays broken until it is mended.
    with pytest.raises(ConfigError, match='interpreter'):
        ask(made)
    site.write_script('all.sh')
    assert ask(made)


def test_too_long_scripts_are_left_out(make, site):
    made, _ = make(vendordata_max_bytes='20000')
    site.write_script('all.sh', '#!/bin/sh\n' + 'x' * 10000 + '\n')
    answer = ask(made)
    assert answer['prolog'] and 'note' not in answer
    site.write_script('all.sh', '#!/bin/sh\n' + 'x' * 20000 + '\n')
    answer = ask(made, SERVER._replace(instance='v'))
    assert answer['image']['vo'] == 'vo.example.org'
    assert 'vendordata_max_bytes' in answer['note']
    assert set(answer) == {'version', 'image', 'note'}
    assert made.answer('cloud-init', SERVER._replace(instance='v')) == b'""'


def test_values_that_no_shell_can_have(make):
    made, glance = make()
    glance.image['hepix_vo'] = 'a\0b'
    with pytest.raises(ContextError):
        ask(made)


def test_without_an_account_it_does_not_start(site):
    site.config.write_text('[hepix_vm]\n')
    with pytest.raises(ConfigError, match='service_credentials'):
        Vendor(config.load())


def body(**changes):
    return json.dumps({
        'instance-id': 'u', 'project-id': 'p', 'image-id': 'i',
        'hostname': 'host', 'user-data': 'x', 'metadata': {'a': 'b'},
        'boot-roles': 'member', **changes}).encode()


def test_what_nova_asks():
    assert vendor.question(body()) == SERVER
    # From a volume: Nova has no image, or an empty one.
    assert vendor.question(body(**{'image-id': None})).image == ''
    assert vendor.question(body(**{'image-id': ''})).image == ''


@pytest.mark.parametrize('data', [
    b'', b'{', b'[]', b'"text"', b'null', b'1', b'\xff', b'[' * 100_000,
    b'1' * 5000, body(**{'instance-id': None}), body(**{'instance-id': ''}),
    body(**{'project-id': {}}), body(**{'image-id': ['i']}),
    body(**{'image-id': 1}), body(hostname=True), body(hostname='x' * 256),
    body(hostname='a\nb'), body(hostname='a\0'), body(hostname='\x1b[0m'),
    body(**{'instance-id': '\ud800'}), b'{}'])
def test_what_nova_never_asks(data):
    with pytest.raises(Problem):
        vendor.question(data)
