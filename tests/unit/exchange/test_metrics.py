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

"""Metrics, read back by the library that Prometheus' exporters use."""

import dataclasses
import datetime
import re

from prometheus_client.parser import text_string_to_metric_families
import pytest
import yaml

from hepix_vm.errors import Code
from hepix_vm.errors import ConfigError
from hepix_vm.exchange import metrics
from hepix_vm.exchange.report import ListReport
from hepix_vm.exchange.report import Outcome
from hepix_vm.site import SiteFiles
from hepix_vm.trust.model import Endorser
from hepix_vm.trust import names
from tests.testbed import pki
from tests.testbed.site import ALICE
from tests.testbed.site import CA
from tests.testbed.site import file_entry
from tests.unit.exchange.events import settings
from tests.unit.test_docs import blocks
from tests.unit.test_docs import rows

DAY = datetime.timedelta(days=1)
LATER = '8d1c6f6e-6a0a-4b7c-9d67-0f6f5d9d7a11'


@pytest.fixture
def now():
    return pki.utcnow().replace(microsecond=0)


def run(now, **changes):
    return metrics.Run(
        now - datetime.timedelta(seconds=90), now, status=1, **changes)


def read(path):
    """Return the values of all metrics, by name and labels."""
    return {(sample.name, *sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(path.read_text())
            for sample in family.samples}


def written(site, tmp_path, reports=(), *, run, **options):
    path = tmp_path / 'hepix-vm.prom'
    current = SiteFiles(settings(site, **options)).current()
    metrics.write(str(path), current, reports, run)
    return read(path)


def test_lists_and_images(site, tmp_path, now):
    made = file_entry('ab' * 64, 1, extra={
        'dc:date:created': '2026-01-02T03:04:05Z'}, expires=now + DAY)
    other = file_entry('cd' * 64, 1, extra={'dc:date:created': 'long ago'})
    of = site.image_list(made, other)
    site.accept(of)
    found = written(site, tmp_path, run=run(now))
    label = ('list', of.identifier)
    for name, value in [
            ('list_created_timestamp_seconds', of.created.timestamp()),
            ('list_expires_timestamp_seconds', of.expires.timestamp()),
            ('list_images', 2)]:
        assert found[f'hepix_vm_{name}', label] == value
    for entry, created, expires in [
            (made, datetime.datetime(2026, 1, 2, 3, 4, 5,
                                     tzinfo=datetime.UTC), now + DAY),
            (other, of.created, of.expires)]:
        labels = ('image', entry.identifier), label
        assert found['hepix_vm_image_created_timestamp_seconds',
                     *labels] == created.timestamp()
        assert found['hepix_vm_image_expires_timestamp_seconds',
                     *labels] == expires.timestamp()


def test_an_image_never_outlives_its_list(site, tmp_path, now):
    entry = file_entry('ab' * 64, 1, expires=now + 1000 * DAY)
    of = site.image_list(entry)
    site.accept(of)
    assert written(site, tmp_path, run=run(now))[
        'hepix_vm_image_expires_timestamp_seconds',
        ('image', entry.identifier), ('list', of.identifier)] == (
            of.expires.timestamp())


def test_certificates_and_crls(site, tmp_path, now):
    of = site.image_list(file_entry('ab' * 64, 1))
    site.accept(of)
    found = written(site, tmp_path, run=run(now))
    until = site.alice.certificate.not_valid_after_utc
    labels = ('endorser', ALICE), ('list', of.identifier)
    assert found['hepix_vm_endorser_certificate_expires_timestamp_seconds',
                 *labels] == until.timestamp()
    assert found['hepix_vm_endorser_certificate_expires_days',
                 *labels] == pytest.approx((until - now) / DAY)
    crl = site.authority.crl().next_update_utc
    assert found['hepix_vm_crl_next_update_timestamp_seconds',
                 ('ca', CA)] == pytest.approx(crl.timestamp(), abs=60)
    assert found['hepix_vm_crl_next_update_days', ('ca', CA)] == (
        pytest.approx((crl - now) / DAY, abs=0.01))


@pytest.mark.parametrize(('policy', 'shown'), [
    ('require', 0), ('if-present', None), ('ignore', None)])
def test_a_crl_that_is_missing(site, tmp_path, now, policy, shown):
    site.accept(site.image_list(file_entry('ab' * 64, 1)))
    for path in site.anchors.glob('*.r0'):
        path.unlink()
    found = written(site, tmp_path, run=run(now), crl_policy=policy)
    assert found.get(('hepix_vm_crl_next_update_timestamp_seconds',
                      ('ca', CA))) == shown
    # What is there is not looked at, either, where CRLs are ignored.
    site.write_anchors()
    found = written(site, tmp_path, run=run(now), crl_policy=policy)
    assert (('hepix_vm_crl_next_update_timestamp_seconds', ('ca', CA))
            in found) is (policy != 'ignore')


def test_every_ca_on_the_way_to_a_root(site, tmp_path, now):
    middle = site.authority.intermediate('/C=EU/O=Example Grid/CN=Sub CA')
    dave = middle.issue('/C=EU/O=Example Grid/CN=Dave')
    pki.write_folder(site.anchors, [
        site.authority.files(), middle.files(),
        pki.Authority.create('/C=EU/CN=Not on the way').files()])
    of = site.image_list(
        file_entry('ab' * 64, 1), endorser=dave_of(middle, dave))
    site.accept(of, dave)
    found = written(site, tmp_path, run=run(now))
    assert {key[1][1] for key in found
            if key[0] == 'hepix_vm_crl_next_update_days'} == {
        CA, '/C=EU/O=Example Grid/CN=Sub CA'}


def dave_of(middle, dave):
    return Endorser(names.one_line(dave.certificate.subject),
                    names.one_line(dave.certificate.issuer))


def test_what_became_of_lists(site, tmp_path, now):
    reports = [
        ListReport('a', 'https://a', Outcome.ACCEPTED, fetched=now),
        ListReport('b', 'https://b', Outcome.REFUSED,
                   code=Code.LIST_ROLLBACK),
        ListReport('c', 'https://c', Outcome.FAILED, fetched=now - DAY)]
    found = written(site, tmp_path, reports, run=run(
        now, refused=[Code.LIST_ROLLBACK, Code.CHECKSUM_MISMATCH],
        images={'endorsed': 12, 'revoked': 1}))
    for uuid, outcome, fetched in [
            ('a', 'accepted', now.timestamp()), ('b', 'refused', 0),
            ('c', 'failed', (now - DAY).timestamp())]:
        assert found['hepix_vm_list_last_success_timestamp_seconds',
                     ('list', uuid)] == fetched
        for each in Outcome:
            assert found['hepix_vm_list_outcome', ('list', uuid),
                         ('outcome', each)] == (each == outcome)
    counts = {key[1][1]: value for key, value in found.items()
              if key[0] == 'hepix_vm_refusals'}
    assert set(counts) == set(map(str, Code))
    assert {code: n for code, n in counts.items() if n} == {
        'list-rollback': 2, 'checksum-mismatch': 1}
    assert found['hepix_vm_images', ('state', 'endorsed')] == 12
    assert found['hepix_vm_run_status',] == 1
    assert found['hepix_vm_run_duration_seconds',] == 90
    assert found['hepix_vm_run_timestamp_seconds',] == now.timestamp()


def test_labels_are_escaped_and_bounded(site, tmp_path, now):
    nasty = 'a"b\\c\nhepix_vm_run_status 0\udc80' + 'x' * 1000
    found = written(site, tmp_path, run=run(now, images={nasty: 3}))
    assert found['hepix_vm_run_status',] == 1
    (state,) = (key[1][1] for key in found if key[0] == 'hepix_vm_images')
    assert state == nasty[:256].replace('\udc80', '?')


def test_the_file_is_for_everybody_and_replaced_whole(site, tmp_path, now):
    folder = tmp_path / 'textfile'
    folder.mkdir()
    path = folder / 'hepix-vm.prom'
    path.write_text('old')
    with open(path) as old:
        metrics.write(str(path), SiteFiles(settings(site)).current(), [],
                      run(now))
        assert old.read() == 'old'
    assert path.stat().st_mode & 0o777 == 0o644
    assert [entry.name for entry in folder.iterdir()] == [path.name]


def test_a_file_that_cannot_be_written(site, tmp_path, now, caplog):
    path = tmp_path / 'hepix-vm.prom'
    path.mkdir()
    before = set(tmp_path.iterdir())
    metrics.write(str(path), SiteFiles(settings(site)).current(), [],
                  run(now))
    assert f'The metrics cannot be written to {path}: ' in caplog.text
    assert set(tmp_path.iterdir()) == before


def test_without_a_file_there_are_none(site, tmp_path, now, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    metrics.write('', SiteFiles(settings(site)).current(), [], run(now))
    assert set(tmp_path.iterdir()) == before


def test_all_metrics_are_documented(site, tmp_path, now):
    site.accept(site.image_list(file_entry('ab' * 64, 1)))
    found = written(
        site, tmp_path, [ListReport(LATER, '', Outcome.FAILED)],
        run=run(now, images={'endorsed': 1}, refused=[], waiting=0))
    measured = {key[0]: ', '.join(f'``{name}``' for name, _ in key[1:])
                or 'none' for key in found}
    documented = {cells[0].strip('`'): cells[1]
                  for cells in rows('admin/metrics.rst')}
    del documented['Metric']
    assert documented == measured


def test_the_alert_rules_name_metrics_that_there_are():
    rules, = (yaml.safe_load(text)
              for text in blocks('admin/metrics.rst', 'yaml'))
    known = {cells[0].strip('`') for cells in rows('admin/metrics.rst')}
    (group,) = rules['groups']
    for rule in group['rules']:
        names = set(re.findall(r'hepix_vm_\w+', rule['expr']))
        assert names and names <= known, rule
        assert rule['annotations']['summary'] and rule['labels']['severity']


@pytest.mark.parametrize('path', [
    'hepix-vm.prom', '/var/lib/hepix-vm.txt', '/var/lib/prom'])
def test_a_name_under_which_nobody_looks(path):
    with pytest.raises(ConfigError, match='metrics_file'):
        metrics.check(path)


def test_names_that_will_do():
    metrics.check('')
    metrics.check('/var/lib/x/hepix-vm.prom')


def test_what_a_run_did_not_look_at_stays(site, tmp_path, now):
    """It ran for one list only, or others followed."""
    mine = site.image_list(file_entry('ab' * 64, 1))
    site.accept(mine)
    gone = ListReport(LATER, '', Outcome.FAILED)
    first = ListReport(mine.identifier, '', Outcome.FAILED, fetched=now)
    written(site, tmp_path, [first, gone], run=run(
        now, images={'endorsed': 3}, refused=[Code.CHECKSUM_MISMATCH],
        waiting=2))
    found = written(site, tmp_path, run=run(now + DAY))
    listed = 'list', mine.identifier
    for name, *labels, value in [
            ('list_outcome', listed, ('outcome', 'failed'), 1),
            ('list_last_success_timestamp_seconds', listed,
             now.timestamp()),
            ('images', ('state', 'endorsed'), 3),
            ('refusals', ('code', 'checksum-mismatch'), 1),
            ('images_waiting', 2),
            ('follow_timestamp_seconds', now.timestamp()),
            ('run_timestamp_seconds', (now + DAY).timestamp())]:
        assert found[f'hepix_vm_{name}', *labels] == value
    assert found['hepix_vm_refusals', ('code', 'list-rollback')] == 0
    # Of a list that is not subscribed any more nothing is left.
    assert not any(('list', LATER) in key for key in found)
    # It is refused while lists cannot be followed.
    first = dataclasses.replace(
        first, outcome=Outcome.REFUSED, code=Code.LIST_ROLLBACK)
    found = written(site, tmp_path, [first], run=run(now + DAY))
    for code in ('list-rollback', 'checksum-mismatch'):
        assert found['hepix_vm_refusals', ('code', code)] == 1
    first = dataclasses.replace(first, outcome=Outcome.ACCEPTED, code=None)
    found = written(site, tmp_path, [first], run=run(
        now + DAY, images={}, refused=[], waiting=0))
    assert found['hepix_vm_list_outcome', listed, ('outcome', 'failed')] == 0
    assert ('hepix_vm_images', ('state', 'endorsed')) not in found
    for code in ('list-rollback', 'checksum-mismatch'):
        assert found['hepix_vm_refusals', ('code', code)] == 0
    assert found['hepix_vm_images_waiting',] == 0
    assert found['hepix_vm_follow_timestamp_seconds',] == (
        now + DAY).timestamp()


def test_a_file_that_is_none_of_ours(site, tmp_path, now, caplog):
    (tmp_path / 'hepix-vm.prom').write_text('{"')
    assert written(site, tmp_path, run=run(now))
    assert 'cannot be read from' in caplog.text
