#!/bin/sh
# The browser tests drive a real Chromium. Find one, or install Debian's when that is possible, or say what is missing.
set -eu
for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then exit 0; fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing Chromium for the browser tests ..."
    if apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        chromium fonts-dejavu-core >/dev/null && command -v chromium >/dev/null; then exit 0; fi
    echo "That failed, see above (on Ubuntu, chromium is a snap: take google-chrome's own package there)." >&2
fi
echo "The browser tests need Chromium, and there is none on this machine. Install it and run make test again:" >&2
echo "    sudo apt-get install chromium fonts-dejavu-core      (Debian)" >&2
echo "    brew install --cask chromium                         (macOS)" >&2
exit 1
