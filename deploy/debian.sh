#!/usr/bin/env bash
# Fetch from Debian what some tests look at: promtool (unpacked into .tools, no service is started), Chromium and kcat.
# Never fails: what cannot be had is named, and the tests that need it skip with that reason.
set -u
cd "$(dirname "$0")/.."
say() { echo "make debian: $*"; }

missing=()
[ -x .tools/bin/promtool ] || command -v promtool >/dev/null || missing+=(promtool)
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
  || missing+=(chromium)
command -v kcat >/dev/null || missing+=(kcat)
[ ${#missing[@]} -eq 0 ] && exit 0
if ! command -v apt-get >/dev/null; then
  say "no apt-get here; install ${missing[*]} yourself, or their tests are skipped"
  exit 0
fi
[ "$(id -u)" = 0 ] && { apt-get update -qq >/dev/null 2>&1 || say "apt-get update failed; trying with the old lists"; }

for tool in "${missing[@]}"; do
  case $tool in
    promtool)
      work=$(mktemp -d)
      if (cd "$work" && chmod 755 . && apt-get download -qq prometheus) >/dev/null 2>&1 \
        && dpkg -x "$work"/prometheus_*.deb "$work/root"; then
        mkdir -p .tools/bin && install -m 755 "$work/root/usr/bin/promtool" .tools/bin/promtool
      else
        say "promtool could not be fetched; the tests of deploy/prometheus are skipped"
      fi
      rm -rf "$work"
      ;;
    kcat)
      if [ "$(id -u)" != 0 ]; then
        say "kcat needs root: sudo apt-get install kcat; until then its test is skipped"
      elif ! DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends kcat >/dev/null 2>&1; then
        say "kcat could not be installed; its test is skipped"
      fi
      ;;
    chromium)
      if [ "$(id -u)" != 0 ]; then
        say "Chromium needs root: sudo apt-get install chromium; until then the screenshot test is skipped"
      elif ! DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null 2>&1; then
        say "Chromium could not be installed; the screenshot test is skipped"
      fi
      ;;
  esac
done
exit 0
