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

"""The notifier ``email``: mail to endorsers and operators.

What happens in a run is mailed when the run ends, one message to each
address; else at once. What could not be sent waits in ``told.db``.

Addresses and names come from lists, that is from outside: an address is
used only if nothing speaks against who signed, and nothing of a list gets
into a header but that address.
"""

from collections.abc import Sequence
import dataclasses
from email.headerregistry import Address
from email.message import EmailMessage
from email import policy
from email import utils
import json
import re
import smtplib
import socket
import ssl

from oslo_config import cfg
from oslo_log import log as logging

from hepix_vm.errors import Code
from hepix_vm.errors import ConfigError
from hepix_vm.errors import ServiceError
from hepix_vm.exchange.event import Event
from hepix_vm.exchange.event import Kind
from hepix_vm.exchange.notify import Notifier
from hepix_vm.exchange.notify.told import about
from hepix_vm.exchange.notify.told import SERVERS
from hepix_vm.exchange.notify.told import told_as
from hepix_vm.exchange.notify.told import ToldFile
from hepix_vm.exchange.notify import words
from hepix_vm.exchange.oneline import clean
from hepix_vm.trust.imagelist import format_time

LOG = logging.getLogger(__name__)

_TIMEOUT = 30  # seconds for each answer of the server
# Mails to owners of servers that wait: nobody else would tell them.
_MOST_OWNERS = 20_000

# Of RFC 5321, section 4.1.2, what is in use: no quotes, no comments.
_ADDRESS = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r'@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?'
    r'(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*')
_LONGEST_ADDRESS = 254  # RFC 5321, section 4.5.3.1.3, without < and >

_ENDORSER_TOLD = frozenset({
    Kind.LIST_REFUSED, Kind.LIST_CLASHES, Kind.IMAGE_REFUSED,
    Kind.IMAGE_REVOKED, Kind.IMAGE_BLOCKED})
# Whoever made the server.
_OWNER_TOLD = frozenset({
    Kind.SERVER_RUNS, Kind.SERVER_LOCKED, Kind.SERVER_STOPPING,
    Kind.SERVER_OWNER})
_OPERATORS_TOLD = _ENDORSER_TOLD | {
    Kind.LIST_STALE, Kind.IMAGE_EXPIRED, Kind.IMAGE_WAITS,
    Kind.SERVER_RUNS, Kind.SERVER_LOCKED, Kind.SERVER_STOPPING,
    Kind.SERVER_UNSTOPPED}
# After these the same may happen again, and is told again.
_FORGETTING = frozenset({
    Kind.LIST_ACCEPTED, Kind.IMAGE_AVAILABLE, Kind.IMAGE_ENDORSED})

# Refusals after which the address in the list is still the endorser's own.
# With any other anybody may have written it, and could have us write to
# whom he likes; or, as with what is too large here, it is none of his.
_KNOWN_ENDORSER = frozenset({
    Code.LIST_EXPIRED, Code.LIST_NOT_YET_VALID, Code.LIST_ROLLBACK,
    Code.IMAGE_EXPIRED, Code.IMAGE_REVOKED, Code.IMAGE_SUPERSEDED,
    Code.IMAGE_BLOCKED, Code.CHECKSUM_MISMATCH, Code.SIZE_MISMATCH,
    Code.HYPERVISOR_UNSUPPORTED, Code.FORMAT_MISMATCH, Code.FORMAT_UNSAFE,
    Code.NOT_ENDORSED})


_OWNER_DOES = (
    'Save what you need, and make the server anew from an image that may be '
    'used. If it is locked, ask the operator.\n')


def is_address(text: str) -> bool:
    """Return whether a text is one plain mail address."""
    return (len(text) <= _LONGEST_ADDRESS
            and _ADDRESS.fullmatch(text) is not None)


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """One event as it is mailed.

    :param to: an address; empty for the operators
    :param title: what happened, in a few words of ours
    :param text: all that is said of it
    """

    to: str
    title: str
    text: str


class Email(Notifier):
    """Sends mail by SMTP."""

    limit = 900.0

    def __init__(self, settings: cfg.ConfigOpts.GroupAttr) -> None:
        super().__init__(settings)
        self._from, self._site = _sender(settings.mail_from)
        for address in settings.operators:
            if not is_address(address):
                raise _wrong('operators', f'{address} is no mail address')
        if bool(settings.smtp_user) != bool(settings.smtp_password):
            raise _wrong('smtp_user', 'is of no use without smtp_password, '
                         'and the other way round')
        if settings.smtp_user and settings.smtp_tls == 'none':
            raise _wrong('smtp_tls', 'none would send smtp_password in the '
                         'clear')
        self._file = ToldFile(settings.state_dir, 'email')
        self._in_run = False

    def tell(self, event: Event) -> None:
        """Queue one event, and send what is due.

        :raises ServiceError: the server does not take it; it waits
        :raises OSError: ``told.db`` cannot be written
        """
        if event.kind in (Kind.RUN_BEGINS, Kind.RUN_ENDS):
            self._in_run = event.kind is Kind.RUN_BEGINS
        elif event.kind in _FORGETTING:
            with self._file.open() as told:
                told.forget(about(event))
            return
        elif event.kind in _OPERATORS_TOLD | _OWNER_TOLD:
            with self._file.open() as told:
                if told.add(told_as(event), SERVERS if event.server
                            else about(event), event.at,
                            _stored(self._items(event))):
                    told.queue(_stored(_for_owner(event)), _MOST_OWNERS)
        else:
            return
        if not self._in_run:
            self._send()

    def _items(self, event: Event) -> list[Item]:
        text = _text(event)
        title = words.happened(event)
        items = ([Item('', title, text)] if self.settings.operators
                 and event.kind in _OPERATORS_TOLD else [])
        address = _endorser(event)
        if address:
            items.append(Item(address, title, text))
        return items

    def _send(self) -> None:
        """Send all that waits, a message an address.

        :raises ServiceError: something could not be sent
        """
        with self._file.sending() as alone:
            if not alone:
                return  # who does takes ours along
            with self._file.open() as told:
                waiting = {number: Item(*json.loads(item))
                           for number, item in told.waiting().items()}
                more = told.missed()
            if not waiting:
                return
            failed: ServiceError | None = None
            with self._connect() as server:
                for to in dict.fromkeys(
                        item.to for item in waiting.values()):
                    items = {number: item for number, item in waiting.items()
                             if item.to == to}
                    try:
                        self._deliver(server, to, [*items.values()], more)
                    except ServiceError as error:
                        failed = failed or error
                        continue
                    with self._file.open() as told:
                        told.done(items)
                        told.said(0 if to else more)
            if failed is not None:
                raise failed

    def _deliver(self, server: smtplib.SMTP, to: str,
                 items: Sequence[Item], more: int) -> None:
        """Hand a message over.

        What the server will never take is logged and given up.

        :raises ServiceError: it may take it later
        """
        message = self._message(to, items, more)
        try:
            refused = server.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            refused = error.recipients
        except smtplib.SMTPDataError as error:
            refused = {to: (error.smtp_code, b'')}
        except (smtplib.SMTPException, OSError) as error:
            raise self._unsent(error) from error
        if refused and all(code < 500 for code, _ in refused.values()):
            raise self._unsent(smtplib.SMTPRecipientsRefused(refused))
        for address, (code, _) in refused.items():
            LOG.error('%s does not take mail for %s (%d)',
                      self.settings.smtp_server, address, code)

    def _connect(self) -> smtplib.SMTP:
        """Return a connection, encrypted and with who we are.

        :raises ServiceError: there is none
        """
        settings = self.settings
        context = ssl.create_default_context()
        where = settings.smtp_server, settings.smtp_port
        try:
            server = (
                smtplib.SMTP_SSL(*where, timeout=_TIMEOUT, context=context)
                if settings.smtp_tls == 'tls'
                else smtplib.SMTP(*where, timeout=_TIMEOUT))
            try:
                if settings.smtp_tls == 'starttls':
                    server.starttls(context=context)
                if settings.smtp_user:
                    server.login(settings.smtp_user, settings.smtp_password)
            except BaseException:
                server.close()
                raise
        except (smtplib.SMTPException, OSError) as error:
            raise self._unsent(error) from error
        return server

    def _unsent(self, error: Exception) -> ServiceError:
        """Return what to say; never what the server said.

        It was told the password.
        """
        status = getattr(error, 'smtp_code', 0)
        settings = self.settings
        return ServiceError(
            f'The mail server {settings.smtp_server}:{settings.smtp_port} '
            f'did not take the mail ({type(error).__name__}'
            f'{f", {status}" if status else ""}); it is sent later.', status,
            'Correct smtp_server, smtp_port, smtp_tls, smtp_user or '
            'smtp_password, or mend the server.')

    def _message(self, to: str, items: Sequence[Item],
                 more: int) -> EmailMessage:
        message = EmailMessage(policy=policy.SMTP)
        operators = [_header(address) for address in self.settings.operators]
        message['From'] = _header(self._from, self._site)
        message['To'] = _header(to) if to else operators
        if operators:
            message['Reply-To'] = operators
        what = items[0].title if len(items) == 1 else f'{len(items)} events'
        message['Subject'] = f'[hepix-vm] {self._site}: {what}'
        message['Date'] = utils.localtime()
        message['Message-ID'] = utils.make_msgid(
            domain=self._from.rpartition('@')[2])
        message['Auto-Submitted'] = 'auto-generated'  # RFC 3834
        message.set_content('\n'.join([
            *(item.text for item in items),
            *([f'{more} more events are in the journal only.\n']
              if more and not to else []),
            f'-- \nhepix-vm at {self._site}, on {socket.gethostname()}\n']),
            cte='quoted-printable')
        return message


def _header(address: str, name: str = '') -> Address:
    return Address(name, addr_spec=address)


def _sender(option: str) -> tuple[str, str]:
    """Return address and site of the option ``mail_from``.

    :raises ConfigError: it is not of the form
    """
    name, address = utils.parseaddr(option)
    if not is_address(address):
        raise _wrong('mail_from', 'is not an address such as Example Site '
                     '<images@example.org>, which the notifier email needs')
    return address, clean(name) or address.rpartition('@')[2]


def _wrong(option: str, what: str) -> ConfigError:
    return ConfigError(f'[hepix_vm] {option}: {what}.')


def _endorser(event: Event) -> str:
    """Return the endorser's address, if he is to be written to."""
    if event.kind not in _ENDORSER_TOLD or event.image_list is None or (
            # What has no code failed here.
            event.kind is Kind.IMAGE_REFUSED and not event.reasons) or (
            # A list that clashes was accepted.
            event.kind is not Kind.LIST_CLASHES and any(
                reason.code not in _KNOWN_ENDORSER
                for reason in event.reasons)):
        return ''
    address = event.image_list.endorser.email
    if is_address(address):
        return address
    if address:
        LOG.warning('The list %s has no mail address in hv:email that can be '
                    'used', event.image_list.identifier)
    return ''


def _for_owner(event: Event) -> list[Item]:
    """Return what is mailed to whoever made the server."""
    if event.server is None or not event.server.email:
        return []
    address = event.server.email
    if is_address(address):
        # What is said beside the reasons is for operators.
        return [Item(address, words.happened(event), _text(
            dataclasses.replace(event, message='')) + _OWNER_DOES)]
    LOG.warning('The user %s has no mail address in Keystone that can be '
                'used', clean(event.server.user))
    return []


def _stored(items: Sequence[Item]) -> list[str]:
    return [json.dumps(dataclasses.astuple(item)) for item in items]


def _text(event: Event) -> str:
    # That nobody endorses it is for whoever uploads an image; of one that
    # was in use the other reasons say why.
    reasons = [reason for reason in event.reasons
               if reason.code is not Code.NOT_ENDORSED]
    event = dataclasses.replace(
        event, reasons=tuple(reasons) or event.reasons)
    rows = [('time', format_time(event.at)),
            ('server', words.server_of(event)),
            ('list', words.list_of(event)), ('image', words.image_of(event)),
            *(('why', reason) for reason in words.why(event))]
    return f'{words.happened(event)}.\n' + ''.join(
        f'  {name + ":":8}{value}\n' for name, value in rows if value)
