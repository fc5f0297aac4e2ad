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

"""What hashing, lists, anchors and verdicts cost, without a Glance."""

import hashlib
import json
import os
import pathlib
import subprocess

from benchmarks.measure import cpu_seconds
from benchmarks.measure import Figure
from benchmarks.measure import interleave
from benchmarks.measure import milliseconds
from benchmarks.measure import times
from benchmarks.workspace import endorsement
from benchmarks.workspace import Image
from benchmarks.workspace import Run
from hepix_vm.gate import Case
from hepix_vm.gate import Gate
from hepix_vm.glance_hooks import body
from hepix_vm.glance_hooks import staged
from hepix_vm import paths
from hepix_vm.trust import anchors
from hepix_vm.trust.endorsement import open_list
from hepix_vm.trust.endorsement import TrustSettings
from hepix_vm.trust.policy import Subject
from tests.testbed import pki
from tests.testbed.site import file_entry
from tests.testbed.site import Site

PASS = 1.1  # of a bare pass of hashlib
LIST = 1.5  # of openssl smime -verify and json.loads
SMALL = 5.0  # ms
CAS = 1000.0  # ms

_IMAGES = 10_000
_READ = 64 * 1024  # bytes that Glance's filesystem store reads at a time
_RUNS = 50


def hashing(run: Run) -> list[Figure]:
    """Compare our passes over the bytes with hashlib's own."""
    image = run.image(run.size)
    site = run.site('hashing-site')
    gate = _gate(site)
    inline = endorsement(site, image)
    reader = interleave(
        lambda: cpu_seconds(lambda: _stream(image)),
        lambda: cpu_seconds(lambda: _reader(image, _case(
            gate, inline, image.size))), run.pairs)
    whole = interleave(
        lambda: cpu_seconds(lambda: _file(image)),
        lambda: cpu_seconds(lambda: _plugin(image)), run.pairs)
    return [
        reader.figure('hashing', 'the upload filter\'s reader over a '
                      'stream, to bare sha512', PASS),
        whole.figure('hashing', 'the import plugin\'s digest of a file, to '
                     'hashlib.file_digest', PASS)]


def lists(run: Run) -> list[Figure]:
    """Verify and parse a list of 10,000 images, and one of one image."""
    site = run.site('lists-site')
    digests = (hashlib.sha512(number.to_bytes(4, 'big')).hexdigest()
               for number in range(_IMAGES))
    message = site.sign(site.image_list(
        *(file_entry(digest, 1 + number)
          for number, digest in enumerate(digests))), site.alice)
    path = run.folder / 'list.smime'
    path.write_bytes(message)
    authority = run.folder / 'ca.pem'
    authority.write_bytes(site.authority.pem)
    # As at a site: the other CAs have signing policies to be asked, too.
    trusted = anchors.load({**_files(run.anchors), **_files(site.anchors)})
    pairs = interleave(
        lambda: cpu_seconds(lambda: _openssl(path, authority)),
        lambda: cpu_seconds(lambda: _open(path.read_bytes(), trusted,
                                          _IMAGES)), run.pairs)
    small = site.sign(site.image_list(
        file_entry(hashlib.sha512(b'').hexdigest(), 1)), site.alice)
    return [
        pairs.figure('lists', f'verifying and parsing a list of {_IMAGES} '
                     f'images ({len(message) / 1e6:.1f} MB), to openssl '
                     f'smime -verify and json.loads', LIST),
        times('lists', 'verifying and parsing a list of one image',
              milliseconds(lambda: _open(small, trusted, 1), _RUNS),
              SMALL)]


def cas(run: Run) -> list[Figure]:
    """Load the CAs of Debian's igtf-policy-classic."""
    number = len(anchors.load(_files(run.anchors)))
    assert number > 50, f'{run.anchors} has but {number} CAs'
    taken = milliseconds(lambda: anchors.load(_files(run.anchors)), 10)
    return [times('cas', f'reading and loading {number} CAs of '
                  f'igtf-policy-classic', taken, CAS)]


def verdict(run: Run) -> list[Figure]:
    """Judge one endorsed image, before and after its bytes."""
    site = run.site('verdict-site')
    for name, content in _files(run.anchors).items():
        (site.anchors / name).write_bytes(content)
    gate = _gate(site)
    image = run.image(1)
    inline = endorsement(site, image)
    taken = milliseconds(lambda: _judge(gate, inline, image), _RUNS)
    site.accept(site.image_list(*(
        file_entry(image.sha512 if number == 0 else f'{number:0128x}',
                   image.size) for number in range(_IMAGES))))
    listed = milliseconds(lambda: _judge(gate, '', image), _RUNS)
    return [
        times('verdict', 'early and final verdict, endorsement inline, '
              'files of the site unchanged', taken),
        times('verdict', f'the same, endorsed by an accepted list of '
              f'{_IMAGES} images', listed)]


def _gate(site: Site) -> Gate:
    """Return a gate that has read its settings."""
    os.environ[paths.ENVIRONMENT] = str(site.config)
    gate = Gate('glance-api')
    gate.site()
    return gate


def _case(gate: Gate, inline: str, size: int) -> Case:
    return Case(gate, Subject(
        at=gate.now(), image_id='00000000-0000-4000-8000-000000000000',
        projects=frozenset({'atlas'}), endorsement=inline,
        disk_format='raw', container_format='bare', size=size),
        route='upload')


def _judge(gate: Gate, inline: str, image: Image) -> None:
    case = _case(gate, inline, image.size)
    judged = case.early() or case.judge(image.sha512, image.size)
    assert judged.endorsed, judged.explain()


def _stream(image: Image) -> None:
    digest = hashlib.sha512()
    with image.path.open('rb', buffering=0) as stream:
        while data := stream.read(_READ):
            digest.update(data)
    assert digest.hexdigest() == image.sha512


def _undisturbed() -> None:
    """Stand in for the look whether the upload was disturbed."""


def _reader(image: Image, case: Case) -> None:
    assert case.early() is None
    with image.path.open('rb', buffering=0) as stream:
        reader = body.HashingReader(
            body.Source(stream.read, image.size), case, _undisturbed)
        while reader.read(_READ):
            pass
    assert reader.verdict and reader.verdict.endorsed


def _file(image: Image) -> None:
    with image.path.open('rb', buffering=0) as file:
        digest = hashlib.file_digest(file, 'sha512')
    assert digest.hexdigest() == image.sha512


def _plugin(image: Image) -> None:
    assert staged.digest(str(image.path)) == (
        image.sha512, image.size)


def _openssl(path: pathlib.Path, authority: pathlib.Path) -> None:
    verified = subprocess.run(
        ['openssl', 'smime', '-verify', '-in', str(path), '-CAfile',
         str(authority)], check=True, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL)
    content = json.loads(verified.stdout)
    assert len(content['hv:imagelist']['hv:images']) == _IMAGES


def _open(message: bytes, trusted: anchors.TrustAnchors,
          number: int) -> None:
    signed = open_list(message, TrustSettings())
    assert len(signed.image_list.images) == number
    assert not signed.reasons(trusted, pki.utcnow(), TrustSettings())


def _files(folder: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes()
            for path in folder.iterdir() if path.is_file()}
