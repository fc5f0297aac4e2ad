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

"""The documentation says what the code does, and its examples work."""

import dataclasses
import datetime
import hashlib
import json
import os
import pathlib
import re
import subprocess
import textwrap

import pytest

from hepix_vm.cmd import sync
from hepix_vm import errors
from hepix_vm.errors import ConfigError
from hepix_vm import opts
from hepix_vm import policyfile
from hepix_vm import properties
from hepix_vm import publicationfile
from hepix_vm import subscriptionsfile
from hepix_vm.trust import anchors
from hepix_vm.trust.endorsement import AcceptedLists
from hepix_vm.trust.endorsement import TrustSettings
from hepix_vm.trust import imagelist
from hepix_vm.trust.inline import find_inline
from hepix_vm.trust.model import Endorsement
from hepix_vm.trust.policy import Subject
from hepix_vm.trust.settings import AcceptedEndorser
from hepix_vm.trust.settings import Policy
from hepix_vm.trust.verdict import Reason
from hepix_vm.trust.verdict import Verdict
from tests.testbed import pki
from tests.testbed.site import ALICE
from tests.testbed.site import CA

ROOT = pathlib.Path(__file__).parents[2]
DOCS = ROOT / 'doc' / 'source'
ETC = ROOT / 'etc' / 'hepix_vm'


def read(name: str) -> str:
    return (DOCS / name).read_text()


def plain(text: str) -> str:
    return ' '.join(text.split())


def rows(name: str) -> list[list[str]]:
    """Return the cells of all list-tables of a page."""
    found = re.findall(r'^   \* - (.*?)(?=^   \* - |^\S|\Z)', read(name),
                       re.MULTILINE | re.DOTALL)
    return [[plain(cell) for cell in re.split(r'^     - ', row,
                                              flags=re.MULTILINE)]
            for row in found]


def headings(name: str) -> set[str]:
    return set(re.findall(r'^``(\w+)``\n=', read(name), re.MULTILINE))


def blocks(name: str, language: str) -> list[str]:
    """Return the code blocks of a language."""
    return [textwrap.dedent(block) for _, block in re.findall(
        rf'^( *)\.\. code-block:: {language}\n\n((?:\1    .*\n|\n)+)',
        read(name), re.MULTILINE)]


def test_all_codes_with_their_remedies():
    documented = {cells[0].strip('`'): cells[2]
                  for cells in rows('reference/codes.rst')
                  if cells[0] != 'Code'}
    assert documented == {
        str(code): plain(remedy)
        for code, remedy in errors.REMEDIES.items()}
    assert set(documented) == {str(code) for code in errors.Code}


def test_every_code_that_is_issued_tells_the_operator_what_to_do():
    text = read('admin/troubleshooting.rst')
    described = set(re.findall(r'``([a-z-]+)``', '\n'.join(re.findall(
        r'^``[a-z].*(?=\n    )', text, re.MULTILINE))))
    unused = {cells[0].strip('`') for cells in rows('reference/codes.rst')
              if 'not issued in this release' in cells[1].lower()}
    assert described == {str(code) for code in errors.Code} - unused
    sources = ''.join(path.read_text() for path in
                      (ROOT / 'hepix_vm').rglob('*.py')
                      # Where codes are named, and who is told of which.
                      if path.name not in ('errors.py', 'email.py'))
    assert not {code for code in unused
                if f'Code.{errors.Code(code).name}' in sources}


def written(endorsement: Endorsement | None, *reasons: Reason) -> set[str]:
    return set(properties.of_verdict(
        Verdict(reasons, endorsement, sha512='0' * 128, size=1),
        altered=False, require_trait=True))


def test_all_properties():
    documented = {cells[0].strip('`') for cells in
                  rows('reference/properties.rst')} - {'Property'}
    image_list = example()
    production = {'dc:date:created': '2026-10-01T00:00:00Z'}
    entry = dataclasses.replace(image_list.images[0], extra=production)
    certificate = pki.Authority.create(CA).issue(ALICE).certificate
    assert documented == written(Endorsement(
        entry, dataclasses.replace(image_list, vo='vo.example.org'),
        image_list.endorser, certificate, 'inline', 'message')) | written(
        None, Reason(errors.Code.IMAGE_EXPIRED, 'It expired.')) | {
            properties.WITHDRAWN, properties.UNTOLD, properties.BRINGER,
            properties.TRIED,
            *properties.KEPT}
    metadefs = json.loads(
        (ETC / 'metadefs' / 'hepix-endorsement.json').read_text())
    assert {name for name in documented if name.startswith('hepix_')} == (
        set(metadefs['properties']))


def test_all_protected_properties():
    protections = (ETC / 'property-protections.conf').read_text()
    names = re.search(r'\(([\w|]+)\)', protections)
    assert names
    assert [name for name in names[1].split('|')
            if f'``{name}``' not in read('install/glance.rst')] == []


def known_keys(parse, text: str) -> set[str]:
    """Return the keys that a file may have, as its reader names them."""
    with pytest.raises(ConfigError) as caught:
        parse(text.encode(), 'file')
    found = re.search('known are (.*?)\\.', caught.value.message)
    assert found
    return set(found[1].split(', '))


def test_all_keys_of_policy_yaml():
    assert headings('admin/policy.rst') == known_keys(
        policyfile.parse, 'nothing: 1')


def test_all_keys_of_subscriptions_yaml():
    described = set(re.findall(r'``(\w+)``', '\n'.join(re.findall(
        r'^``\w.*(?=\n    )', read('admin/subscriptions.rst'),
        re.MULTILINE))))
    assert described == known_keys(
        subscriptionsfile.parse, 'lists: [{nothing: 1}]')


def test_keys_without_effect_are_not_used():
    """What the page says has no effect is asked for nowhere."""
    used = ''.join(
        path.read_text() for path in (ROOT / 'hepix_vm').rglob('*.py'))
    sections = re.split(r'^``(\w+)``\n=+\n', read('admin/policy.rst'),
                        flags=re.MULTILINE)
    idle = {key for key, text in zip(sections[1::2], sections[2::2],
                                     strict=True)
            if '**without effect in this release**' in plain(text)}
    assert idle == {key for key in headings('admin/policy.rst')
                    if f'policy.{key}' not in used
                    and f'self.{key}' not in used}


def test_examples_of_files_are_read():
    for text in blocks('admin/policy.rst', 'yaml') + blocks(
            'admin/conversion.rst', 'yaml'):
        policyfile.parse(text.encode(), 'policy.yaml')
    texts = blocks('admin/subscriptions.rst', 'yaml')
    sample = (ETC / 'subscriptions.yaml').read_text()
    texts.append(re.sub('^#', '', sample[sample.index('#lists:'):],
                        flags=re.MULTILINE))
    assert len(texts) == 4
    for text in texts:
        found = subscriptionsfile.parse(text.encode(), 'subscriptions.yaml')
        assert all(block.following for block in found.blocks)


def test_options_that_pages_name():
    known = {opt.dest for opt in opts.OPTS}
    for page in DOCS.rglob('*.rst'):
        named = re.findall(r'option\s+``(\w+)``', page.read_text())
        assert set(named) <= known, page
    assert '.. show-options:: hepix_vm' in plain(
        read('reference/options.rst'))


def test_the_keys_of_image_lists():
    documented = {cells[0].strip('`'): cells[1]
                  for cells in rows('reference/imagelist.rst')
                  if cells[0] != 'Key'}
    whole = json.loads(read('user/image.list.json'))
    whole['hv:imagelist']['ad:vo'] = ''
    inside = whole['hv:imagelist']['hv:images'][0]['hv:image']
    inside['dc:date:expires'] = whole['hv:imagelist']['dc:date:expires']
    keys = (set(whole['hv:imagelist']) | set(inside)
            | set(whole['hv:imagelist']['hv:endorser']['hv:x509']))
    assert set(documented) == keys
    assert {key for key, needed in documented.items() if needed == 'no'} == {
        'ad:vo', 'sl:osname', 'hv:format', 'dc:date:expires'}


def example() -> imagelist.ImageList:
    return imagelist.parse((DOCS / 'user' / 'image.list.json').read_bytes())


def test_the_example_is_of_the_file_that_it_says():
    data = bytes(1024 * 1024)  # truncate -s 1M
    entry, = example().images
    assert entry.size == len(data)
    assert entry.sha512 == hashlib.sha512(data).hexdigest()


def test_the_commands_of_the_user_guide(tmp_path):
    """Sign the example as the page says; the site accepts it."""
    authority = pki.Authority.create(CA)
    folder = pki.write_folder(tmp_path / 'certificates', [authority])
    certificate, key = authority.issue(ALICE).write(tmp_path, 'user')
    certificate.rename(tmp_path / 'usercert.pem')
    key.rename(tmp_path / 'userkey.pem')
    (tmp_path / 'image.list.json').write_text(read('user/image.list.json'))
    (tmp_path / 'image.raw').write_bytes(bytes(1024 * 1024))
    (tmp_path / 'policy.yaml').write_text(
        f'endorsers: [{{dn: "{ALICE}", ca: "{CA}"}}]\n')
    commands = [textwrap.dedent(block) for block in re.findall(
        r'::\n\n((?:    .*\n)+)', read('user/endorse.rst'))]
    shell = ''.join(commands).replace(
        '/etc/grid-security/certificates', str(folder))
    done = subprocess.run(
        ['sh', '-ec', shell], cwd=tmp_path, text=True, timeout=120,
        capture_output=True, env={'PATH': os.environ['PATH']})
    assert done.returncode == 0, done.stderr
    assert f'subject={ALICE}\nissuer={CA}\n' in done.stdout
    assert re.search(r'\| allowed +\| True', done.stdout)
    text = (tmp_path / 'image.endorsement').read_bytes().decode()

    subject = Subject(datetime.datetime.now(datetime.UTC), endorsement=text)
    found = find_inline(
        subject, AcceptedLists(),
        Policy(endorsers=(AcceptedEndorser(ALICE, CA),)),
        anchors.load({path.name: path.read_bytes()
                      for path in folder.iterdir()}), TrustSettings())
    assert found.reasons == ()
    assert found.endorsement
    assert found.endorsement.entry == example().images[0]


def test_the_example_of_what_is_published_is_read():
    text, = blocks('user/publish.rst', 'yaml')
    found = publicationfile.parse(text.encode(), '/srv/publish.yaml')
    assert found.every_shareable
    assert found.images[0].path == '/srv/debian-12.8.qcow2'


def test_all_keys_of_what_is_published():
    text = read('user/publish.rst')
    documented = {cells[0].strip('`') for cells in
                  rows('user/publish.rst')} - {'Key'}
    assert documented == known_keys(publicationfile.parse, 'nothing: 1')
    least = ('uuid: 8d1c6f6e-6a0a-4b7c-9d67-0f6f5d9d7a11\n'
             'uri: https://lists.example.org/\ntitle: T\n'
             'email: e@example.org\n')
    assert {key for key in known_keys(
        publicationfile.parse, f'{least}images: [{{nothing: 1}}]')
        if f'``{key}``' not in text} == set()


def test_all_options_of_publishing():
    known = set(re.findall(r'(--[a-z0-9-]+)', subcommand(
        sync._parser(), 'publish').format_usage()))
    section = read('cli/hepix-vm-sync.rst').partition(
        '\nPublishing\n===')[2]
    assert set(re.findall(r'^``(--[a-z0-9-]+)', section,
                          re.MULTILINE)) == known


def subcommand(parser, name):
    action, = (each for each in parser._actions
               if isinstance(each.choices, dict))
    return action.choices[name]
