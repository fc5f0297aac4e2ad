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

"""``openstack server context``: what servers are told about this site."""

import argparse
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any
from typing import TYPE_CHECKING

from cliff import columns
from osc_lib.cli import format_columns

from hepix_vm.osc import base
from hepix_vm.osc import here

if TYPE_CHECKING:
    from hepix_vm.context.facts import Facts
    from hepix_vm.context.facts import Image
    from hepix_vm.sitecontext.shown import Part

_FIXED = 'OS-EXT-IPS:type'


class Show(base.ShowOne):
    """Show the prolog, the epilog and the files that a server gets.

    They are made of context.yaml of this controller, which hepix-vm.conf
    names (HEPIX_VM_CONFIG), as it is now; a server has what it was given
    when its drive was made. Secrets are hidden, and so is what only some
    may read on this host; a secret that was written into a script is seen
    there if it has fewer than 4 characters, or another form, such as
    base64. Sources that act, such as hostcert, are not asked. A server, or
    an image, is looked up in the cloud; of a server that is only
    described, what is not named is unknown, and rules that ask for it do
    not apply.
    """

    examples = (
        'openstack server context show web-1',
        'openstack server context show --image debian-13 --project atlas',
        'openstack server context show -f json --vo vo.example.org')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument('server', metavar='SERVER', nargs='?',
                            help='name or id of a server; an administrator '
                                 'names those of all projects')
        for name, metavar, text in (
                ('image', 'IMAGE', 'name or id of its image'),
                ('project', 'PROJECT', 'name or id of its project; the id '
                                       'asks no cloud'),
                ('vo', 'VO', 'VO of its image, whatever that says'),
                ('availability-zone', 'ZONE', 'its availability zone'),
                ('host', 'HOST', 'its compute host')):
            parser.add_argument(
                f'--{name}', metavar=metavar, default='',
                help=f'without SERVER: {text}')
        return parser

    def take_action(
            self, parsed_args: argparse.Namespace,
            ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Return the fields."""
        from hepix_vm import config
        from hepix_vm.exchange.oneline import clean
        from hepix_vm import opts
        from hepix_vm.sitecontext import shown

        conf = config.load()
        group = conf[opts.GROUP]
        here.needed(group.context_file, 'What servers are told is written')
        site = shown.read(conf)
        facts = self._facts(parsed_args)
        given = shown.show(site, group.context_sources, facts)
        for name in given.not_asked:
            self.say(f'The source {name} is asked when the drive is made.')
        fields = {
            'server_id': facts.uuid, 'project_id': facts.project,
            'image_id': facts.image.uuid, 'vo': facts.image.vo,
            'availability_zone': facts.zone, 'host': facts.host,
            'prolog': Parts(_parts(given.prolog)),
            'epilog': Parts(_parts(given.epilog)),
            'files': Parts(_parts(given.files)),
            'variables': Variables(dict(given.variables)),
            'not_asked': format_columns.ListColumn(list(given.not_asked))}
        return tuple(fields), tuple(
            clean(value) if isinstance(value, str) else value
            for value in fields.values())

    def _facts(self, given: argparse.Namespace) -> 'Facts':
        """Return what is known of the server that is meant."""
        from hepix_vm.context.facts import Facts
        from hepix_vm.errors import ConfigError

        described = (given.image, given.project, given.vo,
                     given.availability_zone, given.host)
        if given.server and any(described):
            raise ConfigError(
                'SERVER was named, and options that describe one besides.',
                remedy='Give SERVER alone, or options alone.')
        if given.server:
            return self._looked_up(given.server)
        image = self._image(given.image)
        return Facts(
            project=self._project(given.project),
            zone=given.availability_zone, host=given.host,
            image=image._replace(vo=given.vo or image.vo))

    def _looked_up(self, named: str) -> 'Facts':
        from hepix_vm import credentials
        from hepix_vm.exchange.catalogue import Catalogue
        from hepix_vm.nova_ctx import vendor
        from hepix_vm.osc import find
        from hepix_vm import servers

        cloud = self.cloud()
        server = find.server(cloud.adapter(credentials.COMPUTE), named)
        if 'image' not in server:
            raise servers.silent_cell()
        if 'OS-EXT-SRV-ATTR:host' not in server:
            self.say('Nova tells an administrator only on which host a '
                     'server is; rules that ask for it do not apply.')
        image = server.get('image')
        catalogue: Catalogue = cloud.catalogue
        found = catalogue.find(image['id']) if image else None
        return facts_of(server, vendor.image_of(found) if found else None)

    def _image(self, named: str) -> 'Image':
        from hepix_vm.context.facts import Image
        from hepix_vm.nova_ctx import vendor
        from hepix_vm.osc import find

        return vendor.image_of(find.image(
            self.cloud().catalogue, named)) if named else Image()

    def _project(self, named: str) -> str:
        from hepix_vm import credentials
        from hepix_vm.errors import HepixVmError
        from hepix_vm.exchange.oneline import clean
        from hepix_vm.exchange import usage
        from hepix_vm.sitecontext import file

        if not named or file.looks_like_a_project(named):
            return named
        cloud = self.cloud()
        found = usage.project_ids(cloud.adapter(
            credentials.IDENTITY) if cloud.keystone else None, [named])
        if named not in found:
            raise HepixVmError(
                f'There is no project {clean(named)}, or there are several.',
                remedy='Give its id, or DOMAIN:NAME.')
        return found[named]


class Parts(columns.FormattableColumn[list[dict[str, Any]]]):
    """Scripts or files, with their texts."""

    def human_readable(self) -> str:
        """Return the texts, each under its name."""
        return '\n'.join(f'--- {each["name"]}\n{each["text"]}'
                         for each in self._value)


class Variables(columns.FormattableColumn[dict[str, str]]):
    """The variables that scripts have."""

    def human_readable(self) -> str:
        """Return each as a line."""
        from hepix_vm.exchange.oneline import clean

        return '\n'.join(f'{name}={clean(value)}'
                         for name, value in self._value.items())


def facts_of(server: Mapping[str, Any], image: 'Image | None') -> 'Facts':
    """Return what Nova says of a server, as its drive would have it.

    :param server: of Nova's API
    :param image: what Glance says of its image; None if it has none, or
        none that one may see
    """
    from hepix_vm.context import facts

    addresses = [each for of in server.get('addresses', {}).values()
                 for each in of]
    fixed = [each['addr'] for each in addresses
             if each['version'] == 4 and each.get(_FIXED) == 'fixed']
    named = server.get('image') or {}
    return facts.Facts(
        uuid=server['id'], name=server['name'],
        hostname=_text(server, 'OS-EXT-SRV-ATTR:hostname'),
        project=server['tenant_id'],
        zone=_text(server, 'OS-EXT-AZ:availability_zone'),
        launch_index=_text(server, 'OS-EXT-SRV-ATTR:launch_index'),
        network=facts.Network(macs=tuple(dict.fromkeys(
            each['OS-EXT-IPS-MAC:mac_addr'] for each in addresses
            if 'OS-EXT-IPS-MAC:mac_addr' in each))),
        image=image or facts.Image(uuid=named.get('id', '')),
        host=_text(server, 'OS-EXT-SRV-ATTR:host'),
        fixed_address=next(iter(fixed), ''))


def _text(server: Mapping[str, Any], key: str) -> str:
    value = server.get(key)
    return '' if value is None else str(value)


def _parts(found: 'Iterable[Part]') -> list[dict[str, Any]]:
    return [{'name': part.name, 'size': part.size,
             'mode': f'{part.mode:04o}', 'text': part.text}
            for part in found]
