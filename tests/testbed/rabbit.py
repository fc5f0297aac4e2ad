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

"""A RabbitMQ on loopback: what the parts of Nova speak over."""

import pathlib
import shutil
import socket

import amqp

from tests.testbed.daemon import Daemon
from tests.testbed.glance import free_port

_PROGRAM = '/usr/lib/rabbitmq/bin/rabbitmq-server'
_CONF = """\
listeners.tcp.1 = 127.0.0.1:{port}
log.console = true
log.file = false
disk_free_limit.absolute = 50MB
"""


class RabbitMQ(Daemon):
    """The bus.

    Erlang's port mapper, which all nodes of a machine share and which stays
    when they end, is not started: the node says its port itself.

    :param folder: where its files are
    """

    def __init__(self, folder: pathlib.Path) -> None:
        folder = folder.absolute()
        self.port = free_port()
        distribution = free_port()
        super().__init__(folder, [_PROGRAM], {
            'HOME': str(folder),  # of Erlang's cookie
            'RABBITMQ_CONF_ENV_FILE': '/dev/null',
            'RABBITMQ_NODENAME': 'rabbit@localhost',
            'RABBITMQ_CONFIG_FILE': str(folder / 'rabbitmq.conf'),
            'RABBITMQ_ENABLED_PLUGINS_FILE': str(folder / 'plugins'),
            'RABBITMQ_MNESIA_BASE': str(folder / 'mnesia'),
            'RABBITMQ_LOG_BASE': str(folder),
            'RABBITMQ_GENERATED_CONFIG_DIR': str(folder / 'generated'),
            'RABBITMQ_PID_FILE': str(folder / 'pid'),
            'RABBITMQ_DIST_PORT': str(distribution),
            'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS':
                '-sname rabbit@localhost -start_epmd false '
                f'-erl_epmd_port {distribution} '
                '-kernel inet_dist_use_interface {127,0,0,1}'})
        # What one that was killed had to say is of no use any more.
        shutil.rmtree(self.folder / 'mnesia', ignore_errors=True)
        (self.folder / 'plugins').write_text('[].\n')
        (self.folder / 'rabbitmq.conf').write_text(
            _CONF.format(port=self.port))

    @property
    def url(self) -> str:
        """What ``transport_url`` is set to."""
        return f'rabbit://guest:guest@127.0.0.1:{self.port}/'

    def stop(self) -> None:
        """End it; while it starts it does not heed SIGTERM."""
        self.kill()

    def answers(self) -> bool:
        """Say whether it takes connections, which it does at the end."""
        with socket.socket() as probe:
            return probe.connect_ex(('127.0.0.1', self.port)) == 0

    def taken(self, queue: str) -> bool:
        """Say whether somebody takes what is sent to a queue."""
        with amqp.Connection(f'127.0.0.1:{self.port}') as connection:
            try:
                return bool(connection.channel().queue_declare(
                    queue, passive=True).consumer_count)
            except amqp.NotFound:
                return False
