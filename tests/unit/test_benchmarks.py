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

"""The arithmetic of the benchmarks; no test depends on a time."""

import pathlib
import subprocess
import sys

import pytest

from benchmarks import __main__ as command
from benchmarks.measure import cpu_seconds
from benchmarks.measure import Figure
from benchmarks.measure import interleave
from benchmarks.measure import Pairs
from benchmarks.measure import times
from benchmarks import report
from benchmarks.workspace import Run


def test_the_ratio_is_the_median_of_the_ratios_of_pairs():
    pairs = Pairs((1.0, 2.0, 10.0), (1.3, 2.2, 30.0))
    assert pairs.ratios == pytest.approx((1.3, 1.1, 3.0))
    # Not that of the medians, 2.2 / 2.0.
    assert pairs.ratio == pytest.approx(1.3)


def test_the_figure_of_pairs_tells_their_range():
    figure = Pairs((1.0, 2.0, 10.0), (1.3, 2.2, 30.0)).figure(
        'put', 'PUT', 1.35)
    assert figure.value == pytest.approx(1.3)
    assert figure.detail == ('1.100 to 3.000 in 3 pairs; median CPU 2.000 s '
                             'without, 2.200 s with us')


def test_pairs_without_partner_are_an_error():
    with pytest.raises(ValueError, match='shorter'):
        _ = Pairs((1.0, 2.0), (1.0,)).ratios


def test_runs_alternate_and_the_first_of_each_does_not_count():
    order = []

    def run(name):
        order.append(name)
        return float(len(order))

    pairs = interleave(lambda: run('A'), lambda: run('B'), 2)
    assert order == ['A', 'B'] * 3
    assert pairs == Pairs((3.0, 5.0), (4.0, 6.0))


@pytest.mark.parametrize(('value', 'limit', 'met', 'shown'), [
    (1.35, 1.35, True, 'yes'), (1.3501, 1.35, False, 'NO'),
    (9.0, None, None, '-')])
def test_a_limit_is_met_up_to_itself(value, limit, met, shown):
    figure = Figure('name', 'what', value, limit)
    assert figure.met is met
    assert f'met: {shown}' in report.line(figure)


def test_times_show_their_median():
    figure = times('list', 'parsing', [3.0, 1.0, 100.0], 5.0)
    assert (figure.show(figure.value), figure.met) == ('3.0 ms', True)
    assert figure.detail == 'median of 3 runs, 1.0 to 100.0 ms'


def test_cpu_seconds_count_programs_that_ended():
    burn = 'import time\nwhile time.process_time() < 0.2: pass'
    assert cpu_seconds(lambda: subprocess.run(
        [sys.executable, '-c', burn], check=True)) >= 0.2


def test_the_table_has_a_row_for_each_figure(tmp_path):
    text = report.rst(
        [Figure('put', 'PUT of the bytes ' * 8, 1.2, 1.35),
         Figure('verdict', 'a verdict', 3.0, unit='ms')],
        Run(tmp_path, tmp_path))
    assert text.count('   * - ') == 3
    assert max(map(len, text.splitlines())) <= 79
    assert '     - 1.200\n     - 1.350\n     - yes\n' in text
    assert '     - 3.0 ms\n     - \\-\n     - \\-\n' in text


def test_limits_that_were_missed_are_the_exit_status(
        tmp_path, monkeypatch, capsys):
    figures = {'good': [Figure('good', 'a', 1.0, 2.0)],
               'open': [Figure('open', 'b', 1.0)],
               'bad': [Figure('bad', 'c', 3.0, 2.0)]}
    monkeypatch.setattr(command, 'BENCHMARKS', {
        name: lambda run, made=made: made for name, made in figures.items()})
    folder = ['--folder', str(tmp_path)]
    table = tmp_path / 'table.inc'
    assert command.main(['good', 'open', *folder]) == 0
    assert command.main(['--rst', str(table), *folder]) == 1
    assert table.read_text().count('   * - ') == 4
    assert list(tmp_path.iterdir()) == [table]
    assert command.main(['nothing', *folder]) == 2
    assert 'no benchmark nothing' in capsys.readouterr().err


def test_the_page_names_each_benchmark():
    page = (pathlib.Path(__file__).parents[2] / 'doc' / 'source'
            / 'reference' / 'benchmarks.rst').read_text()
    assert [name for name in command.BENCHMARKS
            if f'``{name}``' not in page] == []
