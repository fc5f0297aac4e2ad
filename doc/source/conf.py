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

"""Sphinx configuration of the documentation."""

extensions = [
    'cliff.sphinxext',
    'sphinx.ext.autodoc',
    'oslo_config.sphinxext',
]

project = 'hepix-vm'
project_copyright = '2026, the hepix-vm developers'
master_doc = 'index'
exclude_patterns: list[str] = []

# Those that all commands of openstack have.
autoprogram_cliff_ignored = [
    '--help', '--format', '--column', '--noindent', '--prefix', '--quote',
    '--max-width', '--fit-width', '--print-empty', '--sort-column',
    '--sort-ascending', '--sort-descending']
# Options of commands stay as they are typed: --long is no dash.
smartquotes_action = 'qe'

html_theme = 'alabaster'
html_theme_options = {
    'description': 'Only endorsed images on an OpenStack cloud',
    'fixed_sidebar': True,
}

autodoc_member_order = 'bysource'
autodoc_typehints = 'description'
