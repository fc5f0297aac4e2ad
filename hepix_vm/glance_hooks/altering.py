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

"""Whether an import plugin after ours will alter the bytes."""

from typing import Any

OURS = 'hepix_trust'

# Plugins of Glance that leave the bytes alone.
HARMLESS = {OURS, 'no_op', 'inject_image_metadata'}


def altered_by(image: Any, path: str) -> str:
    """Return the plugins that will alter the bytes of an image.

    :param image: the image that is imported
    :param path: the staged file
    :returns: their names, or nothing
    """
    from oslo_config import cfg

    plugins = cfg.CONF.image_import_opts.image_import_plugins
    after = plugins[plugins.index(OURS) + 1:] if OURS in plugins else []
    return ', '.join(
        name for name in after
        if name not in HARMLESS and _alters(name, image, path))


def _alters(name: str, image: Any, path: str) -> bool:
    """Return whether one plugin will; an unknown one is believed to."""
    from oslo_config import cfg

    if name == 'image_conversion':
        # As glance.async_.flows.plugins.image_conversion decides.
        return image.disk_format not in (
            'iso', cfg.CONF.image_conversion.output_format)
    if name == 'image_decompression':
        return image.container_format != 'compressed' and _is_packed(path)
    return True


def _is_packed(path: str) -> bool:
    """Return whether image_decompression takes a file for packed."""
    from glance.async_.flows.plugins import image_decompression

    with open(path, 'rb') as file:
        head = file.read(image_decompression.MAX_HEADER)
    # The keys are 'OFFSET_function'.
    return any(
        head.startswith(magic, int(key.split('_')[0]))
        for key, magic in image_decompression.MAGIC_NUMBERS.items())
