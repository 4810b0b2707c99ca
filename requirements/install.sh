#!/usr/bin/env bash
# Puts requirements/$1.txt into .venv. Touches no network if that lock is installed already.
set -euo pipefail
cd "$(dirname "$0")/.."
name=$1
lock=requirements/$name.txt

find_python() {
    local candidate
    for candidate in python3.13 python3.12 python3.11 python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
            2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "Python 3.11 or newer is needed and none is on the PATH" >&2
    return 1
}

make_venv() {
    local python=$1
    "$python" -m venv .venv >/dev/null 2>&1 && return
    # Debian packages venv's pip apart; a pip or uv that is there already does as well.
    rm -rf .venv
    if "$python" -m venv --without-pip .venv 2>/dev/null \
        && "$python" -m pip --python .venv/bin/python install --quiet pip 2>/dev/null; then
        return
    fi
    rm -rf .venv
    if command -v uv >/dev/null && uv venv --quiet --seed --python "$python" .venv; then
        return
    fi
    rm -rf .venv
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing python3-venv"
        apt-get update -qq >/dev/null && apt-get install -y -qq python3-venv >/dev/null 2>&1 \
            && "$python" -m venv .venv && return
    fi
    echo "$python cannot make a virtual environment: install python3-venv" >&2
    return 1
}

fingerprint() {
    .venv/bin/python - "$1" <<'PY'
import hashlib, pathlib, sys
print(hashlib.sha256(pathlib.Path(sys.argv[1]).read_bytes()).hexdigest()[:16], sys.version.split()[0])
PY
}

if ! .venv/bin/python -c '' 2>/dev/null; then
    rm -rf .venv
    make_venv "$(find_python)"
fi
# Each lock contains the one before it, all being locked together.
locks=(base dev outside)
while [ "${locks[0]}" != "$name" ]; do locks=("${locks[@]:1}"); done
for larger in "${locks[@]}"; do
    stamp=.venv/.installed-$larger
    if [ "$(cat "$stamp" 2>/dev/null)" = "$(fingerprint "requirements/$larger.txt")" ]; then
        exit 0
    fi
done
echo "installing $lock into .venv"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
    --require-hashes -r "$lock"
fingerprint "$lock" > ".venv/.installed-$name"
