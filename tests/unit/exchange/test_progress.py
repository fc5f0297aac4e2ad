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

"""How far a run is, on a terminal and elsewhere."""

import io
import os
import pty
import termios
import threading

import pytest

from hepix_vm.exchange import progress
from hepix_vm.exchange.progress import Bar
from hepix_vm.exchange.progress import Lines

GIB = 1024 ** 3


@pytest.fixture
def terminal():
    """A terminal, and what is seen on it."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    seen = []

    def look():
        while True:
            try:
                data = os.read(ours, 4096)
            except OSError:
                return
            seen.append(data.decode())

    reader = threading.Thread(target=look)
    reader.start()
    stream = open(theirs, 'w')

    def text():
        stream.close()
        reader.join(30)
        return ''.join(seen)

    yield stream, text
    stream.close()
    reader.join(30)
    os.close(ours)


def use(shown):
    shown.begin(2 * GIB, 2)
    shown.advance(GIB)
    shown.line('one is there')
    shown.image()
    shown.advance(GIB)
    shown.image()
    shown.end()
    shown.line('all done')


def test_a_bar_on_a_terminal(terminal):
    stream, text = terminal
    shown = progress.choose(stream)
    assert isinstance(shown, Bar)
    use(shown)
    seen = text()
    for part in ('0 of 2 images', '2 of 2 images', '2.00G', '100%',
                 'one is there\r\n', 'all done\r\n'):
        assert part in seen
    # What is left on the screen is the lines alone.
    assert seen.rstrip().endswith('all done')


def test_lines_elsewhere():
    stream = io.StringIO()
    times = iter([0.0, 10.0, 31.0, 40.0])
    shown = Lines(stream, lambda: next(times))
    shown.begin(4 * GIB, 3)
    shown.advance(GIB)
    shown.image()
    shown.line('one is there')
    shown.advance(GIB // 2)
    shown.advance(1)
    shown.end()
    assert stream.getvalue() == (
        '4.0 GiB in 3 images to come\none is there\n'
        '1.5 GiB of 4.0 GiB, 1 of 3 images\n')


def test_what_is_no_terminal_gets_lines(capsys):
    shown = progress.choose()
    assert isinstance(shown, Lines)
    use(shown)
    assert capsys.readouterr().out == (
        '2.0 GiB in 2 images to come\none is there\nall done\n')


@pytest.mark.parametrize('make', [Bar, Lines])
def test_nothing_is_lost_between_threads(make):
    stream = io.StringIO()
    shown = make(stream)
    shown.begin(8000, 8)

    def work():
        for _ in range(1000):
            shown.advance(1)
        shown.image()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    count = shown._bar.n if make is Bar else shown._bytes
    assert (count, shown._done) == (8000, 8)
    shown.end()


def test_it_may_be_begun_anew_and_ended_twice():
    shown = Bar(io.StringIO())
    shown.advance(1)
    for total in (10, 20):
        shown.begin(total)
        shown.advance(5)
        assert (shown._bar.n, shown._bar.total) == (5, total)
    shown.end()
    shown.end()
    shown.image()


@pytest.mark.parametrize(('count', 'text'), [
    (0, '0 B'), (1023, '1023 B'), (1024, '1.0 KiB'), (5 * GIB, '5.0 GiB'),
    (5000 * 1024 * GIB, '5000.0 TiB')])
def test_amounts(count, text):
    assert progress.amount(count) == text
