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

"""What commands have in common, and the units that start one of them."""

import configparser
import datetime
import logging
import pathlib
import shlex

import pytest

from hepix_vm.cmd import adopt
from hepix_vm.cmd import common
from hepix_vm.cmd import sync
from hepix_vm.errors import Code
from hepix_vm.errors import ConfigError
from hepix_vm.exchange.audit import state_of
from hepix_vm.exchange import report
from hepix_vm.exchange.steady import SteadyGate
from hepix_vm.gate import Gate
from hepix_vm.held import Held
from hepix_vm.held import judge
from hepix_vm import opts
from hepix_vm.site import SiteFiles
from hepix_vm.trust.verdict import Exemption
from hepix_vm.trust.verdict import Mode
from hepix_vm.trust.verdict import Reason
from hepix_vm.trust.verdict import Verdict
from tests.testbed import pki
from tests.testbed.site import file_entry

ETC = pathlib.Path(__file__).parents[2] / 'etc' / 'hepix_vm'


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(
        strict=False, interpolation=None, delimiters='=')
    parser.optionxform = str
    parser.read(ETC / name)
    return parser


def test_the_service_sweeps(monkeypatch):
    service = unit('hepix-vm-sweep.service')['Service']
    program, *arguments = shlex.split(service['ExecStart'])
    done = []
    monkeypatch.setattr(sync, '_sweep', lambda given: done.append(given) or 0)
    assert program == 'hepix-vm-sync'
    assert sync.main(arguments) == 0
    assert done[0].sweep and not done[0].dry_run
    state_dir, = (opt.default for opt in opts.OPTS
                  if opt.dest == 'state_dir')
    assert service['ReadWritePaths'] == state_dir
    assert service['Type'] == 'oneshot'


def test_the_timer_starts_the_service_every_five_minutes():
    assert unit('hepix-vm-sweep.timer')['Timer']['OnCalendar'] == '*:0/5'
    assert (ETC / 'hepix-vm-sweep.service').exists()


def raised(error):
    def work():
        raise error
    return work


def test_errors_are_one_line(capsys):
    common.log_to_stderr(debug=False)
    assert common.guarded('sync', raised(ConfigError(
        'This is wrong.', '/file', 3))) == 3
    assert capsys.readouterr().err == (
        'sync: /file:3: This is wrong. Correct the setting; hepix-vm '
        'refuses to guess.\n')
    assert common.guarded('sync', lambda: 1) == 1


@pytest.mark.parametrize('debug', [False, True])
def test_a_stack_is_shown_on_request_only(capsys, debug):
    common.log_to_stderr(debug)
    assert common.guarded('sync', raised(KeyError('what'))) == 2
    err = capsys.readouterr().err
    assert 'hepix-vm failed' in err
    assert ('Traceback' in err) is debug
    assert ("KeyError: 'what'" in err)
    assert (err.count('\n') == 1) is not debug


@pytest.fixture(autouse=True)
def quiet():
    """Give the root logger back as it was."""
    root = logging.getLogger()
    kept = root.handlers[:], root.level
    yield
    root.handlers[:], level = kept
    root.setLevel(level)


def test_who_adopts(monkeypatch):
    monkeypatch.setenv('SUDO_USER', 'carol')
    assert adopt.user() == 'carol'
    monkeypatch.delenv('SUDO_USER')
    monkeypatch.setattr('os.getuid', lambda: 4_000_000)
    assert adopt.user() == 'uid 4000000'


def test_the_last_day_counts():
    assert adopt._until('2099-12-31') == datetime.datetime(
        2100, 1, 1, tzinfo=datetime.UTC)
    today = f'{pki.utcnow():%Y-%m-%d}'
    assert adopt._until(today) > pki.utcnow()
    with pytest.raises(ConfigError, match='past'):
        adopt._until('2020-01-01T00:00:00Z')


@pytest.mark.parametrize(('codes', 'exemption', 'state'), [
    ([], None, 'endorsed'),
    ([Code.NOT_ENDORSED], None, 'unknown'),
    ([Code.NOT_ENDORSED], Exemption.ADOPTED, 'adopted'),
    ([Code.NOT_ENDORSED, Code.IMAGE_BLOCKED], None, 'blocked'),
    ([Code.IMAGE_EXPIRED, Code.IMAGE_REVOKED], None, 'revoked'),
    ([Code.LIST_EXPIRED], None, 'expired'),
    ([Code.UNSIGNED], None, 'refused'),
    ([Code.INTERNAL_ERROR], None, 'refused'),
])
def test_what_the_audit_calls_an_image(codes, exemption, state):
    assert state_of(Verdict(
        tuple(Reason(code, 'why') for code in codes), mode=Mode.ENFORCING,
        exemption=exemption)) == state


def held(**values):
    return Held('7d6b0a3c-4a43-4e0a-9a55-1b1b7a0a0001', 'active', 'atlas',
                pki.utcnow(), size=100, **values)


def test_a_steady_gate_does_not_see_files_change(site):
    settings = Gate('any').settings
    gate = SteadyGate(SiteFiles(settings).current(), lambda names: ())
    (site.folder / 'policy.yaml').write_text('nonsense: 1')
    assert judge(gate, held()).verdict.codes == (Code.NOT_ENDORSED,) * 2
    assert judge(Gate('any'), held()).verdict.codes == (
        Code.INTERNAL_ERROR,)


def test_a_steady_gate_that_only_looks(site):
    settings = Gate('any').settings
    for journalled in (False, True):
        gate = SteadyGate(SiteFiles(settings).current(), lambda names: (),
                          journalled)
        assert judge(gate, held()).status == 'deactivated'
        assert (site.state / 'journal' / 'hepix-vm-sync.jsonl').exists() is (
            journalled)


def test_lists_say_nothing_of_an_image_without_digest(site):
    """It is judged all the same, and no error."""
    site.accept(site.image_list(file_entry('0' * 128, 100)))
    outcome = judge(Gate('any'), held())
    assert set(outcome.verdict.codes) == {Code.NOT_ENDORSED}


def test_a_site_that_decided_nothing(site):
    settings = Gate('any').settings
    (site.folder / 'policy.yaml').unlink()
    with pytest.raises(ConfigError):
        SiteFiles(settings).current()
    assert SiteFiles(settings, complete=False).current().policy.endorsers == (
        ())
    # What is there has to be right.
    (site.folder / 'policy.yaml').write_text('nonsense: 1')
    with pytest.raises(ConfigError):
        SiteFiles(settings, complete=False).current()


def test_who_interrupts_reads_no_stack(capsys):
    status = common.guarded('sync', raised(KeyboardInterrupt()))
    assert status == 130
    assert status in report.STATUSES
    assert capsys.readouterr().err == 'sync: interrupted.\n'
