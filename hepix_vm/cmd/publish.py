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

"""``hepix-vm-sync publish``: a signed list for other sites."""

import argparse
from collections.abc import Callable
from collections.abc import Sequence
import contextlib
import dataclasses
import os
import sys
from typing import TYPE_CHECKING

from oslo_config import cfg

from hepix_vm.cmd import common
from hepix_vm.cmd.common import Cloud
from hepix_vm.cmd import signing
from hepix_vm import config
from hepix_vm.errors import ConfigError
from hepix_vm.errors import TrustError
from hepix_vm.exchange import measure
from hepix_vm.exchange import outlet
from hepix_vm.exchange import publish
from hepix_vm.exchange.report import ALL_WELL
from hepix_vm.exchange.report import REFUSED
from hepix_vm.exchange.shareable import Shareable
from hepix_vm.exchange import signer
from hepix_vm.exchange.signer import Signer
from hepix_vm.exchange.steady import SERVICE
from hepix_vm.gate import utcnow
from hepix_vm.journal import Journal
from hepix_vm import moments
from hepix_vm import opts
from hepix_vm import publicationfile
from hepix_vm.publicationfile import Publication
from hepix_vm.site import Site
from hepix_vm.site import SiteFiles
from hepix_vm.trust import imagelist
from hepix_vm.trust.imagelist import format_time
from hepix_vm.trust.model import ImageEntry
from hepix_vm.trust.model import ImageList

if TYPE_CHECKING:
    _Parsers = argparse._SubParsersAction[common.Parser]

_KEPT = (
    'Nothing is published: the version that is there has these images, and '
    'without them subscribers would take them out of use. Bring the lists, '
    'the CRLs and the images of this site up to date, and publish again; or '
    'take back that others may have them (hepix-vm-sync lift).')


def add_parser(subparsers: '_Parsers') -> None:
    """Add the subcommand to a command line."""
    # What begins like an option is none: a --passphrase would be one for
    # --passphrase-file, and stand on the command line.
    parser = subparsers.add_parser(
        'publish', help='publish a signed list of images',
        allow_abbrev=False,
        description='Makes a new version of an image list, shows what it '
        'changes, signs it, and puts it in its place.', examples=[
            'hepix-vm-sync publish --output /srv/www/images.smime '
            'published.yaml',
            'hepix-vm-sync publish --put https://lists.example.org/images '
            '--token-file token --dry-run published.yaml'])
    add_options(parser)
    parser.add_argument(
        '--dry-run', action='store_true', default=argparse.SUPPRESS,
        help='only show what the new version changes')
    parser.set_defaults(work=run, parser=parser)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what says what is published, where, and by whom."""
    parser.add_argument('file', metavar='FILE',
                        help='YAML file that says what is published')
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument('--output', metavar='LIST', help='file to write')
    where.add_argument('--put', metavar='URL',
                       help='https address to which it is sent')
    signing.add_options(parser)
    parser.add_argument('--token-file', metavar='FILE', default='',
                        help='with --put: file with user:password, or with '
                             'a token')
    parser.add_argument('--tls-certificate', metavar='FILE', default='',
                        help='with --put: PEM file of the certificate and '
                             'key by which the web server knows us')
    parser.add_argument('--tls-ca', metavar='PATH', default='',
                        help='CAs of web servers, a file or folder; by '
                             'default those of the system')
    parser.add_argument('--list-version', metavar='VERSION', default='',
                        help='by default the last one, raised')
    parser.add_argument('--expires', metavar='DATE',
                        help='until when the version holds: a last day '
                             '(2027-03-31), a time (2027-03-31T12:00:00Z), '
                             'or from now on (+90d); by default valid_days '
                             'of FILE')
    parser.add_argument('--archive', metavar='DIR',
                        help='where all versions are kept; by default '
                             'published/ in state_dir')
    parser.add_argument('--decommission', action='store_true',
                        help='publish an empty list: all images are revoked')
    parser.add_argument('--yes', action='store_true',
                        help='do not ask before signing')


@dataclasses.dataclass(frozen=True, slots=True)
class Published:
    """What came of publishing.

    :param image_list: the new version; None if there can be none
    :param changes: what is other in it, a line each
    :param place: where it is published, without what is secret
    :param kept: the file in which it is kept; empty if nobody agreed to it
    """

    image_list: ImageList | None = None
    changes: Sequence[str] = ()
    place: str = ''
    kept: str = ''


def run(given: argparse.Namespace) -> int:
    """Publish what is asked for.

    :returns: 1 if it is refused
    :raises HepixVmError: nothing is published for another reason
    """
    def agreed(changes: Sequence[str]) -> bool:
        print('\n'.join(changes))
        if given.dry_run:
            return False
        if given.yes or confirmed():
            return True
        print('Nothing was signed.')
        return False

    try:
        done = publish_by(given, common.connect, agreed)
    except TrustError as error:
        print(f'refused: [{error.code}] {error.message} {error.remedy}',
              file=sys.stderr)
        return REFUSED
    if done.image_list and done.kept:
        print(f'Published version {done.image_list.version} of '
              f'{done.image_list.identifier} at {done.place}; kept in '
              f'{done.kept}')
    return ALL_WELL if done.kept or (done.image_list and given.dry_run) else (
        REFUSED)


def publish_by(given: argparse.Namespace, connect: Callable[[], Cloud],
               agreed: Callable[[Sequence[str]], bool]) -> Published:
    """Publish what is asked for, while nobody else publishes this list.

    :param given: the options of :func:`add_options`, and ``dry_run``
    :param connect: returns the cloud whose images are published
    :param agreed: is asked whether a version with these changes is signed
    :raises TrustError: it is refused
    :raises HepixVmError: nothing is published for another reason
    """
    publication = _publication(given)
    settings = config.load()[opts.GROUP]
    site = SiteFiles(settings, publication.asks_glance).current()
    place = _place(given, settings)
    archive = outlet.Archive(given.archive or os.path.join(
        settings.state_dir, 'published'), publication.uuid)
    with contextlib.nullcontext() if given.dry_run else archive.alone():
        return _publish_to(place, archive, publication, site, settings,
                           given, connect, agreed)


def _publish_to(place: outlet.Outlet, archive: outlet.Archive,
                publication: Publication, site: Site,
                settings: cfg.ConfigOpts.GroupAttr,
                given: argparse.Namespace, connect: Callable[[], Cloud],
                agreed: Callable[[Sequence[str]], bool]) -> Published:
    versions = archive.versions()
    current = place.current()
    old = (None if current is None
           else publish.check_old(current, site, publication.uuid))
    highest = max(versions, default='', key=publish.ORDER)
    if imagelist.compare_versions(highest, old.version if old else '') > 0:
        # What is lost there, or set back, subscribers have.
        old = publish.check_old(
            archive.read(highest), site, publication.uuid)
    images = _images(publication, site, given.tls_ca, old, connect)
    if images is None:
        return Published()
    who = signing.signer_of(given, site.trust.chain.purposes)
    new = publish.build(
        publication, images, who.endorser(
            publication.email, publication.creator),
        publish.next_version([*versions, *(
            [old.version] if old else [])], given.list_version), utcnow())
    _warn(who, new)
    made = Published(new, list(publish.differences(old, new)),
                     given.output or given.put.partition('?')[0])
    if not agreed(made.changes):
        return made
    message = who.sign(imagelist.serialize(new))
    publish.verify(message, new, site, utcnow())
    kept = archive.keep(new.version, message)
    place.put(message)
    _journal(settings, new, made.place)
    return dataclasses.replace(made, kept=kept)


def _publication(given: argparse.Namespace) -> Publication:
    try:
        with open(given.file, 'rb') as file:
            found = publicationfile.parse(file.read(), given.file)
    except OSError as error:
        raise ConfigError(
            f'It cannot be read: {error.strerror}.', given.file,
            remedy='Give the path of the YAML file that says what is '
                   'published.') from error
    if given.expires:
        end = moments.parse(given.expires, utcnow(), last=True)
        if end <= utcnow():
            raise ConfigError('The end lies in the past.', '--expires')
        found = dataclasses.replace(found, end=end)
    if given.decommission:
        found = dataclasses.replace(
            found, every_shareable=False, glance_images=(), images=())
    return found


def _place(given: argparse.Namespace,
           settings: cfg.ConfigOpts.GroupAttr) -> outlet.Outlet:
    longest = settings.max_list_bytes
    if given.output:
        return outlet.FileOutlet(given.output, longest)
    secret = (signer.read_secret(given.token_file).decode(
        errors='replace').strip()
              if given.token_file else '')
    return outlet.WebOutlet(given.put, longest, secret,
                            given.tls_certificate, given.tls_ca)


def _images(publication: Publication, site: Site, ca: str,
            old: ImageList | None, connect: Callable[[], Cloud],
            ) -> list[ImageEntry] | None:
    """Return all images, or None if nothing is published for one's sake."""
    images = [measure.measure(each, ca) for each in publication.images]
    if not publication.asks_glance:
        return images
    cloud = connect()
    shareable = Shareable(cloud.catalogue, cloud.ledger, site)
    images += shareable.collect(publication, old)
    for refused in shareable.refused:
        done = 'refused' if refused.final else 'left out'
        for reason in refused.reasons:
            print(f'{refused.image_id} {done}: [{reason.code}] '
                  f'{reason.message} {reason.remedy}', file=sys.stderr)
    if not any(each.final for each in shareable.refused):
        return images
    if publication.every_shareable:
        print(_KEPT, file=sys.stderr)
    return None


def confirmed() -> bool:
    """Ask whether this shall be signed.

    :raises ConfigError: nobody is there to say so
    """
    if not sys.stdin.isatty():
        raise ConfigError('There is no terminal at which to ask whether '
                          'this shall be signed.', remedy='Give --yes.')
    # Standard output has results alone.
    print('Sign and publish this? [y/N] ', end='', file=sys.stderr,
          flush=True)
    return sys.stdin.readline().strip().lower() == 'y'


def _warn(who: Signer, new: ImageList) -> None:
    end = who.certificate.not_valid_after_utc
    if end < new.expires:
        print(f'WARNING: the certificate ends at {format_time(end)}, before '
              f'the list; from then on subscribers take nothing new of it.',
              file=sys.stderr)


def _journal(settings: cfg.ConfigOpts.GroupAttr, new: ImageList,
             place: str) -> None:
    Journal(settings.state_dir, SERVICE).record({
        'time': format_time(utcnow()), 'event': 'publish',
        'list': new.identifier, 'list_version': new.version,
        'images': len(new.images), 'expires': format_time(new.expires),
        'endorser_dn': new.endorser.dn, 'endorser_ca': new.endorser.ca,
        'place': place})
