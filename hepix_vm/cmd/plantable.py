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
"""A plan for whoever wants to see it first: a table, or JSON."""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import json
import os
from typing import Any
from typing import TextIO

import prettytable

from hepix_vm.exchange.deeds import Deed
from hepix_vm.exchange.deeds import Trouble
from hepix_vm.exchange.oneline import clean
from hepix_vm.exchange.outline import Outline
from hepix_vm.exchange.progress import amount
from hepix_vm.exchange.progress import counted
from hepix_vm.exchange.steps import Plan
from hepix_vm.exchange.steps import Step
from hepix_vm.exchange.wanted import Approval
from hepix_vm.exchange.wanted import Refusal

# What a table shows of a step; keys are those of JSON.
_CELLS: Mapping[str, str] = {
    'Action': 'action', 'List': 'list_title', 'List ID': 'list',
    'Image': 'title', 'Image ID': 'image', 'Name': 'name',
    'Glance ID': 'glance_id', 'In': 'bytes_in', 'Out': 'bytes_out',
    'Why': 'why'}
COLUMNS = tuple(_CELLS)
BYTES = frozenset({'In', 'Out'})
_SHOWN = ('Action', 'List', 'Image', 'In', 'Out', 'Why')
# What is wrapped where a terminal is narrow: words before identifiers.
_WRAPPED = (('List', 'Image', 'Name', 'Why'),
            ('List ID', 'Image ID', 'Glance ID'))
_LEAST = 8  # characters of a column that is wrapped


def table(made: Plan, outline: Outline, columns: Sequence[str] = (),
          width: int = 0) -> str:
    """Return a plan as a table.

    :param columns: some of :data:`COLUMNS`; empty for the usual ones
    :param width: of the terminal in characters; 0 if there is none
    """
    if not made.steps:
        return summary(made)
    shown = columns or _SHOWN
    written = [[size(cell) if column in BYTES else cell
                for column, cell in zip(shown, row, strict=True)]
               for row in rows(made.steps, outline, shown)]
    drawn = prettytable.PrettyTable(shown, align='l', max_table_width=width)
    drawn.add_rows(written)
    if width:
        drawn.max_width = _fitting({
            column: max(map(len, (column, *cells))) for column, *cells
            in zip(shown, *written, strict=True)}, width)
    for column in BYTES.intersection(shown):
        drawn.align[column] = 'r'
    return f'{drawn}\n{summary(made)}'


def rows(steps: Iterable[Step | Deed], outline: Outline,
         columns: Sequence[str]) -> list[list[Any]]:
    """Return steps as rows, with exact numbers of bytes.

    :param steps: of a plan, or what was carried out of it
    :param columns: some of :data:`COLUMNS`
    """
    return [[_cell(row, column) for column in columns]
            for row in (_row(step, outline) for step in steps)]


def size(number: int) -> str:
    """Return a number of bytes as a table shows it."""
    return amount(number) if number else ''


def summary(made: Plan) -> str:
    """Return what a plan comes to, in a line."""
    if not made.steps:
        return 'Nothing to do.'
    totals = _totals(made.steps)
    return (f'{counted(totals["steps"], "step")}, '
            f'{amount(totals["bytes_in"])} in, '
            f'{amount(totals["bytes_out"])} out')


def as_json(made: Plan, outline: Outline,
            failures: Iterable[Trouble] = ()) -> str:
    """Return a plan in JSON, with exact numbers of bytes."""
    return json.dumps({
        'steps': [_row(step, outline) for step in made.steps],
        'refusals': [{
            **_listed(refusal), 'code': refusal.code,
            'message': refusal.message, 'remedy': refusal.remedy}
            for refusal in made.refusals],
        'failures': [str(failure) for failure in failures],
        'waiting': [_listed(approval) for approval in made.approvals],
        'notes': list(made.notes),
        'totals': _totals(made.steps)}, indent=2)


def terminal_width(stream: TextIO) -> int:
    """Return how wide a terminal is; 0 for what is none."""
    return (os.get_terminal_size(stream.fileno()).columns
            if stream.isatty() else 0)


def _fitting(widths: dict[str, int], width: int) -> dict[str, int]:
    """Return how wide each column may be, the widest made narrower first.

    :param widths: that they have
    :param width: of the whole table, with its lines
    """
    excess = sum(widths.values()) + 3 * len(widths) + 1 - width
    for group in _WRAPPED:
        for _ in range(excess):
            widest = max(group, key=lambda column: widths.get(column, 0))
            if widths.get(widest, 0) <= _LEAST:
                break
            widths[widest] -= 1
            excess -= 1
    return widths


def _row(done: Step | Deed, outline: Outline) -> dict[str, Any]:
    if isinstance(done, Deed):
        step, image_id = done.step, done.became or done.image_id
    else:
        step = done
        image_id = step.present.image_id if step.present else ''
    return {
        'action': str(step.action), 'list': step.list_id,
        'list_title': outline.title_of(step.list_id),
        'image': step.identifier,
        'title': outline.image_title_of(step),
        'name': step.name,
        'glance_id': image_id,
        'bytes_in': step.bytes_in, 'bytes_out': step.bytes_out,
        'why': step.why, 'codes': [str(code) for code in step.codes]}


def _cell(row: Mapping[str, Any], column: str) -> Any:
    value = row[_CELLS[column]]
    if column in BYTES:
        return value
    if column == 'Why' and row['codes']:
        return f'{value} ({", ".join(row["codes"])})'
    # What is known of it, where it has no title here.
    others = {'List': 'list', 'Image': 'name'}
    return clean(value or row.get(others.get(column, ''), ''))


def _listed(found: Refusal | Approval) -> dict[str, Any]:
    return {
        'list': found.image_list.identifier,
        'list_title': found.image_list.title,
        'image': found.entry.identifier, 'title': found.entry.title}


def _totals(steps: Sequence[Step]) -> dict[str, int]:
    return {'steps': len(steps),
            'bytes_in': sum(step.bytes_in for step in steps),
            'bytes_out': sum(step.bytes_out for step in steps)}
