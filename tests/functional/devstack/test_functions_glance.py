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

"""What is written for Glance and Cinder, each part on settings of its own."""

import pytest

from tests.functional.devstack.files import parsed
from tests.functional.devstack.files import values
from tests.functional.devstack.files import words
from tests.functional.devstack.functions import Functions

API = 'glance/glance-api.conf'
IMPORT = 'glance/glance-image-import.conf'

_CONF = 'sudo install -d "$HEPIX_VM_CONF_DIR"\nconfigure_hepix_vm_conf\n'
_PROTECTIONS = """\
mkdir -p "$(dirname "$_HEPIX_VM_BEFORE")"
hepix_vm_inifile note "$_HEPIX_VM_BEFORE" "$GLANCE_API_CONF"
_configure_hepix_vm_glance_protections
hepix_vm_inifile keep "$_HEPIX_VM_BEFORE"
"""


@pytest.fixture(autouse=True)
def files(functions: Functions) -> None:
    """The least of what DevStack has written by then."""
    functions.write(API, '[DEFAULT]\n')
    functions.write(IMPORT, '[image_import_opts]\n'
                            'image_import_plugins = []\n')
    functions.write('glance/glance-uwsgi.ini', '[uwsgi]\n')
    functions.write('cinder/cinder.conf', '[DEFAULT]\n')


def glance_api(functions: Functions, text: str) -> None:
    """Have glance-api.conf say something else."""
    functions.write(API, text)


@pytest.mark.parametrize('before, after', [
    ('pipeline = a rootapp', 'pipeline = a hepix rootapp'),
    ('pipeline = a b rootapp  ', 'pipeline = a b hepix rootapp'),
    ('pipeline=rootapp', 'pipeline=hepix rootapp'),
    ('  rootapp', '  hepix rootapp'),
    ('pipeline = a\trootapp', 'pipeline = a\thepix rootapp'),
    ('pipeline = a hepix rootapp', 'pipeline = a hepix rootapp'),
    ('pipeline = hepix a rootapp', 'pipeline = a hepix rootapp'),
    ('pipeline =hepix a rootapp', 'pipeline =a hepix rootapp'),
    ('pipeline = xhepix rootapp', 'pipeline = xhepix hepix rootapp'),
    ('# pipeline = a rootapp', '# pipeline = a rootapp'),
    ('[app:rootapp]', '[app:rootapp]'),
    ('pipeline = a otherrootapp', 'pipeline = a otherrootapp'),
    ('pipeline = rootapp b', 'pipeline = rootapp b')])
def test_the_filter_is_last_before_the_application(
        functions: Functions, before: str, after: str) -> None:
    path = functions.write('paste.ini', f'[x]\n{before}\n')
    functions.run(f'hepix_vm_put_before {path} hepix rootapp')
    assert path.read_text() == f'[x]\n{after}\n'


@pytest.mark.parametrize('name', [API, IMPORT])
def test_the_import_plugin_is_first_where_glance_reads(
        functions: Functions, name: str) -> None:
    # What glance-api.conf says wins.
    functions.write(name, '[image_import_opts]\n'
                          'image_import_plugins = [a,hepix_trust,b]\n')
    functions.run('_configure_hepix_vm_glance_plugins')
    assert words(functions.etc / name, 'image_import_opts',
                 'image_import_plugins') == ['hepix_trust', 'a', 'b']


def test_the_sentinel_is_beside_other_drivers(functions: Functions) -> None:
    glance_api(functions, '[oslo_messaging_notifications]\n'
                          'driver = messagingv2\ndriver = log\n')
    functions.run('_configure_hepix_vm_glance_plugins')
    assert values(functions.etc / API, 'oslo_messaging_notifications',
                  'driver') == ['messagingv2', 'log', 'hepix_trust']


def test_uwsgi_ends_where_the_gate_refuses_the_start(
        functions: Functions) -> None:
    uwsgi = functions.write('glance/glance-uwsgi.ini', (
        '[uwsgi]\nenv = PYTHONWARNINGS=ignore::A,ignore::B\n'
        'env = HEPIX_VM_CONFIG=/elsewhere\n'))
    paste = functions.write('glance/glance-api-paste.ini', (
        '[composite:api]\nkeystone = a rootapp\ncaching = a b rootapp\n'))
    functions.run(f'{_CONF}configure_hepix_vm_glance')
    assert values(uwsgi, 'uwsgi', 'need-app') == ['true']
    assert int(*values(uwsgi, 'uwsgi', 'chunked-input-limit')) > 1 << 20
    assert values(uwsgi, 'uwsgi', 'env') == [
        'PYTHONWARNINGS=ignore::A,ignore::B',
        f'HEPIX_VM_CONFIG={functions.machine.conf}/hepix-vm.conf']
    sections = parsed(paste)
    assert sections['composite:api'] == [
        ('caching', 'a b hepix_trust rootapp'),
        ('keystone', 'a hepix_trust rootapp')]
    assert sections['filter:hepix_trust'] == [
        ('use', 'egg:hepix-vm#hepix_trust')]


@pytest.mark.parametrize('theirs', ['', 'roles', 'policies'])
def test_property_protections(functions: Functions, theirs: str) -> None:
    if theirs:
        rules = functions.write('glance/site.conf', (
            '[site_.*]\ncreate = @\nread = @\nupdate = @\ndelete = @\n'))
        glance_api(functions, (
            f'[DEFAULT]\nproperty_protection_file = {rules}\n'
            f'property_protection_rule_format = {theirs}\n'))
    # Twice, as two runs of stack.sh.
    functions.run(f'{_CONF}{2 * _PROTECTIONS}')
    written = functions.machine.conf / 'property-protections.conf'
    assert values(functions.etc / API, 'DEFAULT',
                  'property_protection_file') == [str(written)]
    assert values(functions.etc / API, 'DEFAULT',
                  'property_protection_rule_format') == [theirs or 'roles']
    assert written.read_text().count('[site_.*]') == bool(theirs)
    sections = list(parsed(written))
    assert 'hepix' in sections[0]
    assert written.stat().st_mode & 0o777 == 0o640
    assert functions.owner(written).startswith('root:')


@pytest.mark.parametrize('step, service, conf', [
    ('_configure_hepix_vm_glance_policy', 'glance', API),
    ('configure_hepix_vm_cinder', 'cinder', 'cinder/cinder.conf')])
@pytest.mark.parametrize('folders', [(), ('site.d',)], ids=['', 'others'])
def test_policy(functions: Functions, step: str, service: str, conf: str,
                folders: tuple[str, ...]) -> None:
    functions.write(conf, ''.join((
        '[oslo_policy]\n',
        *(f'policy_dirs = {folder}\n' for folder in folders))))
    functions.run(step)
    written = functions.etc / service / 'policy.d/hepix-vm.yaml'
    ours = functions.machine.folder / 'dest/hepix-vm/etc/hepix_vm'
    assert written.read_bytes() == (
        ours / f'{service}-policy.yaml').read_bytes()
    assert written.stat().st_mode & 0o777 == 0o640
    assert written.parent.stat().st_mode & 0o777 == 0o750
    assert functions.owner(written).startswith('root:')
    # Without a word of theirs, this folder is the default.
    assert values(functions.etc / conf, 'oslo_policy', 'policy_dirs') == (
        [*folders, 'policy.d'] if folders else [])


@pytest.mark.parametrize('stores, after', [
    (None, ['file']), ('file,http', ['file']),
    ('http,https,swift', ['swift']), ('httpx,file', ['httpx', 'file'])])
def test_no_web_server_is_a_store(
        functions: Functions, stores: str | None, after: list[str]) -> None:
    glance_api(functions, '[glance_store]\n' + (
        '' if stores is None else f'stores = {stores}\n'))
    functions.run('_configure_hepix_vm_glance_options')
    assert words(functions.etc / API, 'glance_store', 'stores') == after


def test_several_stores_are_given_folders(functions: Functions) -> None:
    glance_api(functions, (
        '[DEFAULT]\n'
        'enabled_backends = fast:file, web:http, cheap:file, far:swift\n'
        '[cheap]\nfilesystem_store_datadir = /srv/cheap\n'))
    functions.run('GLANCE_MULTISTORE_FILE_IMAGE_DIR=/srv/stores\n'
                  '_configure_hepix_vm_glance_options')
    # What a web server hands out can change after it was judged.
    assert words(functions.etc / API, 'DEFAULT', 'enabled_backends') == [
        'fast:file', 'cheap:file', 'far:swift']
    folder = 'filesystem_store_datadir'
    assert values(functions.etc / API, 'fast', folder) == ['/srv/stores/fast/']
    assert values(functions.etc / API, 'cheap', folder) == ['/srv/cheap']
    assert values(functions.etc / API, 'far', folder) == []


@pytest.mark.parametrize('value', ['True', 'true', 'False'])
def test_users_give_no_locations(functions: Functions, value: str) -> None:
    glance_api(functions, f'[DEFAULT]\nshow_multiple_locations = {value}\n')
    said = functions.run('_configure_hepix_vm_glance_options')
    assert values(functions.etc / API, 'DEFAULT',
                  'show_multiple_locations') == ['False']
    assert ('the gate would not hold' in said) == (value != 'False')


def test_glance_believes_tokens_of_services_only(
        functions: Functions) -> None:
    functions.run('_configure_hepix_vm_glance_options')
    assert values(functions.etc / API, 'keystone_authtoken',
                  'service_token_roles_required') == ['True']


@pytest.mark.parametrize('mine', ['True', 'False'])
def test_cinder_shows_who_it_is(functions: Functions, mine: str) -> None:
    functions.run(f'CINDER_USE_SERVICE_TOKEN={mine}\n'
                  'configure_hepix_vm_cinder')
    # Where DevStack does so itself, it has done so before.
    assert values(functions.etc / 'cinder/cinder.conf', 'service_user',
                  'send_service_user_token') == (
                      [] if mine == 'True' else ['True'])
