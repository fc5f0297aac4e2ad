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

"""Metrics of a run for Prometheus' textfile collector.

Times are timestamps, as Prometheus wants them: ``time()`` minus the one is
an age. Labels are UUIDs, codes and other words of ours, and the names of
endorsers and CAs that this site pinned or trusts, cut to a length.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from collections import Counter
import dataclasses
import datetime
import os

from oslo_log import log as logging
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_fd_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from hepix_vm.errors import Code
from hepix_vm.errors import ConfigError
from hepix_vm.errors import MalformedError
from hepix_vm.exchange.report import ListReport
from hepix_vm.exchange.report import Outcome
from hepix_vm.site import Site
from hepix_vm.trust.crl import CrlPolicy
from hepix_vm.trust.endorsement import AcceptedList
from hepix_vm.trust.imagelist import parse_time
from hepix_vm.trust.model import ImageEntry
from hepix_vm import wholefile

LOG = logging.getLogger(__name__)

_LONGEST = 256  # characters of a label
_PREFIX = 'hepix_vm_'
_OF_REPORTS = frozenset({
    _PREFIX + 'list_outcome', _PREFIX + 'list_last_success_timestamp_seconds'})


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """What a run did, besides what became of each list.

    :param began: UTC
    :param ended: UTC
    :param status: the exit status
    :param images: number of images in Glance by ``hepix_state``; None if
        they were not looked at
    :param refused: codes for which images were refused, each as often as
        it was given; None if not all lists were followed
    :param waiting: number of images that wait for approval; None as well
    """

    began: datetime.datetime
    ended: datetime.datetime
    status: int
    images: Mapping[str, int] | None = None
    refused: Sequence[Code] | None = None
    waiting: int | None = None


def check(path: str) -> None:
    """Look whether metrics can have this name.

    :raises ConfigError: the collector would not find them, or they would be
        wherever the command is started
    """
    if path and not (os.path.isabs(path) and path.endswith('.prom')):
        raise ConfigError(
            '[hepix_vm] metrics_file is not the absolute path of a file '
            'whose name ends with .prom, which alone the collector reads.',
            remedy='Correct metrics_file.')


def write(path: str, site: Site, reports: Sequence[ListReport],
          run: Run) -> None:
    """Write the metrics of a run; what fails is logged, and no more.

    What the run did not look at stays as it was.

    :param path: ``metrics_file``; without it nothing is written
    """
    if not path:
        return
    found = [
        *_of_run(run), *_of_reports(reports, run), *_of_lists(site),
        *_of_certificates(site, run.ended)]
    _keep(path, found, site, reports, run)
    registry = CollectorRegistry()
    registry.register(_Collected(found))
    try:
        # The collector reads whatever ends with .prom.
        wholefile.replace(path, generate_latest(registry), 0o644)
    except OSError as error:
        LOG.error('The metrics cannot be written to %s: %s', path,
                  error.strerror)


def _keep(path: str, found: Sequence[Metric], site: Site,
          reports: Sequence[ListReport], run: Run) -> None:
    """Complete metrics with the former values of what was not looked at."""
    former = _former(path)
    whole = {_PREFIX + name for name, known in [
        ('images', run.images), ('refusals', run.refused),
        ('images_waiting', run.waiting),
        ('follow_timestamp_seconds', run.refused)] if known is None}
    lists = {block.subscription.uuid for block in site.subscriptions.blocks}
    lists -= {report.uuid for report in reports}
    for metric in found:
        samples = former.get(metric.name, [])
        if metric.name in whole:
            metric.samples = _highest([*samples, *metric.samples])
        elif metric.name in _OF_REPORTS:
            metric.samples += [sample for sample in samples
                               if sample.labels.get('list') in lists]


def _highest(samples: Iterable[Sample]) -> list[Sample]:
    """Return one sample of each with the same labels.

    So a list that is refused now counts, whatever was refused before.
    """
    found: dict[tuple[tuple[str, str], ...], Sample] = {}
    for sample in samples:
        labels = tuple(sample.labels.items())
        found[labels] = max(found.get(labels, sample), sample,
                            key=lambda each: each.value)
    return list(found.values())


def _former(path: str) -> dict[str, list[Sample]]:
    """Return the values that were written last, by the name of the metric."""
    try:
        with open(path, encoding='utf-8') as file:
            return {metric.name: metric.samples
                    for metric in text_fd_to_metric_families(file)}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, IndexError) as error:
        LOG.warning('What was measured before cannot be read from %s: %s',
                    path, type(error).__name__)
        return {}


class _Collected(Collector):
    """What was measured, for the library that writes it."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


class _Gauge(GaugeMetricFamily):
    """A gauge of ours, with labels that are bounded."""

    def __init__(self, name: str, text: str, *labels: str) -> None:
        super().__init__(_PREFIX + name, text, labels=labels)

    def add(self, value: float, *labels: str) -> None:
        self.add_metric([
            label[:_LONGEST].encode('utf-8', 'replace').decode()
            for label in labels], value)


def _one(name: str, text: str, value: float) -> Metric:
    gauge = _Gauge(name, text)
    gauge.add(value)
    return gauge


def _of_run(run: Run) -> Iterator[Metric]:
    yield _one('run_timestamp_seconds', 'When the last run ended.',
               run.ended.timestamp())
    yield _one('run_duration_seconds', 'How long the last run took.',
               (run.ended - run.began).total_seconds())
    yield _one('run_status', 'Exit status of the last run.', run.status)
    images = _Gauge('images', 'Images in Glance by hepix_state.', 'state')
    for state, number in sorted((run.images or {}).items()):
        images.add(number, state)
    followed = _Gauge('follow_timestamp_seconds', 'When this controller '
                      'followed all lists last.')
    if run.refused is not None:
        followed.add(run.ended.timestamp())
    waiting = _Gauge('images_waiting', 'Images that waited for approval '
                     'when this controller followed all lists last.')
    if run.waiting is not None:
        waiting.add(run.waiting)
    yield from (images, followed, waiting)


def _of_reports(reports: Sequence[ListReport],
                run: Run) -> Iterator[Metric]:
    outcome = _Gauge('list_outcome', 'What became of a list in the last '
                     'run: 1 for the one that holds.', 'list', 'outcome')
    success = _Gauge('list_last_success_timestamp_seconds', 'When a list '
                     'was fetched, or found unchanged, last; 0 if it never '
                     'was.', 'list')
    for report in reports:
        success.add(report.fetched.timestamp() if report.fetched else 0,
                    report.uuid)
        for each in Outcome:
            outcome.add(report.outcome is each, report.uuid, each)
    refused = Counter([*(run.refused or ()), *(
        report.code for report in reports if report.code)])
    refusals = _Gauge('refusals', 'Lists and images that were refused '
                      'when this controller followed all lists last, and '
                      'lists since, by code.', 'code')
    for code in Code:
        refusals.add(refused[code], code)
    yield from (outcome, success, refusals)


def _of_lists(site: Site) -> Iterator[Metric]:
    created = _Gauge('list_created_timestamp_seconds', 'When the accepted '
                     'version of a list was made.', 'list')
    expires = _Gauge('list_expires_timestamp_seconds', 'When the accepted '
                     'version of a list expires.', 'list')
    number = _Gauge('list_images', 'Images of an accepted list.', 'list')
    made = _Gauge('image_created_timestamp_seconds', 'When an image was '
                  'made, or else endorsed.', 'list', 'image')
    ends = _Gauge('image_expires_timestamp_seconds', 'When an image '
                  'expires.', 'list', 'image')
    for item in _accepted(site):
        found = item.signed.image_list
        created.add(found.created.timestamp(), found.identifier)
        expires.add(found.expires.timestamp(), found.identifier)
        number.add(len(found.images), found.identifier)
        for entry in found.images:
            of = found.identifier, entry.identifier
            made.add(_made(entry, found.created).timestamp(), *of)
            ends.add(min(entry.expires or found.expires,
                         found.expires).timestamp(), *of)
    yield from (created, expires, number, made, ends)


def _made(entry: ImageEntry,
          endorsed: datetime.datetime) -> datetime.datetime:
    """Return when an image was made, if its list says so."""
    try:
        return parse_time(str(entry.extra['dc:date:created']))
    except (KeyError, MalformedError):
        return endorsed


def _of_certificates(site: Site, now: datetime.datetime) -> Iterator[Metric]:
    endorsers = _Gauge('endorser_certificate_expires_timestamp_seconds',
                       'When the certificate expires that signed a list.',
                       'list', 'endorser')
    days = _Gauge('endorser_certificate_expires_days', 'Days until then, '
                  'when the run ended.', 'list', 'endorser')
    due: dict[str, datetime.datetime | None] = {}
    for item in _accepted(site):
        signed = item.signed
        until = signed.certificate.not_valid_after_utc
        of = signed.image_list.identifier, signed.signer.dn
        endorsers.add(until.timestamp(), *of)
        days.add(_days(until, now), *of)
        due |= site.anchors.crls_due(signed.certificate, signed.certificates)
    yield from (endorsers, days, *_of_crls(site, due, now))


def _of_crls(site: Site, due: Mapping[str, datetime.datetime | None],
             now: datetime.datetime) -> Iterator[Metric]:
    crls = _Gauge('crl_next_update_timestamp_seconds', 'When the CRL of a '
                  'CA expires, on the way from an endorser to a root; 0 if '
                  'there is none and there should be.', 'ca')
    days = _Gauge('crl_next_update_days', 'Days until then, when the run '
                  'ended.', 'ca')
    policy = site.trust.chain.crl_policy
    for ca, until in due.items():
        if policy is CrlPolicy.IGNORE or (
                until is None and policy is not CrlPolicy.REQUIRE):
            continue
        until = until or datetime.datetime.fromtimestamp(0, datetime.UTC)
        crls.add(until.timestamp(), ca)
        days.add(_days(until, now), ca)
    yield from (crls, days)


def _accepted(site: Site) -> list[AcceptedList]:
    return list(site.accepted.by_uuid.values())


def _days(until: datetime.datetime, now: datetime.datetime) -> float:
    return (until - now) / datetime.timedelta(days=1)
