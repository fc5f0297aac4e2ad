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

"""Runs ``openstack`` for many, in processes that have it loaded already.

As DevStack's own openstack-cli-server does: so a command takes a third of a
second, and not three. Called as: cli.py SOCKET
"""

import array
import io
import json
import os
import signal
import socket
import sys

from openstackclient import shell

_FILES = 3  # standard input, output and error of who asks


def main(path: str) -> None:
    """Answer at a socket until killed."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # Loads what every command needs.
    with open(os.devnull, 'w') as nowhere:
        output, sys.stdout = sys.stdout, nowhere
        shell.main(['complete'])
        sys.stdout = output
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen()
    while True:
        connection, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            _serve(connection)
        connection.close()


def _serve(connection: socket.socket) -> None:
    status = 1
    try:
        question, files = _question(connection)
        for number, file in enumerate(files):
            os.dup2(file, number)
        os.environ.clear()
        os.environ.update(question['environment'])
        os.chdir(question['folder'])
        sys.stdin, sys.stdout, sys.stderr = (
            io.TextIOWrapper(open(number, mode, closefd=False),
                             write_through=True)
            for number, mode in enumerate(('rb', 'wb', 'wb')))
        status = _run(question['arguments'])
    finally:
        connection.sendall(b'%d' % status)
        os._exit(0)


def _question(connection: socket.socket) -> tuple[dict, array.array]:
    files = array.array('i')
    data, ancillary, _, _ = connection.recvmsg(
        1 << 20, socket.CMSG_SPACE(_FILES * files.itemsize))
    for _, _, content in ancillary:
        files.frombytes(content)
    while not data.endswith(b'\n'):
        data += connection.recv(1 << 20)
    return json.loads(data), files


def _run(arguments: list[str]) -> int:
    try:
        return shell.main(arguments)
    except SystemExit as ended:  # of argparse
        return int(ended.code or 0)


if __name__ == '__main__':
    main(sys.argv[1])
