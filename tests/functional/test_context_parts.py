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

"""The ready parts of the context do their work in a real guest.

One boot of Debian: the prolog and the epilog run all parts, then the guest
looks at itself and sends what it saw. HTCondor and CVMFS are not in Debian:
there stand programs that record their calls, and what is written for them is
checked by its content.
"""

from collections.abc import Iterator
import contextlib
import functools
import re
from typing import NamedTuple

import pytest
import yaml

from tests.functional import guests
from tests.testbed.cache import ROOT
from tests.testbed.collector import Collector
from tests.testbed import drive
from tests.testbed import guest
from tests.testbed import pki
from tests.testbed.web import WebServer

ETC = ROOT / 'etc' / 'hepix_vm'
UUID = '6d5ff3a4-4b31-4b3c-9a9b-2f0c1f2b7a11'
NAME = """Bob's "best" server $(reboot) \\n"""
ENDORSER = '/C=EU/O=Example Grid/CN=Ålice "A" $(HOST)'
COLLECTOR = 'log.example.org'
SITE_FILES = '/run/hepix-vm/context'

# What an image has: services, accounts with keys, an application, and a
# process of a user who is to be blocked.
_USERS = """\
#!/bin/sh
[ "$1" = start ] || exit 0
ssh-keygen -q -t ed25519 -N '' -f /root/key
for user in alice mallory; do
    useradd -m -s /bin/sh $user
    install -d -m 700 -o $user /home/$user/.ssh
    install -m 600 -o $user /root/key.pub /home/$user/.ssh/authorized_keys
done
cp /bin/sleep /usr/local/sbin/work-of-mallory
setpriv --reuid mallory work-of-mallory 1000 > /dev/null 2>&1 &
while ! pidof work-of-mallory > /root/pid; do
    sleep 0.1
done
"""
_IMAGE = {
    'etc/hosts': (
        f'127.0.0.1 localhost\n{guest.HOST} {COLLECTOR}\n', 0o644),
    'etc/app.conf': ('# listen: no\nlisten: 0.0.0.0:80\n', 0o640),
    'etc/systemd/system/multi-user.target.d/services.conf': (
        '[Unit]\nWants=ssh.service chrony.service\n', 0o644),
    'etc/systemd/system/condor.service': (
        '[Service]\nExecStart=/usr/local/sbin/condor_master\n', 0o644),
    'usr/local/sbin/condor_master': (
        '#!/bin/sh\ncp /bin/sleep /run/condor_startd\n'
        'mount -o remount,exec /run\n'
        '/run/condor_startd 1000 &\nwait\n', 0o755),
    'usr/local/sbin/condor_off': (
        '#!/bin/sh\necho "$*" > /root/off\nkill $(pidof condor_startd)\n',
        0o755),
    'usr/local/bin/cvmfs_config': (
        '#!/bin/sh\necho "$1" >> /root/cvmfs\n', 0o755),
}

# What the guest looks at when all is started.
_METRICS = 'busybox wget -q -O - http://127.0.0.1:9100/metrics'
_SSH = ('ssh -i /root/key -o BatchMode=yes -o StrictHostKeyChecking=no '
        '-o LogLevel=ERROR')
_LATE = """\
useradd -m -s /bin/sh later
cp -a /home/alice/.ssh /home/later/
chown -R later /home/later/.ssh"""
_AGAIN = """\
old=$(systemctl show -P MainPID rsyslog)
cd {folder}
. ./context/variables.sh
export HEPIX_SITE_SYSLOG_PROTOCOL={protocol} HEPIX_SITE_SYSLOG_PORT={port}
./context/prolog.d/10-syslog.sh start
limit=100
while [ "$(systemctl show -P MainPID rsyslog)" = "$old" ] \\
        || ! systemctl -q is-active rsyslog; do
    limit=$((limit - 1))
    [ "$limit" -gt 0 ] || exit 1
    sleep 0.2
done
rsyslogd -N1
logger -t hello to {name}
for i in $(seq 120); do
    {met} && exit
    sleep 0.5
done
exit 1"""
_ARRIVED = f'busybox wget -q -O - http://{guest.HOST}:{{port}}/{{name}}'
_REFUSED = 'grep -q "peer name not authorized" /var/log/syslog'
_CHECKS = {
    'rsyslogd': 'rsyslogd -N1',
    'sshd': 'sshd -t && sshd -T | grep denyusers',
    'chronyd': 'chronyd -p > /dev/null && chronyc -n sources',
    'mallory was at work': 'cat /root/pid',
    'mallory works': 'pidof work-of-mallory',
    'account': 'passwd -S mallory; chage -l mallory | grep Account',
    'su mallory': 'su -s /bin/sh -c "echo in" mallory',
    'ssh alice': f'{_SSH} alice@127.0.0.1 echo in',
    'ssh mallory': f'{_SSH} mallory@127.0.0.1 echo in',
    'ssh later': f'{_LATE}; {_SSH} later@127.0.0.1 echo in',
    'toor': 'useradd -o -u 0 toor; HEPIX_SITE_BLOCKED_USERS=toor '
            f'/bin/sh {SITE_FILES}/context/prolog.d/40-block-user.sh start',
    'metrics': f'for i in $(seq 60); do ! {_METRICS} || break; sleep 1; done '
               '2> /dev/null | grep -E "^hepix_vm|^node_textfile_scrape"',
    'app': 'cat /etc/app.conf; stat -c %a /etc/app.conf',
    'cvmfs': '. /etc/cvmfs/default.d/90-hepix-vm.conf\n'
             'echo "$CVMFS_HTTP_PROXY $CVMFS_REPOSITORIES"; cat /root/cvmfs',
    'condor': 'for i in $(seq 60); do pidof condor_startd > /root/startd '
              '&& break; sleep 1; done; systemctl is-active condor\n'
              'cat /etc/condor/config.d/90-hepix-vm.conf\n'
              'stat -c "%a %U" /run/hepix-vm-condor/*',
    'condor stops': f'cd {SITE_FILES}; . ./context/variables.sh\n'
                    './context/epilog.d/60-condor.sh stop; cat /root/off\n'
                    'pidof condor_startd; ls -d /run/hepix-vm-condor',
    'services': 'systemctl --failed --no-legend',
}


class World(NamedTuple):
    """What came of the boot.

    :param seen: what each look of the guest at itself gave
    :param lines: what the collectors got: that by TCP, one by TLS, one
        that has another name in its certificate, and that by UDP
    """

    console: str
    seen: dict[str, str]
    lines: dict[str, list[str]]


def variables(port: int) -> dict[str, str]:
    """Return the variables of the sample, of which some are set."""
    sample = yaml.safe_load((ETC / 'context.yaml').read_text())
    return {f'HEPIX_{kind}_{name.upper()}': value
            for kind, key in (('SITE', 'variables'), ('SECRET', 'secrets'))
            for name, value in sample[key].items()} | {
        'HEPIX_SERVER_UUID': UUID, 'HEPIX_SERVER_NAME': NAME,
        'HEPIX_SERVER_PROJECT': '8c2f', 'HEPIX_SERVER_ZONE': 'nova',
        'HEPIX_SERVER_ADDRESSES': '2001:db8::5/64 10.0.2.15/24',
        'HEPIX_IMAGE_UUID': '1f6a', 'HEPIX_IMAGE_IDENTIFIER': '2b9c',
        'HEPIX_IMAGE_ENDORSER': ENDORSER,
        'HEPIX_IMAGE_VO': 'vo.example.org',
        'HEPIX_SITE_SYSLOG_SERVER': COLLECTOR,
        'HEPIX_SITE_SYSLOG_PORT': str(port),
        'HEPIX_SITE_SYSLOG_CA': 'ca.pem',
        'HEPIX_SITE_NTP_SERVERS': guest.HOST,
        'HEPIX_SITE_BLOCKED_USERS': 'mallory later',
        'HEPIX_SITE_SQUID': 'http://a:3128|http://b:3128;DIRECT',
        'HEPIX_SITE_CVMFS_REPOSITORIES': 'a.example.org',
        'HEPIX_SITE_CONDOR_HOST': 'pool.example.org',
        'HEPIX_SECRET_CONDOR_TOKEN': 'eyJ.token-of-the-pool',
        'HEPIX_SITE_LISTEN_FILE': '/etc/app.conf',
        'HEPIX_SITE_LISTEN_KEY': 'listen',
        'HEPIX_SITE_LISTEN_VALUE': '@ADDRESS@:80'}


def parts(moment: str) -> dict[str, str]:
    """Return the parts that say of themselves that they are for a moment."""
    texts = {path.name: path.read_text()
             for path in sorted((ETC / 'context').iterdir())}
    return {name: text for name, text in texts.items()
            if f'\n# In the {moment}' in text}


def looks(collectors: dict[str, Collector], port: int, web: int) -> str:
    """Return the script that looks at all, and sends what it saw.

    :param port: where it sends that
    :param web: of a web server that knows the collectors that were reached
    """
    again = {
        f'to {name}': _AGAIN.format(
            folder=SITE_FILES, name=name, port=collector.port,
            protocol='udp' if name == 'udp' else 'tls',
            met=_REFUSED if name == 'imposter' else _ARRIVED.format(
                port=web, name=name))
        for name, collector in collectors.items() if name != 'tcp'}
    return 'exec > /root/seen 2>&1\n' + ''.join(
        f"echo '== {name}'\n(\n{command}\n)\necho \"status $?\"\n"
        for name, command in (_CHECKS | again).items()) + (
            f'busybox nc {guest.HOST} {port} < /root/seen\n')


def note(web: WebServer, line: str) -> None:
    """Let the guest know which of its greetings have arrived."""
    greeting = re.search(r' hello - - -  to (\S+)$', line)
    if greeting:
        web.contents[f'/{greeting[1]}'] = b'arrived\n'


@pytest.fixture(scope='module')
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp('parts')
    authority = pki.Authority.create('/CN=CA of the collector')
    with contextlib.ExitStack() as stack:
        web = stack.enter_context(WebServer())
        collectors = {
            name: stack.enter_context(Collector(
                name if name in ('tcp', 'udp') else 'tls',
                authority.issue(f'/CN={name}', eku=['serverAuth']).write(
                    folder, name), functools.partial(note, web)))
            for name in ('tcp', COLLECTOR, 'imposter', 'udp')}
        results = stack.enter_context(Collector())
        disk = drive.by_hepix_vm(folder / 'drive.iso', drive.contextual(
            {'05-users.sh': _USERS} | parts('prolog'), parts('epilog'),
            variables(collectors['tcp'].port),
        ) | {'context/files/ca.pem': (authority.pem, 0o644)})
        console = guest.boot_debian([disk], files={
            name: (text.encode(), mode)
            for name, (text, mode) in _IMAGE.items()
        } | guests.at_end(looks(collectors, results.port, web.port)))
    found = re.split(r'^== (.*)\n', '\n'.join(results.lines) + '\n',
                     flags=re.MULTILINE)
    seen = dict(zip(found[1::2], found[2::2], strict=True))
    assert set(seen) > set(_CHECKS), console
    yield World(console, seen, {
        name: collector.lines
        for name, collector in collectors.items()})


def test_all_parts_end_well(world: World) -> None:
    assert 'failed with status' not in world.console
    for part in parts('prolog') | parts('epilog'):
        assert f'{part}: ' in world.console
    assert world.seen['services'] == 'status 0\n'
    assert 'token-of-the-pool' not in world.console


def test_logs_arrive(world: World) -> None:
    """From before there was a network, and under the UUID of the server."""
    said = [line.split(' - -  ')[-1] for line in world.lines['tcp']]
    assert said.index('hepix-vm: prolog ended with status 0') < next(
        number for number, line in enumerate(said) if 'DHCPv4' in line)
    assert {line.split()[2] for line in world.lines['tcp']} == {UUID}
    assert 'End of config validation run' in world.seen['rsyslogd']


@pytest.mark.parametrize('name', [COLLECTOR, 'udp'])
def test_logs_arrive_by_other_ways(world: World, name: str) -> None:
    assert 'End of config validation' in world.seen[f'to {name}']
    assert world.seen[f'to {name}'].endswith('arrived\nstatus 0\n')
    assert [line for line in world.lines[name]
            if line.endswith(f' hello - - -  to {name}')
            and f' {UUID} ' in line]


def test_an_imposter_gets_no_logs(world: World) -> None:
    """Its certificate is of the same CA, but for another name."""
    assert world.seen['to imposter'].endswith('status 0\n')
    assert world.lines['imposter'] == []


def test_the_agent_answers(world: World) -> None:
    text = world.seen['metrics']
    assert 'node_textfile_scrape_error 0\n' in text
    info, = re.findall(r'^hepix_vm_info\{(.*)\} 1$', text, re.MULTILINE)
    assert dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', info)) == {
        'server': UUID, 'project': '8c2f', 'zone': 'nova', 'image': '1f6a',
        'name': NAME.replace('\\', '\\\\').replace('"', '\\"'),
        'identifier': '2b9c', 'endorser': ENDORSER.replace('"', '\\"'),
        'vo': 'vo.example.org'}


def test_time_comes_from_the_site(world: World) -> None:
    assert re.search(rf'^\^. {guest.HOST} ', world.seen['chronyd'],
                     re.MULTILINE)
    assert world.seen['chronyd'].endswith('status 0\n')


def test_a_user_is_blocked(world: World) -> None:
    assert re.match(r'\d+\nstatus 0', world.seen['mallory was at work'])
    assert world.seen['mallory works'] == 'status 1\n'
    assert world.seen['account'].startswith('mallory L ')
    assert 'Jan 02, 1970' in world.seen['account']
    assert 'denyusers mallory\ndenyusers later\nstatus 0' in (
        world.seen['sshd'])
    assert world.seen['ssh alice'] == 'in\nstatus 0\n'
    for look in ('ssh mallory', 'ssh later', 'su mallory'):
        assert not world.seen[look].startswith('in\n'), look
        assert not world.seen[look].endswith('status 0\n'), look


def test_root_is_not_blocked_under_another_name(world: World) -> None:
    assert world.seen['toor'].endswith(
        'toor is root, and cannot be blocked\nstatus 2\n')


def test_an_address_is_rewritten(world: World) -> None:
    assert world.seen['app'] == (
        '# listen: no\nlisten: 10.0.2.15:80\n640\nstatus 0\n')


def test_what_is_written_for_cvmfs(world: World) -> None:
    assert world.seen['cvmfs'] == (
        'http://a:3128|http://b:3128;DIRECT a.example.org\n'
        'reload\nprobe\nstatus 0\n')


def test_what_is_written_for_condor(world: World) -> None:
    text = world.seen['condor']
    assert text.startswith('active\n# Written by 60-condor.sh ')
    assert text.endswith('600 root\nstatus 0\n')
    for line in (
            'CONDOR_HOST = pool.example.org',
            'START = TARGET.x509UserProxyVOName =?= "vo.example.org"',
            'HepixEndorser = "/C=EU/O=Example Grid/CN=Ålice \\"A\\" '
            '$(DOLLAR)(HOST)"'):
        assert f'\n{line}\n' in text
    stopped = world.seen['condor stops']
    assert '-graceful -daemon startd\n' in stopped
    assert "cannot access '/run/hepix-vm-condor'" in stopped
