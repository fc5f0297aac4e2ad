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

"""The ready parts of the context: what they do with any value."""

import pathlib
import stat

import pytest

from tests.unit.parts import PARTS
from tests.unit.parts import Server

UUID = '6d5ff3a4-4b31-4b3c-9a9b-2f0c1f2b7a11'
RSYSLOG = '/etc/rsyslog.d/00-hepix-vm.conf'
JOURNALD = '/etc/systemd/journald.conf.d/hepix-vm.conf'
SSHD = '/etc/ssh/sshd_config.d/00-hepix-vm.conf'
CVMFS = '/etc/cvmfs/default.d/90-hepix-vm.conf'
CONDOR = '/etc/condor/config.d/90-hepix-vm.conf'
TOKEN = '/run/hepix-vm-condor/hepix-vm'
CHRONY = '/etc/chrony/sources.d/hepix-vm.sources'
PROM = '/var/lib/prometheus/node-exporter/hepix_vm.prom'


# What makes each part do its work.
WORK = {
    '10-syslog.sh': {'SERVER_UUID': UUID,
                     'SITE_SYSLOG_SERVER': 'log.example.org'},
    '20-monitoring.sh': {'SERVER_UUID': UUID},
    '30-time.sh': {'SITE_NTP_SERVERS': 'ntp.example.org 2001:db8::1'},
    '40-block-user.sh': {'SITE_BLOCKED_USERS': 'mallory no.such-user'},
    '50-cvmfs.sh': {'SITE_SQUID': 'http://a:3128|http://[2001:db8::1]:3128'
                    ';DIRECT', 'SITE_CVMFS_REPOSITORIES': 'a.example.org'},
    '60-condor.sh': {'SITE_CONDOR_HOST': 'pool.example.org',
                     'SECRET_CONDOR_TOKEN': 'eyJhbGciOi.J9-_.x='},
    '70-listen-address.sh': {
        'SITE_LISTEN_FILE': '{root}/etc/app.conf',
        'SITE_LISTEN_KEY': 'listen', 'SERVER_ADDRESSES': '192.0.2.5/24'},
}


def work(server: Server, part: str) -> dict[str, str]:
    server.write('/etc/app.conf', 'listen = 0.0.0.0\n')
    return {name: value.replace('{root}', str(server.root))
            for name, value in WORK[part].items()}


@pytest.mark.parametrize('part', PARTS)
def test_twice_is_as_good_as_once(server, part):
    values = work(server, part)
    before = server.files()
    assert server.run(part, **values).returncode == 0
    written = server.files()
    assert written != before
    server.calls()
    assert server.run(part, **values).returncode == 0
    assert server.files() == written
    # What has not changed is not restarted.
    assert not [call for call in server.calls() if 'restart' in call]


@pytest.mark.parametrize('part', PARTS)
def test_stop_says_what_it_does(server, part):
    values = work(server, part)
    server.run(part, **values)
    before = server.files()
    before.pop(TOKEN, None)
    done = server.run(part, 'stop', **values)
    assert done.returncode == 0
    assert done.stdout.startswith(f'{part}: stop: ')
    assert server.files() == before


@pytest.mark.parametrize('part', PARTS)
@pytest.mark.parametrize('verb', ['', 'restart'])
def test_other_words_than_start_and_stop_are_refused(server, part, verb):
    done = server.run(part, verb, **work(server, part))
    assert done.returncode == 2
    assert done.stderr == f'{part}: usage: start or stop\n'


@pytest.mark.parametrize('part', sorted(set(PARTS) - {'20-monitoring.sh'}))
def test_without_values_nothing_is_left_of_an_earlier_site(server, part):
    before = server.files()
    server.run(part, **WORK[part])
    done = server.run(part)
    assert done.returncode == 0
    assert ' is empty: ' in done.stdout
    assert server.files() == before


@pytest.mark.parametrize(('part', 'status'), [
    ('10-syslog.sh', 1), ('20-monitoring.sh', 0), ('30-time.sh', 1),
    ('40-block-user.sh', 0), ('50-cvmfs.sh', 1), ('60-condor.sh', 1),
])
def test_the_program_is_not_installed(bare, part, status):
    bare.write('/etc/passwd')
    done = bare.run(part, **work(bare, part))
    assert done.returncode == status
    assert len((done.stdout + done.stderr).splitlines()) == (
        3 if part == '40-block-user.sh' else 1)
    assert set(bare.files()) == {'/etc/app.conf', '/etc/passwd'}


NASTY = ['a b', '-x', 'a"b', "a'b", 'a$(touch x)b', 'a`touch x`b', 'a\\',
         'a\nb', 'ä', 'a#b', '*', 'a;b\n', '$HOME', '!a']


@pytest.mark.parametrize(('part', 'name', 'refused'), [
    ('10-syslog.sh', 'SITE_SYSLOG_SERVER', NASTY),
    ('10-syslog.sh', 'SITE_SYSLOG_PORT',
     [*NASTY, '0', '65536', '-1', '514x', '0514', '1000000000000000000000']),
    ('10-syslog.sh', 'SITE_SYSLOG_PROTOCOL', [*NASTY, 'relp', 'UDP']),
    ('10-syslog.sh', 'SERVER_UUID', [v for v in NASTY if v != '-x']),
    ('20-monitoring.sh', 'SITE_MONITORING_FOLDER', NASTY),
    ('30-time.sh', 'SITE_NTP_SERVERS',
     [v for v in NASTY if v not in ('a b', 'a\nb')]),
    ('40-block-user.sh', 'SITE_BLOCKED_USERS',
     [*(v for v in NASTY if v not in ('a b', 'a\nb')), 'root', 'a root',
      '0', '1000', 'user@host', 'us?r', 'AD\\user']),
    ('50-cvmfs.sh', 'SITE_SQUID', [v for v in NASTY if v != '-x']),
    ('50-cvmfs.sh', 'SITE_CVMFS_REPOSITORIES',
     [v for v in NASTY if v != '-x']),
    ('50-cvmfs.sh', 'SITE_CVMFS_QUOTA', NASTY),
    ('60-condor.sh', 'SITE_CONDOR_HOST', NASTY),
    ('60-condor.sh', 'SITE_CONDOR_START', ['a\nb', 'a\\']),
    ('60-condor.sh', 'SITE_CONDOR_DRAIN', NASTY),
    ('60-condor.sh', 'SECRET_CONDOR_TOKEN',
     [v for v in NASTY if v != '-x']),
    ('60-condor.sh', 'IMAGE_ENDORSER', ['a\nb']),
    ('70-listen-address.sh', 'SITE_LISTEN_FILE', NASTY),
    ('70-listen-address.sh', 'SITE_LISTEN_KEY', ['', 'a\nb']),
    ('70-listen-address.sh', 'SITE_LISTEN_VALUE', ['a\nb']),
])
def test_what_a_file_cannot_hold_is_refused(server, part, name, refused):
    values = work(server, part)
    before = server.files()
    for value in refused:
        done = server.run(part, **(values | {name: value}))
        assert done.returncode == 2, value
        assert len(done.stderr.splitlines()) == 1, value
        assert done.stdout == '', value
        if name.startswith('SECRET') and len(value) > 3:
            assert value not in done.stderr
        assert server.files() == before, value
        assert server.calls() == []
        assert not (server.root / 'x').exists()


@pytest.mark.parametrize('part', PARTS)
def test_services_can_read_what_is_written_for_them(server, part):
    """Whatever the umask: that of the runner in the guest is 077."""
    known = {path for path in server.root.rglob('*') if path.is_dir()}
    server.run(part, **work(server, part))
    for path in server.root.rglob('*'):
        if path.is_dir() and path not in known and path.name not in (
                'context', 'prolog.d', 'hepix-vm-condor'):
            assert stat.S_IMODE(path.stat().st_mode) == 0o755, path


def test_logs_are_sent(server):
    done = server.run('10-syslog.sh', **WORK['10-syslog.sh'])
    assert done.returncode == 0
    assert f'% {UUID} %APP-NAME%' in server.read(RSYSLOG)
    assert 'target="log.example.org" port="514" protocol="tcp"' in (
        server.read(RSYSLOG))
    assert 'ForwardToSyslog=yes' in server.read(JOURNALD)
    assert server.calls() == [
        'systemctl --no-block try-restart rsyslog.service',
        'systemctl --no-block try-restart systemd-journald.service']


def test_the_journal_is_not_sent_twice(server):
    server.write('/etc/rsyslog.d/journal.conf', 'module(load="imjournal")\n')
    server.run('10-syslog.sh', **WORK['10-syslog.sh'])
    assert JOURNALD not in server.files()


def test_logs_by_tls(server):
    values = WORK['10-syslog.sh'] | {
        'SITE_SYSLOG_PROTOCOL': 'tls', 'SITE_SYSLOG_CA': 'ca.pem'}
    assert 'no file ca.pem came' in server.run(
        '10-syslog.sh', **values).stderr
    server.write('context/files/ca.pem', 'a certificate\n')
    done = server.run('10-syslog.sh', **values)
    assert done.returncode == 1
    assert 'rsyslog has no TLS' in done.stderr
    server.write('/usr/lib/x86_64-linux-gnu/rsyslog/lmnsd_gtls.so')
    assert server.run('10-syslog.sh', **values).returncode == 0
    text = server.read(RSYSLOG)
    assert ('\nglobal(DefaultNetstreamDriverCAFile='
            f'"{server.root}/etc/rsyslog.d/hepix-vm-ca.pem")\n') in text
    assert 'StreamDriver="gtls" StreamDriverMode="1"' in text
    assert 'StreamDriverAuthMode="x509/name"' in text
    assert 'StreamDriverPermittedPeers="log.example.org"' in text
    assert 'port="6514" protocol="tcp"' in text
    assert server.read('/etc/rsyslog.d/hepix-vm-ca.pem') == 'a certificate\n'
    for name in ('../x', '.x', '', 'a b'):
        assert server.run('10-syslog.sh', **(
            values | {'SITE_SYSLOG_CA': name})).returncode == 2


def test_labels_are_escaped(server):
    server.run('20-monitoring.sh', SERVER_NAME='a "b" \\n $(id)\n\nc\n',
               IMAGE_ENDORSER='/CN=Ünal')
    text = server.read(PROM)
    assert 'name="a \\"b\\" \\\\n $(id)\\n\\nc\\n",project=""' in text
    assert 'endorser="/CN=Ünal"' in text
    assert len(text.splitlines()) == 3
    assert server.calls() == [
        'systemctl --no-block start prometheus-node-exporter.service']


def test_time(server):
    server.run('30-time.sh', **WORK['30-time.sh'])
    assert server.read(CHRONY).splitlines()[1:3] == [
        'server ntp.example.org iburst prefer',
        'server 2001:db8::1 iburst prefer']


def test_time_without_a_folder_for_sources(server):
    server.write('/etc/chrony/chrony.conf', 'pool ntp.example.org\n')
    done = server.run('30-time.sh', **WORK['30-time.sh'])
    assert (done.returncode, 'names no sourcedir' in done.stderr) == (1, True)


def test_time_by_timesyncd(server):
    (server.root / 'bin' / 'chronyd').unlink()
    server.write('/usr/lib/systemd/systemd-timesyncd')
    server.run('30-time.sh', **WORK['30-time.sh'])
    assert 'NTP=ntp.example.org 2001:db8::1\n' in server.read(
        '/etc/systemd/timesyncd.conf.d/hepix-vm.conf')


def test_users_are_blocked(server):
    server.write('/etc/passwd', 'mallory:x:4242:4242::/:/bin/sh\n')
    assert server.run('40-block-user.sh',
                      **WORK['40-block-user.sh']).returncode == 0
    assert 'DenyUsers mallory no.such-user\n' in server.read(SSHD)
    assert server.calls() == [
        'systemctl --no-block try-restart ssh.service',
        'usermod -L -e 1 mallory']


def test_an_account_that_cannot_be_locked(server):
    server.write('/etc/passwd', 'mallory:x:4242:4242::/:/bin/sh\n')
    server.program('usermod', 'exit 1')
    done = server.run('40-block-user.sh', **WORK['40-block-user.sh'])
    assert done.returncode == 1
    assert 'mallory: the account could not be locked' in done.stderr
    assert 'mallory is blocked' not in done.stdout


@pytest.mark.parametrize('config', [
    'Port 22\n', 'Match User x\nInclude /etc/ssh/sshd_config.d/*.conf\n'])
def test_users_are_blocked_where_sshd_has_no_drop_ins(server, config):
    path = server.write('/etc/ssh/sshd_config', config)
    path.chmod(0o600)
    for _ in range(2):
        server.run('40-block-user.sh', **WORK['40-block-user.sh'])
        assert path.read_text() == (
            "# hepix-vm: begin, written by 40-block-user.sh of the site's "
            'context\nDenyUsers mallory no.such-user\n# hepix-vm: end\n'
            + config)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    server.run('40-block-user.sh')
    assert path.read_text() == config


def test_cvmfs(server):
    values = WORK['50-cvmfs.sh'] | {'SITE_CVMFS_QUOTA': '20000'}
    assert server.run('50-cvmfs.sh', **values).returncode == 0
    assert server.read(CVMFS).splitlines()[1:] == [
        "CVMFS_HTTP_PROXY='http://a:3128|http://[2001:db8::1]:3128;DIRECT'",
        "CVMFS_REPOSITORIES='a.example.org'", "CVMFS_QUOTA_LIMIT='20000'"]
    assert server.calls() == ['cvmfs_config reload', 'cvmfs_config probe']


def test_cvmfs_is_told_otherwise_by_the_image(server):
    server.write('/etc/cvmfs/default.local', 'CVMFS_HTTP_PROXY=DIRECT\n')
    done = server.run('50-cvmfs.sh', **WORK['50-cvmfs.sh'])
    assert done.returncode == 1
    assert "sets CVMFS_HTTP_PROXY: the image's value holds" in done.stderr


def test_cvmfs_does_not_answer(server):
    server.program('cvmfs_config', '[ "$1" != probe ]')
    done = server.run('50-cvmfs.sh', **WORK['50-cvmfs.sh'])
    assert done.returncode == 1
    assert 'a repository does not answer' in done.stderr


def test_condor(server):
    done = server.run(
        '60-condor.sh', IMAGE_VO='vo.example.org',
        IMAGE_ENDORSER='/CN=A "B" $(HOST) \\', **WORK['60-condor.sh'])
    assert done.returncode == 0
    text = server.read(CONDOR)
    assert 'CONDOR_HOST = pool.example.org\n' in text
    assert 'HepixEndorser = "/CN=A \\"B\\" $(DOLLAR)(HOST) \\\\"\n' in text
    assert 'HepixImage = ""\n' in text
    assert 'START = TARGET.x509UserProxyVOName =?= "vo.example.org"\n' in text
    assert server.calls() == ['systemctl --no-block restart condor.service']
    # The token is for root alone, and said nowhere else.
    token = WORK['60-condor.sh']['SECRET_CONDOR_TOKEN']
    assert server.files()[TOKEN] == (f'{token}\n', 0o600)
    assert stat.S_IMODE(server.path(TOKEN).parent.stat().st_mode) == 0o700
    assert token not in done.stdout + done.stderr + text


def test_what_condor_is_started_by_does_not_know_the_token(server):
    server.program('systemctl', f'env > {server.root}/environment')
    server.run('60-condor.sh', **WORK['60-condor.sh'])
    assert 'HEPIX_SITE_CONDOR_HOST' in server.read('environment')
    assert WORK['60-condor.sh']['SECRET_CONDOR_TOKEN'] not in server.read(
        'environment')


def test_condor_keeps_its_jobs_when_nothing_has_changed(server):
    for verb in ('restart', 'start'):
        server.run('60-condor.sh', **WORK['60-condor.sh'])
        assert server.calls() == [
            f'systemctl --no-block {verb} condor.service']


# The shell of busybox runs its own pidof, whatever PATH says.
@pytest.mark.parametrize('bare', ['dash'], indirect=True)
def test_condor_stops_within_its_time(server):
    server.run('60-condor.sh', **WORK['60-condor.sh'])
    server.calls()
    server.program('pidof', 'exit 0')
    done = server.run('60-condor.sh', 'stop', SITE_CONDOR_DRAIN='2')
    assert done.returncode == 0
    assert server.calls().count('pidof condor_startd') == 3
    assert TOKEN not in server.files()


def listen(server: Server, text: str, **values: str) -> str:
    path: pathlib.Path = server.write('/etc/app.conf', text)
    path.chmod(0o640)
    link = server.path('/etc/link.conf')
    link.unlink(missing_ok=True)
    link.symlink_to(path)
    done = server.run('70-listen-address.sh', **({
        'SITE_LISTEN_FILE': str(link), 'SITE_LISTEN_KEY': 'listen.on',
        'SERVER_ADDRESSES': '2001:db8::5/64 192.0.2.5/24 192.0.2.6/24',
    } | values))
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    return f'{done.returncode}\n{path.read_text()}'


def test_an_address_is_rewritten(server):
    text = ('# listen.on = 1\n  listen.on = 0.0.0.0 # x\nlisten_on = 1\n'
            'listen.on: "*"\nlisten.on\tall\nlisten.onward = 1')
    assert listen(server, text) == (
        '0\n# listen.on = 1\n  listen.on = 192.0.2.5\nlisten_on = 1\n'
        'listen.on: 192.0.2.5\nlisten.on\t192.0.2.5\nlisten.onward = 1\n')
    assert listen(server, 'a & \\1|b=1\n', SITE_LISTEN_KEY='a & \\1|b',
                  SITE_LISTEN_VALUE='& \\n$(id)/@ADDRESS@:80 @ADDRESS@;') == (
        '0\na & \\1|b=& \\n$(id)/192.0.2.5:80 192.0.2.5;\n')


def test_an_address_that_cannot_be_written(server):
    assert listen(server, 'other = 1\n') == '1\nother = 1\n'
    assert listen(server, 'listen.on = 1\n', SERVER_ADDRESSES='2001:db8::5',
                  ) == '1\nlisten.on = 1\n'
    assert set(server.files()) >= {'/etc/app.conf'}
    assert not [name for name in server.files() if name.endswith('.new')]


@pytest.mark.parametrize('target', ['shadow', 'none'])
def test_the_agent_s_user_cannot_lead_root_out_of_his_folder(server, target):
    """He puts a link where the new file will be, as soon as it is free."""
    shadow = server.write('/etc/shadow', 'secret')
    shadow.chmod(0o600)
    new = server.path(PROM).parent / '.hepix_vm.prom.new'
    server.program('rm', f'{server.applets}/rm "$@"\n'
                   f'{server.applets}/ln -sf {shadow.parent}/{target} {new}')
    # Busybox has its own rm, which no program replaces.
    done = server.run('20-monitoring.sh', **WORK['20-monitoring.sh'])
    assert (done.returncode == 0) == ('busybox' in server.shell)
    assert shadow.read_text() == 'secret'
    assert shadow.stat().st_mode & 0o777 == 0o600
    assert not (shadow.parent / 'none').exists()
