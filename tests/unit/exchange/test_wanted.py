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
"""What should be in Glance, of lists and subscriptions alone."""

import dataclasses

import pytest

from hepix_vm.errors import Code
from hepix_vm.exchange.formats import formats_of
from hepix_vm.exchange.wanted import Access
from hepix_vm.exchange.wanted import selected
from hepix_vm.subscriptions import Selection
from hepix_vm.subscriptions import Share
from hepix_vm.trust.settings import Blockable
from hepix_vm.trust.verdict import Reason
from tests.unit.exchange.models import ABILITIES
from tests.unit.exchange.models import entry
from tests.unit.exchange.models import image_list
from tests.unit.exchange.models import Model
from tests.unit.exchange.models import named
from tests.unit.exchange.models import VO


@pytest.mark.parametrize(('stated', 'uri', 'formats'), [
    ('QCOW2', '', ('qcow2', 'bare')), ('qcow2', '', ('qcow2', 'bare')),
    ('RAW', '', ('raw', 'bare')), ('IMG', '', ('raw', 'bare')),
    ('VMDK', '', ('vmdk', 'bare')), ('VDI', '', ('vdi', 'bare')),
    ('VHD', '', ('vhd', 'bare')), ('VHDX', '', ('vhdx', 'bare')),
    ('ISO', '', ('iso', 'bare')), ('OVA', '', ('vmdk', 'ova')),
    ('AMI', '', ('ami', 'ami')), ('raw.gz', '', ('raw', 'compressed')),
    ('vdi.gz', '', ('vdi', 'compressed')),
    ('vhd.GZ', '', ('vhd', 'compressed')),
    ('', 'https://x/a/debian-12.5.qcow2', ('qcow2', 'bare')),
    ('', 'https://x/image.RAW?x=.iso', ('raw', 'bare')),
    ('', 'https://x/image.img.gz', ('raw', 'compressed')),
    ('', 'https://x/my.image.vmdk', ('vmdk', 'bare')),
    # What is stated counts, whatever the file is called.
    ('RAW', 'https://x/image.qcow2', ('raw', 'bare'))])
def test_formats(stated, uri, formats):
    assert formats_of(entry('a', format=stated, uri=uri),
                      ABILITIES) == formats


@pytest.mark.parametrize(('stated', 'uri', 'words'), [
    ('tar.gz', '', 'tar.gz'), ('cpio.bz2', '', 'cpio.bz2'),
    ('nonsense', 'https://x/image.raw', 'nonsense'),
    ('', 'https://x/image', 'nothing'), ('', 'https://x.raw/', 'nothing'),
    # Glance of the model does not take these.
    ('ploop', '', 'takes no disk_format ploop'),
    ('aki', '', 'takes no disk_format aki')])
def test_formats_that_are_refused(stated, uri, words):
    reason = formats_of(entry('a', format=stated, uri=uri), ABILITIES)
    assert isinstance(reason, Reason)
    assert reason.code is Code.FORMAT_MISMATCH
    assert words in reason.message
    # The operator, who reads this, did not make the image.
    assert reason.remedy.startswith('Ask the endorser for ')
    assert ('glance-api.conf' in reason.remedy) is ('takes no' in words)


def test_compressed_only_where_glance_takes_it():
    plain = dataclasses.replace(
        ABILITIES, container_formats=frozenset({'bare'}))
    reason = formats_of(entry('a', format='raw.gz'), plain)
    assert isinstance(reason, Reason)
    assert 'container_format compressed' in reason.message


@pytest.mark.parametrize(('selection', 'expected'), [
    (Selection(), True), (Selection(frozenset({named('a')})), True),
    (Selection(frozenset({named('b')})), False),
    (Selection(frozenset()), False),
    (Selection(os=frozenset({'debian'})), True),
    (Selection(os=frozenset({'linux'})), True),
    (Selection(os=frozenset({'windows'})), False),
    (Selection(architectures=frozenset({'x86_64'})), True),
    (Selection(architectures=frozenset({'aarch64'})), False),
    (Selection(hypervisors=frozenset({'kvm'})), True),
    (Selection(hypervisors=frozenset({'xen'})), False),
    (Selection(frozenset({named('a')}), os=frozenset({'windows'})), False)])
def test_selection(selection, expected):
    image = entry('a', os='Linux', osname='Debian', arch='x86_64',
                  hypervisor='QEMU-KVM')
    assert selected(image, selection) is expected


def access(model):
    found, refusals = model.wanted()
    (each,) = found.values()
    return each.access, refusals


def test_the_most_open_of_several_lists_wins():
    model = Model(image_list('L', entry('a')))
    model.accept(image_list('M', entry('b', 'a')),
                 projects={VO: ('cms',)})
    assert access(model)[0] == Access(
        Share.MEMBERS, frozenset({'atlas', 'cms'}))
    model.accept(image_list('N', entry('c', 'a')), share=Share.COMMUNITY)
    assert access(model)[0] == Access(Share.COMMUNITY)
    model.accept(image_list('M', entry('b', 'a')), share=Share.PUBLIC)
    assert access(model)[0] == Access(Share.PUBLIC)


def test_private_for_two_projects_is_shared_with_both():
    model = Model()
    model.accept(image_list('L', entry('a')), share=Share.PRIVATE)
    assert access(model)[0] == Access(Share.PRIVATE, owner='atlas')
    model.accept(image_list('M', entry('b', 'a')), share=Share.PRIVATE,
                 projects={VO: ('cms',)})
    assert access(model)[0] == Access(
        Share.MEMBERS, frozenset({'atlas', 'cms'}))


def test_what_one_list_waits_for_another_grants():
    model = Model()
    model.accept(image_list('L', entry('a')), approved=False,
                 share=Share.PUBLIC)
    assert access(model)[0] is None
    model.accept(image_list('M', entry('b', 'a')),
                 projects={VO: ('cms',)})
    assert access(model)[0] == Access(Share.MEMBERS, frozenset({'cms'}))


@pytest.mark.parametrize('approved', [
    (Blockable.SHA512, entry('a').sha512),
    (Blockable.IMAGE, entry('a').identifier)])
def test_approved_by_an_operator(approved):
    model = Model()
    model.accept(image_list('L', entry('a')), approved=False)
    model.approved = {approved}
    assert access(model)[0] == Access(Share.MEMBERS, frozenset({'atlas'}))
    model.approved = {(Blockable.LIST, entry('a').sha512)}
    assert access(model)[0] is None


@pytest.mark.parametrize(('vo', 'projects', 'expected'), [
    ('', {VO: ('atlas',)}, {'atlas'}), (VO, {VO: ('atlas',)}, {'atlas'}),
    ('', {VO: ('atlas',), 'x': ('cms',)}, None),
    ('other', {VO: ('atlas',)}, None), (VO, {VO: ('nobody',)}, None),
    (VO, {VO: ('nobody', 'atlas')}, {'atlas'})])
def test_projects_of_a_vo(vo, projects, expected):
    model = Model()
    model.accept(image_list('L', entry('a'), vo=vo), projects=projects)
    found, refusals = access(model)
    assert found == (expected and Access(
        Share.MEMBERS, frozenset(expected)))
    if not expected or 'nobody' in projects.get(vo, ()):
        refusal, = refusals
        assert refusal.code is None
        assert 'subscriptions.yaml' in refusal.remedy
    else:
        assert not refusals


def test_the_older_holder_of_an_image_wins():
    first, thief = entry('a'), entry('a', 'other bytes')
    model = Model(image_list('L', first), image_list('M', thief))
    found, refusals = model.wanted()
    assert set(found) == {first.sha512}
    refusal, = refusals
    assert refusal.code is Code.UUID_CONFLICT
    assert refusal.image_list.identifier == named('M')


@pytest.mark.parametrize(('prefix', 'title', 'name'), [
    ('', 'Debian 12', 'Debian 12'), ('EGI ', 'Debian', 'EGI Debian'),
    ('', ' two\nlines\x1b[31m ', 'two lines?[31m'),
    ('', '', named('a')), ('', 'x' * 300, 'x' * 255)])
def test_names(prefix, title, name):
    model = Model()
    model.accept(image_list('L', entry('a', title=title)), prefix=prefix)
    (wanted,) = model.wanted()[0].values()
    assert wanted.name == name


def test_words_tell_different_members_apart():
    words = {Access(Share.MEMBERS, frozenset(projects)).word for projects
             in (('a',), ('b',), ('a', 'b'), ('ab',))}
    words |= {Access(Share.PRIVATE, owner='a').word,
              Access(Share.PUBLIC).word, Access(Share.COMMUNITY).word}
    assert len(words) == 7
    assert Access(Share.MEMBERS, frozenset({'a', 'b'})).word == Access(
        Share.MEMBERS, frozenset({'b', 'a'})).word
