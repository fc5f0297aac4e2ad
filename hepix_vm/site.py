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

"""What a site decided and trusts, read from its files and kept current.

Everything here is input and output: the files are read, handed to the
core, and read again when they change.
"""

from collections.abc import Callable
import dataclasses
import datetime
import json
import os
import threading
from typing import Any

from oslo_config import cfg
from oslo_log import log as logging

from hepix_vm.errors import Code
from hepix_vm.errors import ConfigError
from hepix_vm.errors import TrustError
from hepix_vm import loading
from hepix_vm import policyfile
from hepix_vm.subscriptions import Subscriptions
from hepix_vm import subscriptionsfile
from hepix_vm.trust import anchors
from hepix_vm.trust.crl import CrlPolicy
from hepix_vm.trust import endorsement
from hepix_vm.trust.endorsement import AcceptedLists
from hepix_vm.trust.endorsement import TrustSettings
from hepix_vm.trust import fields
from hepix_vm.trust.holding import Holder
from hepix_vm.trust import modes
from hepix_vm.trust.policy import Check
from hepix_vm.trust.policy import Subject
from hepix_vm.trust.settings import Policy
from hepix_vm.trust.settings import Subscription
from hepix_vm.trust.verdict import Mode

LOG = logging.getLogger(__name__)

# Beside the accepted lists: which of them had an image first.
HOLDERS = 'holders.json'

_NO_ANCHORS = anchors.load({})
# What identifies the content of files without reading them: name, inode,
# size in bytes, time of change in ns.
_State = tuple[tuple[str, int, int, int], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Site:
    """All that a verdict needs besides the image.

    :param mode: what holds where policy.yaml says nothing
    """

    policy: Policy
    anchors: anchors.TrustAnchors
    accepted: AcceptedLists
    trust: TrustSettings
    mode: Mode
    checks: tuple[Check, ...]
    sources: tuple[Any, ...]
    subscriptions: Subscriptions


class SiteFiles:
    """Reads a site's files; a file that did not change is read once.

    :param settings: the group ``hepix_vm`` of the configuration
    :param complete: whether policy.yaml and the trust anchors have to be
        there; if not, a site that has none yet trusts nobody
    """

    def __init__(self, settings: cfg.ConfigOpts.GroupAttr,
                 complete: bool = True) -> None:
        self._settings = settings
        self._complete = complete
        self._trust = _trust_settings(settings)
        self._checks = tuple(
            loading.load(loading.CHECKS, settings.image_checks))
        self._sources = tuple(
            source() for source in loading.load(
                loading.SOURCES, settings.endorsement_sources))
        self._kept: dict[str, tuple[Any, Any]] = {}
        self._lock = threading.Lock()

    def current(self) -> Site:
        """Return the site as its files say now.

        :raises ConfigError: a file cannot be read or is not of its schema
        """
        settings = self._settings
        with self._lock:
            policy = (
                self._keep(settings.policy_file, read_policy)
                if self._wanted(settings.policy_file) else Policy())
            subscriptions = self._keep(
                settings.subscriptions_file, _read_subscriptions)
            trust_anchors = (
                self._keep(settings.trust_anchors, _read_anchors)
                if self._wanted(settings.trust_anchors) else anchors.load({}))
            folder = os.path.join(settings.state_dir, 'lists')
            wanted = tuple(block.subscription
                           for block in subscriptions.blocks)
            accepted = self._keep(
                folder, lambda path: _read_lists(path, wanted, self._trust),
                wanted)
        return Site(policy, trust_anchors, accepted, self._trust,
                    Mode(settings.enforcement), self._checks, self._sources,
                    subscriptions)

    def without_lists(self) -> Site:
        """Return the site as its policy says now, for who needs no more.

        :raises ConfigError: policy.yaml cannot be read or is not of its
            schema
        """
        settings = self._settings
        with self._lock:
            policy = self._keep(settings.policy_file, read_policy)
        return Site(policy, _NO_ANCHORS, AcceptedLists(), self._trust,
                    Mode(settings.enforcement), self._checks, (),
                    Subscriptions())

    def mode_of(self, subject: Subject) -> Mode:
        """Return the mode for an image where :meth:`current` raises.

        :raises ConfigError: there are rules, but they cannot be read; one
            of them may say enforcing
        """
        settings = self._settings
        default = Mode(settings.enforcement)
        if not os.path.exists(settings.policy_file):
            return default
        with self._lock:
            policy: Policy = self._keep(settings.policy_file, read_policy)
        return modes.mode_for(subject, policy.enforcement, default)

    def _wanted(self, path: str) -> bool:
        return self._complete or os.path.exists(path)

    def _keep(self, path: str, read: Callable[[str], Any],
              *depends: Any) -> Any:
        """Return what was read of a path, read again if it changed."""
        state = (_state(path), depends)
        kept = self._kept.get(path)
        if kept is None or kept[0] != state:
            # The state is taken before reading: a change in between is
            # seen the next time.
            kept = state, read(path)
            self._kept[path] = kept
        return kept[1]


def _trust_settings(settings: cfg.ConfigOpts.GroupAttr) -> TrustSettings:
    return TrustSettings(
        anchors.ChainSettings(
            CrlPolicy(settings.crl_policy),
            frozenset(settings.signer_purposes)),
        datetime.timedelta(hours=settings.crl_grace),
        settings.max_list_bytes, settings.allow_sha1)


def _state(path: str) -> _State:
    """Return what changes when a file, or a file in a folder, does."""
    try:
        entries = [path]
        if os.path.isdir(path):
            entries += sorted(entry.path for entry in os.scandir(path))
        return tuple(_stamp(entry) for entry in entries)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise ConfigError(f'It cannot be read: {error.strerror}.',
                          path) from error


def _stamp(path: str) -> tuple[str, int, int, int]:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        # A dangling link in a folder of anchors.
        return path, 0, 0, 0
    return path, status.st_ino, status.st_size, status.st_ctime_ns


def _read(path: str) -> bytes:
    try:
        with open(path, 'rb') as file:
            return file.read()
    except OSError as error:
        raise ConfigError(f'It cannot be read: {error.strerror}.',
                          path) from error


def read_policy(path: str) -> Policy:
    """Return what a site decided.

    :param path: its policy.yaml
    :raises ConfigError: it cannot be read or is not of its schema
    """
    return policyfile.parse(_read(path), path)


def _read_subscriptions(path: str) -> Subscriptions:
    if not os.path.exists(path):
        return Subscriptions()
    return subscriptionsfile.parse(_read(path), path)


def _read_anchors(path: str) -> anchors.TrustAnchors:
    if not os.path.isdir(path):
        raise ConfigError('The folder of trust anchors does not exist.',
                          path)
    files = {entry.name: _read(entry.path)
             for entry in sorted(os.scandir(path), key=lambda e: e.name)
             if entry.is_file()}
    loaded = anchors.load(files)
    for warning in loaded.warnings:
        LOG.warning('%s: %s', path, warning)
    return loaded


def _read_lists(folder: str, subscriptions: tuple[Subscription, ...],
                settings: TrustSettings) -> AcceptedLists:
    """Read the accepted lists that are subscribed, in that order.

    A list that is not what was subscribed endorses nothing; the others
    count.
    """
    lists = []
    unpinned = []
    for subscription in subscriptions:
        path = os.path.join(folder, f'{subscription.uuid}.smime')
        if not os.path.exists(path):
            continue
        try:
            lists.append(endorsement.accept(
                _read(path), subscription, settings))
        except (TrustError, ConfigError) as error:
            LOG.error('%s is not used: %s', path, error)
            if error.code is Code.ENDORSER_NOT_ACCEPTED:
                unpinned.append(subscription.uuid)
    return AcceptedLists(
        lists, subscriptions, read_holders(folder), unpinned)


def read_holders(folder: str) -> dict[str, Holder]:
    """Return which list was the first to have an image, by its identifier.

    Where nobody wrote it down, the order of the subscriptions decides.

    :param folder: where the accepted lists lie
    """
    path = os.path.join(folder, HOLDERS)
    try:
        with open(path, 'rb') as file:
            return {image: Holder(fields.uuid(each['list']),
                                  fields.time(each['since']))
                    for image, each in json.load(file).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        LOG.error('%s cannot be read: %s', path, error)
    except (AttributeError, KeyError, TypeError, fields.Flaw):
        LOG.error('%s cannot be read: it has another form', path)
    return {}
