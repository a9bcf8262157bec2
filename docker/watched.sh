#!/bin/sh
# `adql` with the packages in /tmp/source, where skaffold.yaml copies what changes; it starts anew when something does.
set -eu
export PYTHONPATH=/tmp/source
if [ ! -d /tmp/source ]; then
  installed=$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  mkdir /tmp/source.part
  cp -r "$installed/adql" "$installed/adql_services" /tmp/source.part
  mv /tmp/source.part /tmp/source
fi
exec watchfiles --target-type command --filter python "adql $*" /tmp/source
