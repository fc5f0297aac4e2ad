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

"""What we publish, read by others: OpenSSL, ourselves, and atrope."""

import datetime
import hashlib
import json
import os
import pathlib
import subprocess

import pytest

from hepix_vm.trust import anchors
from hepix_vm.trust import endorsement
from hepix_vm.trust.endorsement import TrustSettings
from tests.testbed.atrope import Atrope
from tests.testbed import pki
from tests.testbed.publishing import declared
from tests.testbed.publishing import IMAGE
from tests.testbed.publishing import LIST
from tests.testbed.publishing import Publisher
from tests.testbed.site import ALICE
from tests.testbed.site import CA
from tests.testbed.site import Site
from tests.testbed.web import WebServer

DATA = os.urandom(100_000)


@pytest.fixture
def publisher(tmp_path):
    return Publisher(Site(tmp_path / 'site'), tmp_path / 'alice')


@pytest.fixture
def web():
    with WebServer() as web:
        yield web


def openssl(site, path):
    """Return the list, if OpenSSL believes it."""
    done = subprocess.run(
        ['openssl', 'smime', '-verify', '-in', path, '-CApath',
         site.anchors, '-crl_check'], capture_output=True, timeout=60)
    return json.loads(done.stdout) if done.returncode == 0 else None


def ours(site, path):
    """Return the list, and why it is not relied upon."""
    signed = endorsement.open_list(path.read_bytes(), TrustSettings())
    return signed.image_list, signed.reasons(anchors.load({
        each.name: each.read_bytes() for each in site.anchors.iterdir()}),
        pki.utcnow(), TrustSettings())


def test_openssl_and_we_ourselves(publisher):
    (publisher.folder / 'debian.raw').write_bytes(DATA)
    publisher.write(declared(DATA, path='debian.raw', sha512=None,
                             size=None))
    publisher.publish()
    read, reasons = ours(publisher.site, publisher.output)
    assert reasons == ()
    assert (read.identifier, read.version, read.vo) == (
        LIST, '1', 'vo.example.org')
    assert (read.endorser.dn, read.endorser.ca) == (ALICE, CA)
    image, = read.images
    assert (image.identifier, image.size, image.version) == (
        IMAGE, len(DATA), '1.10')
    assert image.sha512 == hashlib.sha512(DATA).hexdigest()
    assert read.expires - read.created == datetime.timedelta(days=30)
    found = openssl(publisher.site, publisher.output)
    assert found['hv:imagelist']['dc:identifier'] == LIST


def test_an_intermediate_goes_along_and_the_root_does_not(publisher):
    site = publisher.site
    middle = site.authority.intermediate('/C=EU/CN=Intermediate CA')
    pki.write_folder(site.anchors, [site.authority, middle.files()])
    (site.anchors / f'{pki.subject_hash(middle.certificate)}.0').unlink()
    who = middle.issue(ALICE)
    publisher.certificate.write_bytes(
        who.pem + middle.pem + site.authority.pem)
    publisher.key.write_bytes(who.key_pem)
    publisher.write(declared(DATA))
    publisher.publish()
    signed = endorsement.open_list(
        publisher.output.read_bytes(), TrustSettings())
    assert signed.certificates == (middle.certificate,)


class Subscriber:
    """atrope, subscribed to what a publisher puts on a web server."""

    def __init__(self, publisher, web, folder):
        self.publisher, self.web = publisher, web
        self.atrope = Atrope(
            folder, publisher.site.anchors, web.url('/image.list'), ALICE,
            CA)

    def show(self, change=lambda message: message):
        self.web.contents['/image.list'] = change(
            self.publisher.output.read_bytes())
        return self.atrope.shown()


@pytest.fixture
def subscriber(publisher, web, tmp_path):
    web.contents['/debian.raw'] = DATA
    publisher.write(declared(DATA, uri=web.url('/debian.raw')))
    publisher.publish()
    return Subscriber(publisher, web, tmp_path / 'atrope')


def test_atrope_believes_it_and_fetches_the_image(subscriber):
    shown = subscriber.show()
    assert {shown[name] for name in ('verified', 'trusted')} == {'True'}
    assert shown['expired'] == 'False'
    assert shown['images'] == f"['{IMAGE}']"
    assert 'error' not in shown
    done = subscriber.atrope.run('cache-sync')
    assert done.returncode == 0, done.stderr
    assert (subscriber.atrope.images / IMAGE).read_bytes() == DATA


def test_atrope_reads_an_empty_list_and_images_of_glance(subscriber):
    subscriber.publisher.publish('--decommission')
    shown = subscriber.show()
    assert (shown['verified'], shown['trusted']) == ('True', 'True')
    assert shown['images (subscribed)'] == '[]'


@pytest.mark.parametrize('change', [
    lambda message: message.replace(b'Debian 12', b'Debian 13'),
    lambda message: message.replace(DIGEST, DIGEST[::-1])])
def test_atrope_and_openssl_refuse_what_was_tampered_with(
        subscriber, change):
    shown = subscriber.show(change)
    assert shown == {}
    assert "Command 'openssl' returned non-zero" in subscriber.atrope.said
    bad = pathlib.Path(subscriber.publisher.folder, 'bad')
    bad.write_bytes(change(subscriber.publisher.output.read_bytes()))
    assert bad.read_bytes() != subscriber.publisher.output.read_bytes()
    assert openssl(subscriber.publisher.site, bad) is None


def test_atrope_refuses_another_endorser(subscriber):
    """Of the same CA: so the tests of what it believes can fail."""
    publisher = subscriber.publisher
    bob = publisher.site.bob.write(publisher.folder, 'bob')
    publisher.publish('--certificate', str(bob[0]), '--key', str(bob[1]))
    assert subscriber.show() == {}
    # It means to say so in a message, which it cannot put together.
    assert 'endorser is not trusted' in subscriber.atrope.said


DIGEST = hashlib.sha512(DATA).hexdigest().encode()
