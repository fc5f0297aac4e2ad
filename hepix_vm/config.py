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

"""Reading ``[hepix_vm]`` and ``[service_credentials]`` from their files."""

from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
import glob
import os
import re

from oslo_config import cfg

from hepix_vm import credentials
from hepix_vm.errors import ConfigError
from hepix_vm import opts
from hepix_vm import paths
from hepix_vm.trust.path import PURPOSES

# Of keystonemiddleware; the vendordata service looks at it.
_OTHERS = frozenset({'keystone_authtoken'})

_OID = re.compile(r'[0-9]+(?:\.[0-9]+)+')


def files_of(service_conf: cfg.ConfigOpts | None) -> list[str]:
    """Return the files that a service read its configuration from.

    Those of its folders (``glance-api.conf.d``) are included, in the
    order in which oslo.config reads them.
    """
    if service_conf is None:
        return []
    folders = service_conf.config_dir or []
    return [*(service_conf.config_file or []),
            *(path for folder in folders
              for path in sorted(glob.glob(os.path.join(folder, '*.conf'))))]


def where(service_conf: cfg.ConfigOpts, option: str,
          group: str = 'DEFAULT') -> str:
    """Return file, group and name of a service's option.

    :returns: the file that sets it, or should
    """
    location = service_conf.get_location(
        option, None if group == 'DEFAULT' else group)
    path = (location.detail if location is not None
            and location.location is cfg.Locations.user
            else (service_conf.config_file or ['the configuration'])[-1])
    return f'{path}: [{group}] {option}'


def read(service_conf: cfg.ConfigOpts, project: str, program: str,
         files: Sequence[str] = (), folders: Sequence[str] = ()) -> None:
    """Read a service's own configuration, for a process that is another.

    :param service_conf: what the service reads it into
    :param project: such as ``nova``
    :param program: such as ``nova-api``
    :param files: those that it reads; by default those that oslo.config
        finds for such a program
    :param folders: the same for its folders
    :raises ConfigError: it cannot be read
    """
    name, remedy = project.capitalize(), (
        f'Name its files with --{project}-config.')
    try:
        service_conf([], project=project, prog=program,
                     default_config_files=list(files) or None,
                     default_config_dirs=list(folders) or None)
    except (cfg.Error, OSError) as error:
        raise ConfigError(f'The configuration of {name} cannot be read: '
                          f'{error}', remedy=remedy) from error
    if not service_conf.config_file and not service_conf.config_dir:
        raise ConfigError(f'No configuration of {name} was found.',
                          remedy=remedy)


def load(service_files: Sequence[str] = ()) -> cfg.ConfigOpts:
    """Return the options as the files set them.

    ``/etc/hepix-vm/hepix-vm.conf``, or the file that the environment
    variable ``HEPIX_VM_CONFIG`` names, is read first; the service's own
    files win.

    :param service_files: the service's configuration files
    :returns: a configuration that has our groups
    :raises ConfigError: a file is missing or broken, a key is unknown, or
        a value is not of its kind
    """
    own = paths.own_file()
    if own != paths.DEFAULT_FILE and not os.path.exists(own):
        raise ConfigError(f'{paths.ENVIRONMENT} names a file that does not '
                          f'exist.', own)
    files = [*([own] if os.path.exists(own) else []), *service_files]
    conf = cfg.ConfigOpts()
    conf.register_opts(opts.OPTS, opts.GROUP)
    credentials.register(conf)
    try:
        conf(args=[], default_config_files=files, default_config_dirs=[])
        known = {opts.GROUP: {opt.dest for opt in opts.OPTS},
                 credentials.GROUP: credentials.register_account(conf)}
        for path in files:
            _refuse_unknown(path, known, alone=path == own)
        _read_all(conf)
    except cfg.ConfigFilesPermissionDeniedError as error:
        raise ConfigError(
            'It cannot be read: Permission denied.', ', '.join(files),
            remedy=f'Let the user of this service read it, or name another '
                   f'file in {paths.ENVIRONMENT}.') from error
    except (cfg.Error, ValueError) as error:
        raise ConfigError(str(error), ', '.join(files) or None) from error
    return conf


def _refuse_unknown(path: str, known: Mapping[str, Collection[str]],
                    alone: bool) -> None:
    """Refuse keys that nobody would read.

    :param known: the options of each of our groups
    :param alone: whether the file is ours alone, so that every section
        and key in it must be known
    """
    sections: dict[str, dict[str, list[str]]] = {}
    try:
        cfg.ConfigParser(path, sections).parse()
    except (cfg.ParseError, OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(error), path) from error
    if alone:
        for section in sections.keys() - known.keys() - _OTHERS:
            raise ConfigError(f'The section [{section}] is unknown; the '
                              f'options belong in [{opts.GROUP}].', path)
    for group, options in known.items():
        for key in sections.get(group, {}):
            # oslo.config passes over a name with dashes.
            if key not in options:
                raise ConfigError(f'[{group}] has no option {key}.', path,
                                  remedy='Remove the option, or correct its '
                                         'name.')


def _read_all(conf: cfg.ConfigOpts) -> None:
    """Read every value once, since oslo.config checks them only then."""
    group = conf[opts.GROUP]
    for opt in opts.OPTS:
        getattr(group, opt.dest)
    for option, needed in (('image_checks', opts.NEEDED_CHECKS),
                           ('context_sources', opts.NEEDED_SOURCES)):
        missing = [name for name in needed if name not in group[option]]
        if missing:
            raise ValueError(f'[{opts.GROUP}] {option} lacks '
                             f'{", ".join(missing)}.')
    for purpose in group.signer_purposes:
        if purpose not in PURPOSES and not _OID.fullmatch(purpose):
            raise ValueError(f'[{opts.GROUP}] signer_purposes knows no '
                             f'{purpose}; it knows {", ".join(PURPOSES)} '
                             f'and OIDs.')
