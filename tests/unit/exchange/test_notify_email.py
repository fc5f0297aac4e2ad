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

"""The notifier email, against a mail server."""

import pytest

from hepix_vm.errors import Code
from hepix_vm.errors import ConfigError
from hepix_vm.errors import ServiceError
from hepix_vm.exchange.event import Kind
from hepix_vm.exchange.notify.email import Email
from hepix_vm.exchange.notify.email import is_address
from hepix_vm.exchange.notify.told import ToldFile
from hepix_vm.trust.model import Endorser
from tests.testbed.mail import certificate
from tests.testbed.mail import mail_server
from tests.testbed.mail import PASSWORD
from tests.testbed.mail import USER
from tests.testbed.site import ALICE
from tests.testbed.site import CA
from tests.unit.exchange.events import event
from tests.unit.exchange.events import GLANCE_ID
from tests.unit.exchange.events import image_list
from tests.unit.exchange.events import settings

OPERATORS = ['ops@example.org', 'night@example.org']


@pytest.fixture
def server():
    with mail_server() as server:
        yield server


def make(site, server, **options):
    return Email(settings(site, **{
        'smtp_server': 'localhost', 'smtp_port': str(server.port),
        'smtp_tls': 'none', 'operators': ','.join(OPERATORS),
        'mail_from': 'Example Site <images@example.org>', **options}))


def sent(server):
    """Return who got which subject."""
    return [(item.recipients, item.message['Subject'])
            for item in server.received]


def test_a_revocation_is_mailed_to_endorser_and_operators(site, server):
    of = image_list(title='Images of the VO')
    make(site, server).tell(event(
        Kind.IMAGE_REVOKED, Code.IMAGE_REVOKED, of=of,
        glance_image=GLANCE_ID, name='EGI Debian'))
    to_operators, to_endorser = server.received
    assert to_operators.recipients == OPERATORS
    assert to_endorser.recipients == ['alice@example.org']
    assert to_endorser.sender == 'images@example.org'
    message = to_endorser.message
    assert message['From'] == 'Example Site <images@example.org>'
    assert message['To'] == 'alice@example.org'
    assert message['Reply-To'] == ', '.join(OPERATORS)
    assert message['Subject'] == (
        '[hepix-vm] Example Site: An image was revoked')
    assert message['Auto-Submitted'] == 'auto-generated'
    assert message['Message-ID'].endswith('@example.org>')
    assert message['Date']
    assert message.get_content_type() == 'text/plain'
    text = message.get_content()
    entry, = of.images
    for part in ('An image was revoked.', '2026-11-21T19:00:05Z',
                 f'{of.identifier} version 1 (Images of the VO)',
                 f'{entry.identifier} version 1.0 (Testbed image)',
                 f'in Glance {GLANCE_ID} (EGI Debian)',
                 '[image-revoked] This is image-revoked. Use a newer '
                 'version of the image.', 'hepix-vm at Example Site'):
        assert part in text
    assert to_operators.message.get_content() == text


@pytest.mark.parametrize(('kind', 'code', 'endorser', 'operators'), [
    (Kind.LIST_REFUSED, Code.LIST_ROLLBACK, True, True),
    (Kind.IMAGE_REFUSED, Code.CHECKSUM_MISMATCH, True, True),
    # What this site has no room or no project for.
    (Kind.IMAGE_REFUSED, Code.TOO_LARGE, False, True),
    (Kind.IMAGE_REFUSED, None, False, True),
    (Kind.IMAGE_WAITS, None, False, True),
    (Kind.IMAGE_REVOKED, Code.IMAGE_REVOKED, True, True),
    (Kind.IMAGE_BLOCKED, Code.IMAGE_BLOCKED, True, True),
    (Kind.LIST_CLASHES, Code.UUID_CONFLICT, True, True),
    (Kind.LIST_STALE, Code.CRL_EXPIRED, False, True),
    (Kind.IMAGE_EXPIRED, Code.IMAGE_EXPIRED, False, True),
    (Kind.IMAGE_SUPERSEDED, Code.IMAGE_SUPERSEDED, False, False),
    (Kind.LIST_ACCEPTED, None, False, False),
    (Kind.IMAGE_LISTED, None, False, False),
    (Kind.IMAGE_AVAILABLE, None, False, False),
    (Kind.IMAGE_ENDORSED, None, False, False),
    (Kind.RUN_BEGINS, None, False, False),
    (Kind.RUN_ENDS, None, False, False),
])
def test_who_is_told_of_what(site, server, kind, code, endorser, operators):
    make(site, server).tell(event(kind, *([code] if code else [])))
    to = [item.recipients for item in server.received]
    assert (['alice@example.org'] in to) is endorser
    assert (OPERATORS in to) is operators


@pytest.mark.parametrize('code', sorted({
    Code.UNSIGNED, Code.SIGNATURE_INVALID, Code.UNTRUSTED_CA,
    Code.SIGNER_REVOKED, Code.SIGNER_EXPIRED, Code.CRL_MISSING,
    Code.SIGNING_POLICY, Code.ENDORSER_MISMATCH, Code.UUID_CONFLICT,
    Code.ENDORSER_NOT_ACCEPTED, Code.MALFORMED, Code.INTERNAL_ERROR}))
@pytest.mark.parametrize('kind', [Kind.LIST_REFUSED, Kind.IMAGE_BLOCKED])
def test_nobody_makes_us_write_to_whom_he_likes(site, server, kind, code):
    """The address counts only of a list whose signer is known."""
    make(site, server).tell(event(kind, Code.IMAGE_BLOCKED, code))
    assert [item.recipients for item in server.received] == [OPERATORS]


@pytest.mark.parametrize('address', [
    'alice@example.org', "o'hara+x@mail.example.org", 'root@localhost'])
def test_an_address(address):
    assert is_address(address)


@pytest.mark.parametrize('address', [
    '', 'alice', '@example.org', 'alice@', 'a@b@c', 'a@example.org,b@c.org',
    'a@example.org b@c.org', 'Alice <alice@example.org>',
    'a@example.org\nBcc: b@c.org', 'a@example.org\r\n', 'a@example.org\n',
    '"a b"@example.org', 'a..b@example.org', '.a@example.org',
    'a@-example.org', 'a@example..org', 'a@[127.0.0.1]', 'ä@example.org',
    'a@exämple.org', f'{"a" * 250}@example.org', '-oX/tmp/x @a.org',
    'a@example.org\0', 'mailto:a@example.org'])
def test_no_address(site, server, address):
    assert not is_address(address)
    of = image_list(endorser=Endorser(ALICE, CA, address))
    make(site, server).tell(event(
        Kind.IMAGE_REVOKED, Code.IMAGE_REVOKED, of=of))
    assert [item.recipients for item in server.received] == [OPERATORS]


def test_names_of_lists_make_no_headers(site, server):
    nasty = 'x\r\nBcc: victim@example.org\r\n\r\nBody\x1b[2J\u202e\udc80'
    of = image_list(title=nasty, version=nasty)
    make(site, server).tell(event(
        Kind.IMAGE_REVOKED, Code.IMAGE_REVOKED, of=of, name=nasty,
        glance_image=nasty))
    for item in server.received:
        assert item.message['Bcc'] is None
        assert 'victim' not in str(item.message.items())
        assert item.recipients in (OPERATORS, ['alice@example.org'])
        text = item.message.get_content()
        assert '\nBcc' not in text and '\nBody' not in text
        assert not {'\x1b', '\u202e', '\udc80'} & set(text)


def test_long_words_of_a_list_are_cut(site, server):
    make(site, server).tell(event(
        Kind.IMAGE_REVOKED, Code.IMAGE_REVOKED,
        of=image_list(title='t' * 100_000, version='v' * 100_000)))
    text = server.received[0].message.get_content()
    assert f'({"t" * 300}...)' in text
    assert len(text) < 2000


def test_a_run_is_one_message_to_each(site, server):
    notifier = make(site, server)
    notifier.tell(event(Kind.RUN_BEGINS))
    for _ in range(3):
        notifier.tell(event(Kind.IMAGE_REVOKED, Code.IMAGE_REVOKED))
    notifier.tell(event(Kind.LIST_STALE, Code.CRL_EXPIRED))
    assert server.received == []
    notifier.tell(event(Kind.RUN_ENDS))
    assert sent(server) == [
        (OPERATORS, '[hepix-vm] Example Site: 4 events'),
        (['alice@example.org'], '[hepix-vm] Example Site: 3 events')]
    assert server.received[0].message.get_content().count(
        'An image was revoked.') == 3
    assert server.connections == 1


def test_what_repeats_is_told_once(site, server):
    of = image_list()
    again = event(Kind.LIST_REFUSED, Code.LIST_ROLLBACK, of=of)
    for _ in range(2):
        notifier = make(site, server)
        for kind in (Kind.RUN_BEGINS, None, Kind.RUN_ENDS):
            notifier.tell(event(kind) if kind else again)
    assert len(server.received) == 2
    notifier.tell(event(Kind.LIST_REFUSED, Code.LIST_EXPIRED, of=of))
    assert len(server.received) == 4
    # After it was accepted the same is news again.
    notifier.tell(event(Kind.LIST_ACCEPTED, of=of))
    notifier.tell(again)
    assert len(server.received) == 6


def test_all_copies_of_an_image_are_one(site, server):
    notifier = make(site, server)
    of = image_list()
    for copy in ('a', 'b'):
        notifier.tell(event(Kind.IMAGE_REVOKED, Code.IMAGE_REVOKED, of=of,
                            glance_image=copy))
    assert len(server.received) == 2


def test_what_is_for_uploaders_is_left_out(site, server):
    notifier = make(site, server)
    notifier.tell(event(Kind.IMAGE_REVOKED, Code.NOT_ENDORSED,
                        Code.IMAGE_REVOKED))
    text = server.received[-1].message.get_content()
    assert '[image-revoked]' in text and '[not-endorsed]' not in text
    notifier.tell(event(Kind.IMAGE_REFUSED, Code.NOT_ENDORSED))
    assert '[not-endorsed]' in server.received[-1].message.get_content()


def test_lists_that_cannot_be_read_are_not_taken_for_each_other(site,
                                                                server):
    notifier = make(site, server)
    for uuid in ('a', 'b', 'a'):
        notifier.tell(event(Kind.LIST_REFUSED, Code.UNSIGNED,
                            image_list=None, list_uuid=uuid))
    assert [item.recipients for item in server.received] == [OPERATORS] * 2


def test_what_could_not_be_sent_is_sent_later(site, server):
    down = make(site, server, smtp_port='1')
    with pytest.raises(ServiceError, match='localhost:1 did not take'):
        down.tell(event(Kind.IMAGE_REVOKED, Code.IMAGE_REVOKED))
    notifier = make(site, server)
    notifier.tell(event(Kind.RUN_BEGINS))
    notifier.tell(event(Kind.RUN_ENDS))
    assert [item.recipients for item in server.received] == [
        OPERATORS, ['alice@example.org']]
    notifier.tell(event(Kind.RUN_ENDS))
    assert len(server.received) == 2


def test_one_address_does_not_stop_the_others(site, server, caplog):
    server.answers['ops@example.org'] = '450 later'
    server.answers['night@example.org'] = '450 later'
    notifier = make(site, server)
    with pytest.raises(ServiceError, match='SMTPRecipientsRefused'):
        notifier.tell(event(Kind.IMAGE_REVOKED, Code.IMAGE_REVOKED))
    assert [item.recipients for item in server.received] == [
        ['alice@example.org']]
    server.answers.clear()
    notifier.tell(event(Kind.RUN_ENDS))
    assert server.received[1].recipients == OPERATORS


def test_what_is_never_taken_is_given_up(site, server, caplog):
    server.answers['alice@example.org'] = '550 nobody'
    notifier = make(site, server)
    notifier.tell(event(Kind.IMAGE_REVOKED, Code.IMAGE_REVOKED))
    assert 'does not take mail for alice@example.org (550)' in caplog.text
    notifier.tell(event(Kind.RUN_ENDS))
    assert [item.recipients for item in server.received] == [OPERATORS]
    with ToldFile(str(site.state), 'email').open() as told:
        assert told.waiting() == {}


def test_the_queue_is_bounded(site, server):
    notifier = make(site, server)
    notifier.tell(event(Kind.RUN_BEGINS))
    for _ in range(260):
        notifier.tell(event(Kind.IMAGE_REVOKED, Code.IMAGE_REVOKED))
    notifier.tell(event(Kind.RUN_ENDS))
    to_operators, to_endorser = server.received
    assert '250 events' in to_operators.message['Subject']
    assert '20 more events are in the journal only.' in (
        to_operators.message.get_content())
    assert 'more events' not in to_endorser.message.get_content()
    with ToldFile(str(site.state), 'email').open() as told:
        assert told.missed() == 0


def test_a_broken_file_of_what_was_told(site, server, caplog):
    (site.state / 'told.db').write_text('{"told": 1}' * 100)
    make(site, server).tell(event(Kind.IMAGE_REVOKED, Code.IMAGE_REVOKED))
    assert len(server.received) == 2
    assert 'told.db is begun anew' in caplog.text
    assert (site.state / 'told.db').stat().st_mode & 0o777 == 0o640


@pytest.fixture
def tls(tmp_path, monkeypatch):
    context, bundle = certificate(tmp_path)
    monkeypatch.setenv('SSL_CERT_FILE', str(bundle))
    return context


def test_starttls_and_login(site, tls):
    with mail_server(starttls=tls, auth=True) as server:
        make(site, server, smtp_tls='starttls', smtp_user=USER,
             smtp_password=PASSWORD).tell(
            event(Kind.IMAGE_REVOKED, Code.IMAGE_REVOKED))
    assert [item.encrypted for item in server.received] == [True, True]


def test_tls_from_the_beginning(site, tls):
    with mail_server(tls=tls) as server:
        make(site, server, smtp_tls='tls').tell(
            event(Kind.IMAGE_REVOKED, Code.IMAGE_REVOKED))
    assert [item.encrypted for item in server.received] == [True, True]


@pytest.mark.parametrize('how', ['starttls', 'tls'])
@pytest.mark.parametrize('name', ['localhost', 'other.example.org'])
def test_a_server_that_is_not_verified_gets_nothing(site, tmp_path,
                                                    monkeypatch, name, how):
    """An unknown CA, or the name of another server."""
    context, bundle = certificate(tmp_path, name)
    if name != 'localhost':
        monkeypatch.setenv('SSL_CERT_FILE', str(bundle))
    with mail_server(**{how: context}) as server:
        with pytest.raises(ServiceError, match='SSLCertVerificationError'):
            make(site, server, smtp_tls=how).tell(
                event(Kind.IMAGE_REVOKED, Code.IMAGE_REVOKED))
    assert server.received == []


def test_a_server_without_starttls_gets_nothing(site, server):
    with pytest.raises(ServiceError, match='SMTPNotSupportedError'):
        make(site, server, smtp_tls='starttls').tell(
            event(Kind.IMAGE_REVOKED, Code.IMAGE_REVOKED))
    assert server.received == []


def test_a_password_is_in_no_message(site, tls, caplog):
    with mail_server(starttls=tls, auth=True) as server:
        with pytest.raises(ServiceError) as caught:
            make(site, server, smtp_tls='starttls', smtp_user=USER,
                 smtp_password='wrong-word').tell(
                event(Kind.IMAGE_REVOKED, Code.IMAGE_REVOKED))
    assert 'SMTPAuthenticationError, 535' in caught.value.message
    assert 'wrong-word' not in str(caught.value) + caplog.text


@pytest.mark.parametrize(('options', 'match'), [
    ({'mail_from': ''}, 'mail_from'),
    ({'mail_from': 'a@b@c'}, 'mail_from'),
    ({'operators': 'ops'}, 'ops is no mail address'),
    ({'smtp_user': USER}, 'smtp_password'),
    ({'smtp_password': PASSWORD}, 'smtp_user'),
    ({'smtp_user': USER, 'smtp_password': PASSWORD}, 'in the clear'),
])
def test_options_that_cannot_be_used(site, server, options, match):
    with pytest.raises(ConfigError, match=match) as caught:
        make(site, server, **options)
    assert PASSWORD not in str(caught.value)
