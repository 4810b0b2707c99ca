#!/usr/bin/env bash
# Has a Chromium for the browser tests: one that is there, else Debian's, else Playwright's own.
# Without one those tests skip, and say so.
set -euo pipefail
cd "$(dirname "$0")/.."

has_browser() {
    .venv/bin/python -m tests.outside.chromium >/dev/null
}

has_browser && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing chromium"
    if apt-get update -qq >/dev/null \
        && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
            chromium fonts-dejavu-core >/dev/null 2>&1 && has_browser; then
        exit 0
    fi
fi
echo "installing Playwright's own chromium"
if .venv/bin/playwright install chromium-headless-shell >/dev/null 2>&1 && has_browser; then
    exit 0
fi
echo "no Chromium could be installed: the browser tests will be skipped" >&2
