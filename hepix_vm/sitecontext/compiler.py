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

"""Compiling the site's context, with all that a drive is made without."""

import logging
import os
import sys
import time
from typing import Any

from oslo_config import cfg

from hepix_vm import config
from hepix_vm.errors import ConfigError
from hepix_vm import loading
from hepix_vm import opts
from hepix_vm import paths
from hepix_vm.sitecontext import compiled
from hepix_vm.sitecontext.compiled import Compiled
from hepix_vm.sitecontext.compiled import Settings
from hepix_vm.sitecontext.compiled import Stamp
from hepix_vm.sitecontext import file

LOG = logging.getLogger(__name__)

# A file is not believed that was changed within so many seconds: an editor
# that writes in place empties it first.
_REST = 0.1
_ATTEMPTS = 20


def settings_of(conf: cfg.ConfigOpts) -> Settings:
    """Return what ``[hepix_vm]`` says of the making of drives."""
    group = conf[opts.GROUP]
    return Settings(group.context_failure, group.context_timeout,
                    group.state_dir)


def compile_context(conf: cfg.ConfigOpts) -> Compiled:
    """Return the site's context, compiled.

    :param conf: as :func:`hepix_vm.config.load` returns it
    :raises ConfigError: something cannot be read, or is not of its schema
    :raises PluginError: a source is missing or cannot be loaded
    """
    for _ in range(_ATTEMPTS):
        try:
            found = _compile(conf)
        except ConfigError as error:
            if error.path and _waited_for([compiled.stamp(error.path)]):
                continue
            raise
        _waited_for(found.stamps)
        if found.current():
            return found
    raise ConfigError('It, or one of its parts, is changed all the time.',
                      conf[opts.GROUP].context_file,
                      remedy='Write a new file, and rename it.')


def _waited_for(stamps: list[Stamp]) -> bool:
    """Wait until files have not been changed for a moment.

    :returns: whether that was necessary: they may have been half
    """
    last = max((each[-1] for each in stamps if len(each) > 1), default=0)
    left = last / 1e9 + _REST - time.time()
    # A clock that is behind that of the files is no reason to wait.
    if not 0 < left <= _REST:
        return False
    time.sleep(left)
    return True


def _compile(conf: cfg.ConfigOpts) -> Compiled:
    own = paths.own_file()
    stamps = [compiled.stamp(own)]
    if len(stamps[0]) > 1:
        # What was read before that may be of an older file, and would be
        # believed until the next change.
        conf = config.load()
    names = conf[opts.GROUP].context_sources
    classes = loading.load(loading.CONTEXT, names)
    settings = settings_of(conf)
    site = file.read(os.path.abspath(conf[opts.GROUP].context_file)
                     )._replace(settings=settings)
    sources: list[list[Any]] = [
        [name, f'{source.__module__}:{source.__qualname__}',
         source.compile(site)]
        for name, source in zip(names, classes, strict=True)]
    # Another version of a source compiles otherwise.
    stamps += [compiled.stamp(str(sys.modules[source.__module__].__file__))
               for source in classes]
    return Compiled(compiled.FORMAT, own, [*stamps, *site.stamps],
                    settings, sources)


def refresh(conf: cfg.ConfigOpts) -> Compiled:
    """Compile the site's context, and keep it where it can be kept.

    :raises ConfigError: something cannot be read, or is not of its schema
    """
    found = compile_context(conf)
    try:
        compiled.save(found)
    except OSError as error:
        # Each drive takes longer then; hepix-vm-status upgrade check says
        # so as well.
        LOG.debug('%s cannot be written: %s', compiled.cache_path(), error)
    return found
