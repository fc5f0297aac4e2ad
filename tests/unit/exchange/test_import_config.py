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

"""subscriptions.yaml from what other programs knew."""

import json
import re
import sqlite3

import pytest

from hepix_vm.cmd import sync
from hepix_vm.errors import ConfigError
from hepix_vm.exchange.importing import atrope
from hepix_vm.exchange.importing import cloudkeeper
from hepix_vm.exchange.importing.render import render
from hepix_vm.exchange.importing import vmcatcher
from hepix_vm.exchange.importing import without_secret
from hepix_vm.subscriptions import Properties
from hepix_vm.subscriptions import Share
from hepix_vm import subscriptionsfile
from tests.testbed.site import ALICE
from tests.testbed.site import BOB
from tests.testbed.site import CA

UUID = '8d1c6f6e-6a0a-4b7c-9d67-0f6f5d9d7a11'
OTHER = '1f93da26-d540-413c-a015-94ed0921a659'
IMAGES = ['c7e2aabd-fc88-4ab3-8bbd-e9bc76429295',
          '2b9c0a7e-51d5-4a55-8f6e-3d0f0c1e9b42']
URL = 'https://lists.example.org/vo.example.org/image.list'
PROJECTS = {'vo.example.org': 'atlas', 'ops': 'egi_ops'}

# As SQLAlchemy made them from vmcatcher 0.6.3; what is not read is left out.
SCHEMA = """
CREATE TABLE endorser (id INTEGER NOT NULL, identifier VARCHAR(50) NOT NULL,
    PRIMARY KEY (id), UNIQUE (identifier));
CREATE TABLE "endorserPrincible" (id INTEGER NOT NULL,
    hv_dn VARCHAR(50) NOT NULL, hv_ca VARCHAR(50) NOT NULL,
    endorser INTEGER, PRIMARY KEY (id), UNIQUE (hv_dn));
CREATE TABLE subscription (id INTEGER NOT NULL,
    identifier VARCHAR(50) NOT NULL, description VARCHAR(200),
    uri VARCHAR(200) NOT NULL, authorised BOOLEAN NOT NULL,
    imagelist_latest INTEGER, updated DATETIME{later},
    PRIMARY KEY (id), UNIQUE (identifier), UNIQUE (uri));
CREATE TABLE "subscriptionAuth" (id INTEGER NOT NULL, subscription INTEGER,
    endorser INTEGER, authorised BOOLEAN NOT NULL, PRIMARY KEY (id));
CREATE TABLE "ImageDefinition" (id INTEGER NOT NULL,
    identifier VARCHAR(50) NOT NULL, latest INTEGER, cache INTEGER NOT NULL,
    subscription INTEGER, PRIMARY KEY (id), UNIQUE (identifier));
"""
LATER = """, "trustAnchor" INTEGER NOT NULL, "userName" VARCHAR(200),
    password VARCHAR(200), "updateMode" INTEGER NOT NULL"""


class Database:
    """A database of vmcatcher with one list, two endorsers, two images."""

    def __init__(self, path, later=True, **changes):
        self.path = path
        self.connection = sqlite3.connect(path)
        self.connection.executescript(
            SCHEMA.format(later=LATER if later else ''))
        row = {'id': 1, 'identifier': UUID, 'description': 'Images; "ours"\n',
               'uri': URL, 'authorised': 1, **(
                   {'trustAnchor': 2, 'updateMode': 3} if later else {}),
               **changes}
        self.insert('subscription', **row)
        for number, dn in enumerate((ALICE, BOB), 1):
            self.insert('endorser', id=number, identifier=dn)
            self.insert('endorserPrincible', id=number, hv_dn=dn, hv_ca=CA,
                        endorser=number)
            self.insert('subscriptionAuth', id=number, subscription=1,
                        endorser=number, authorised=number == 1)
        for number, image in enumerate(IMAGES, 1):
            self.insert('ImageDefinition', id=number, identifier=image,
                        cache=1, subscription=1)

    def insert(self, table, **row):
        self.connection.execute(
            f'INSERT INTO "{table}" ({", ".join(row)}) '  # noqa: S608
            f'VALUES ({", ".join("?" * len(row))})', [*row.values()])

    def update(self, statement, *values):
        self.connection.execute(statement, values)

    def file(self):
        self.connection.commit()
        return self.path.read_bytes()

    def dump(self):
        self.connection.commit()
        return '\n'.join(['PRAGMA foreign_keys=OFF;',
                          *self.connection.iterdump()]).encode()


@pytest.fixture
def database(tmp_path):
    return Database(tmp_path / 'vmcatcher.db')


def followed(sources, projects=PROJECTS):
    """Return what the file that is written follows, and its text."""
    done = render(sources, 'it', projects)
    blocks = subscriptionsfile.parse(done.text.encode(), 'file').blocks
    assert (done.taken, done.left) == (
        len(blocks), len(sources) - len(blocks))
    return blocks, done.text


def uncommented(text):
    """Return the file as whoever follows all blocks makes it."""
    return 'lists:\n' + re.sub('^#  ', '  ', text.partition('lists:\n')[2],
                               flags=re.MULTILINE)


@pytest.mark.parametrize('form', ['file', 'dump'])
def test_vmcatcher(database, form):
    (block,), text = followed(
        vmcatcher.read(getattr(database, form)(), 'f'))
    assert block.subscription.uuid == UUID
    (alice,) = block.subscription.endorsers
    assert (alice.dn, alice.ca) == (ALICE, CA)
    assert block.following.url == URL
    assert block.following.ca_bundle == 'igtf'
    assert block.following.images.uuids is None
    assert block.following.projects == {
        vo: (name,) for vo, name in PROJECTS.items()}
    assert '# Images; "ours"\n' in text
    assert 'Endorsers who were not authorised are left out.' in text


@pytest.mark.parametrize(('mode', 'cached', 'images'), [
    (3, IMAGES, None), (1, IMAGES, IMAGES), (0, IMAGES, IMAGES),
    (3, IMAGES[:1], IMAGES[:1]), (1, IMAGES[:1], IMAGES[:1]), (1, [], [])])
def test_which_images_vmcatcher_followed(database, mode, cached, images):
    database.update('UPDATE subscription SET updateMode = ?', mode)
    for image in IMAGES:
        database.update('UPDATE ImageDefinition SET cache = ? WHERE '
                        'identifier = ?', image in cached, image)
    (block,), text = followed(vmcatcher.read(database.file(), 'f'))
    assert block.following.images.uuids == (
        None if images is None else frozenset(images))
    assert ('takes no new ones' in text) is (mode == 3 and cached != IMAGES)
    assert ('No image was followed.' in text) is (cached == [])


def test_a_database_of_an_older_vmcatcher(tmp_path):
    database = Database(tmp_path / 'old.db', later=False)
    (block,), text = followed(vmcatcher.read(database.dump(), 'f'))
    assert block.following.ca_bundle == 'system'
    assert block.following.images.uuids == frozenset(IMAGES)
    assert 'vmcatcher did not verify the server' in text


@pytest.mark.parametrize('changes', [
    {'uri': URL.replace('//', '//alice:s3cret@')},
    {'userName': 'alice', 'password': 's3cret'}])
def test_no_secret_gets_into_the_file(tmp_path, changes):
    database = Database(tmp_path / 'f', **changes)
    (block,), text = followed(vmcatcher.read(database.file(), 'f'))
    assert block.following.url == URL
    assert block.following.token_file == f'/etc/hepix-vm/tokens/{UUID}'
    assert 's3cret' not in text and 'alice:' not in text
    assert 'Write userName and password as user:password into ' in text


@pytest.mark.parametrize(('changes', 'reason'), [
    ({'authorised': 0}, 'It was not authorised.'),
    ({'uri': 'http://lists.example.org/image.list'},
     'It was fetched by http://, which delivers old'),
    ({'uri': '/usr/share/image.list'}, 'An address https://'),
    ({'identifier': 'no-uuid'}, 'A UUID is expected here.')])
def test_what_is_not_followed(tmp_path, changes, reason):
    database = Database(tmp_path / 'f', **changes)
    blocks, text = followed(vmcatcher.read(database.file(), 'f'))
    assert blocks == ()
    assert f'# Not followed: {reason}' in text


def test_a_list_without_an_endorser(database):
    database.update('UPDATE subscriptionAuth SET authorised = 0')
    blocks, text = followed(vmcatcher.read(database.file(), 'f'))
    assert blocks == ()
    assert 'Nobody is known who may endorse it.' in text


def test_a_list_whose_projects_nobody_knows(database):
    blocks, text = followed(vmcatcher.read(database.file(), 'f'), {})
    assert blocks == ()
    assert 'It is not known which project' in text
    # Whoever fills in what is in capitals has a block that counts.
    filled = uncommented(text).replace(
        'VO: PROJECT', 'vo.example.org: atlas')
    (block,) = subscriptionsfile.parse(filled.encode(), 'file').blocks
    assert block.following.projects == {'vo.example.org': ('atlas',)}


@pytest.mark.parametrize('data', [
    b'', b'nonsense', b'\xff\xfe', b'SQLite format 3\0garbage',
    b'CREATE TABLE t (id INTEGER);', b'SELECT load_extension("x");'])
def test_what_is_no_database_of_vmcatcher(data):
    with pytest.raises(ConfigError, match='not a database of vmcatcher'):
        vmcatcher.read(data, 'f')


@pytest.mark.parametrize('statement', [
    "ATTACH DATABASE '{}' AS other; CREATE TABLE other.t (id INTEGER);",
    "VACUUM INTO '{}';", "SELECT writefile('{}', 'x');",
    'PRAGMA writable_schema=ON;', 'SELECT randomblob(10);',
    'CREATE TRIGGER t AFTER INSERT ON endorser BEGIN SELECT 1; END;',
    'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) '
    'SELECT count(*) FROM n;'])
def test_a_dump_opens_no_other_file(database, tmp_path, statement):
    target = tmp_path / 'owned'
    with pytest.raises(ConfigError, match='not a database of vmcatcher'):
        vmcatcher.read(
            database.dump() + statement.format(target).encode(), 'f')
    assert not target.exists()


ATROPE = f"""
egi:
    url: {URL}
    enabled: true
    endorser:
        dn: '{ALICE}'
        ca: "{CA}"
    token: 17580f07-s3cret
    images:
        - {IMAGES[0]}
    prefix: "EGI "
    project: atlas
    color: red
open:
    url: {URL}2
    endorser: {{dn: {ALICE}, ca: {CA}}}
    images: []
off:
    enabled: false
"""


def test_atrope():
    egi, free, off = atrope.read(ATROPE.encode(), 'hepix.yaml')
    assert egi.endorsers == ((ALICE, CA),)
    assert egi.images == (IMAGES[0],)
    assert (egi.url, egi.prefix) == (URL, 'EGI ')
    assert egi.projects == {'': 'atlas'}
    assert egi.share == ''
    assert (free.share, free.images) == ('public', None)
    assert off.off == 'It was not enabled.'
    assert off.endorsers == ()


def test_a_file_of_atrope_lacks_uuids():
    blocks, text = followed(atrope.read(ATROPE.encode(), 'f'), {})
    assert blocks == ()
    assert text.count('The UUID of the list (dc:identifier) is not') == 3
    assert 's3cret' not in text
    assert 'The key color is not one of atrope 2.0.0.' in text
    assert 'The VO of the list (ad:vo) is not known.' in text
    egi, free = text.split('# egi\n')[1].split('# open\n')[0], text.split(
        '# open\n')[1].split('# off\n')[0]
    for part in (egi, free):
        filled = uncommented(f'lists:\n{part}').replace(
            'UUID', UUID).replace('VO: ', 'vo.example.org: ')
        (block,) = subscriptionsfile.parse(filled.encode(), 'f').blocks
        assert block.following.compatibility == {Properties.ATROPE}
        assert block.following.share is (
            Share.MEMBERS if part is egi else Share.PUBLIC)
        if part is egi:
            assert block.following.prefix == 'EGI '
            assert block.following.projects == {'vo.example.org': ('atlas',)}


def test_what_atrope_wrote_itself():
    (source,) = atrope.read(
        f'a: {{subscribed images: [{IMAGES[0]}], token: null}}'.encode(), 'f')
    assert source.images == (IMAGES[0],)
    assert source.secret == ''


@pytest.mark.parametrize(('text', 'match'), [
    ('- a', 'f:1: A mapping'), ('a: 1', 'f:1: A mapping'),
    ('a:\n  images: x', 'f:2: A list'), ('a: {', 'This is not YAML')])
def test_what_is_no_file_of_atrope(text, match):
    with pytest.raises(ConfigError, match=match):
        atrope.read(text.encode(), 'f')


def test_cloudkeeper():
    text = f"""
cloudkeeper:
  image-list: {URL.replace('//', '//s3cret:x-oauth-basic@')}
  verify-image-list: false
  ca-dir: /etc/grid-security/certificates/
"""
    (source,) = cloudkeeper.read(text.encode(), 'f')
    assert (source.url, source.ca_bundle) == (URL, 'igtf')
    blocks, written = followed([source])
    assert blocks == ()
    assert 's3cret' not in written
    assert 'Signatures were not verified; they are now.' in written
    filled = uncommented(written).replace(
        'UUID', UUID).replace('dn: DN', f'dn: {ALICE}').replace(
        'ca: DN-OF-THE-CA', f'ca: {CA}')
    (block,) = subscriptionsfile.parse(filled.encode(), 'f').blocks
    assert block.following.compatibility == {Properties.CLOUDKEEPER}
    assert block.following.token_file == f'/etc/hepix-vm/tokens/{UUID}'


def test_cloudkeeper_of_old():
    text = f"""
cloudkeeper:
  image-lists: [{URL}, {URL}2]
  image-lists-file: /etc/lists
"""
    first, second = cloudkeeper.read(text.encode(), 'f')
    assert (first.url, second.url) == (URL, f'{URL}2')
    assert 'The lists of image-lists-file are not read.' in first.notes
    assert cloudkeeper.read(b'cloudkeeper: {image-list: }', 'f') == []
    with pytest.raises(ConfigError, match='The key cloudkeeper is missing'):
        cloudkeeper.read(b'a: 1', 'f')


def test_the_project_of_each_vo():
    assert cloudkeeper.read_mapping(json.dumps({
        'dteam': {'project': 'EGI_dteam'}, 'ops': {'tenant': 'EGI_ops'},
    }).encode(), 'f') == {'dteam': 'EGI_dteam', 'ops': 'EGI_ops'}
    for text in (b'[]', b'{', b'{"a": "b"}', b'{"a": {}}',
                 b'{"a": {"project": 1}}'):
        with pytest.raises(ConfigError, match='not a mapping of VOs'):
            cloudkeeper.read_mapping(text, 'f')


def test_the_same_list_twice(database):
    sources = vmcatcher.read(database.file(), 'f') * 2
    (_,), text = followed(sources)
    assert 'Another block has the same UUID.' in text


@pytest.mark.parametrize(('url', 'shown', 'secret'), [
    (URL, URL, False),
    ('https://a:b@h.example.org:8443/x', 'https://h.example.org:8443/x',
     True), ('https://a@b@h/x', 'https://h/x', True),
    ('https://a:b@[h/x', '', True)])
def test_an_address_without_what_is_secret(url, shown, secret):
    assert without_secret(url) == (shown, secret)


def test_names_of_others_write_no_lines(database):
    name = 'x\n  - url: file:///etc/passwd\n\u2028  - url: y\x85  - z'
    database.update('UPDATE subscription SET description = ?', name)
    (block,), text = followed(vmcatcher.read(database.file(), 'f'))
    assert block.following.url == URL


def test_the_command(database, tmp_path, capsys):
    mapping, output = tmp_path / 'mapping.json', tmp_path / 'new.yaml'
    mapping.write_text(json.dumps({'vo.example.org': {'project': 'atlas'}}))
    database.file()
    arguments = ['import-config', '--from', 'vmcatcher', '--mapping',
                 str(mapping), str(database.path)]
    assert sync.main([*arguments, '--output', str(output)]) == 0
    assert output.stat().st_mode & 0o777 & ~0o640 == 0
    (block,) = subscriptionsfile.parse(output.read_bytes(), 'f').blocks
    assert block.subscription.uuid == UUID
    assert capsys.readouterr() == (
        '', 'lists taken over: 1\n')
    assert sync.main(arguments) == 0
    assert capsys.readouterr().out == output.read_text()
    # It is not written over: somebody may have worked on it.
    output.write_text('mine')
    assert sync.main([*arguments, '--output', str(output)]) > 1
    assert 'It cannot be written: File exists.' in capsys.readouterr().err
    assert output.read_text() == 'mine'


def test_the_command_where_something_is_lacking(tmp_path, capsys):
    path = tmp_path / 'hepix.yaml'
    path.write_text(ATROPE)
    assert sync.main(['import-config', '--from', 'atrope', str(path)]) == 1
    out, err = capsys.readouterr()
    assert err == (
        'lists taken over: 0; 3 are commented out, see their reasons\n')
    assert subscriptionsfile.parse(out.encode(), 'f').blocks == ()
    assert sync.main(['import-config', '--from', 'atrope',
                      str(tmp_path / 'none')]) > 1
    assert 'It cannot be read: No such file' in capsys.readouterr().err
