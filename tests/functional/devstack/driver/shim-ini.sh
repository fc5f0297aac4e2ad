#!/bin/bash
# This is a part of the shim that stands in for DevStack: its INI files.
#
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

# _shim_ini FILE SECTION OPTION PROGRAM: run a program of awk on a file, in
# which "here" says whether the line is of the section, and "ours" whether it
# sets the option. An option begins its line; values may be several lines.
_shim_ini() {
    # shellcheck disable=SC2016
    local program='{
        head = $0 == section
        if (/^\[/) { here = head }
        split($0, parts, "="); name = parts[1]; sub(/[ \t]+$/, "", name)
        ours = here && !head && name == option && index($0, "=")
    }'
    awk -v section="[$2]" -v option="$3" "$program $4" "$1"
}

# _shim_write [sudo] FILE: replace a file by what is read
_shim_write() {
    local text
    text=$(cat; echo .)
    printf %s "${text%.}" | $1 tee "$2" > /dev/null
}

iniget() {
    iniget_multiline "$1" "$2" "$3"
}

iniget_multiline() {
    local found
    found=$(_shim_ini "$1" "$2" "$3" \
        'ours { sub(/^[^=]*=[ \t]*/, ""); print }')
    # As words, as DevStack gives them back.
    # shellcheck disable=SC2086
    echo $found
}

ini_has_option() {
    [[ -e $1 && -n $(_shim_ini "$1" "$2" "$3" 'ours') ]]
}

inidelete() {
    _shim_ini "$1" "$2" "$3" '!ours' | _shim_write '' "$1"
}

# iniset [-sudo] FILE SECTION OPTION VALUE
iniset() {
    local sudo=''
    if [[ $1 == -sudo ]]; then
        sudo=sudo
        shift
    fi
    # shellcheck disable=SC2116,SC2086
    _shim_set "$sudo" "$1" "$2" "$3" "$(echo $4)"
}

# iniset_multiline FILE SECTION OPTION VALUE...
iniset_multiline() {
    local file=$1 section=$2 option=$3 lines
    shift 3
    if [[ -e $file ]]; then
        inidelete "$file" "$section" "$option"
    fi
    printf -v lines "$option = %s\n" "$@"
    _shim_set '' "$file" "$section" '' "${lines%$'\n'}"
}

# Without an option the value is the lines to add to the section.
_shim_set() {
    local sudo=$1 file=$2 section=$3 option=$4 value=$5
    if [[ ! -e $file ]] || ! grep -qxF "[$section]" "$file"; then
        printf '\n[%s]\n' "$section" | $sudo tee -a "$file" > /dev/null
    fi
    export VALUE=${option:+$option = }$value
    if [[ -n $option ]] && ini_has_option "$file" "$section" "$option"; then
        # shellcheck disable=SC2016
        _shim_ini "$file" "$section" "$option" \
            'ours { print ENVIRON["VALUE"]; next } 1' \
            | _shim_write "$sudo" "$file"
    else
        # shellcheck disable=SC2016
        _shim_ini "$file" "$section" "$option" \
            '1; head { print ENVIRON["VALUE"] }' \
            | _shim_write "$sudo" "$file"
    fi
}
