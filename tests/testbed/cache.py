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

"""Where the testbed keeps what is slow to make, from run to run."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import fcntl
import importlib.metadata
import os
import pathlib
import tempfile

ROOT = pathlib.Path(__file__).parents[2]
ENVIRONMENT = 'HEPIX_VM_CACHE'


def directory() -> pathlib.Path:
    """The cache folder of tools/lib.sh, made if missing."""
    path = pathlib.Path(os.environ.get(ENVIRONMENT) or ROOT / '.cache')
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def alone(name: str) -> Iterator[None]:
    """Wait until no other process makes something.

    :param name: of what is made
    """
    with (directory() / f'{name}.lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def prepared(package: str, make: Callable[[pathlib.Path], None],
             ) -> pathlib.Path:
    """Return a folder that is filled once per version of a package.

    :param make: fills it; if that fails, nothing is kept
    """
    target = directory() / (
        f'{package}-{importlib.metadata.version(package)}')
    with alone(package):
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=directory()) as name:
                folder = pathlib.Path(name) / package
                folder.mkdir()
                make(folder)
                folder.rename(target)
    return target
