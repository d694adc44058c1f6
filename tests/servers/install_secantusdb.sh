#!/bin/sh
# Makes .tools/secantusdb, an environment of its own (GPL-2.0: never a dependency) with a server that speaks MongoDB's protocol.
set -eu
cd "$(dirname "$0")/../.."
VERSION=0.7.0b3
ENVIRONMENT=.tools/secantusdb
READY=$ENVIRONMENT/.ready-$VERSION

[ -e "$READY" ] && exit 0
echo "Installing secantusdb $VERSION into $ENVIRONMENT ..."
mkdir -p .tools
if command -v uv >/dev/null 2>&1 && uv --version >/dev/null 2>&1; then UV=uv; else UV=.tools/uv/bin/uv; fi
if "$UV" --version >/dev/null 2>&1; then
    "$UV" venv --quiet --no-project --clear --python '>=3.11' "$ENVIRONMENT"
    "$UV" pip install --quiet --python "$ENVIRONMENT" "secantusdb==$VERSION"
else
    python3 -m venv --clear "$ENVIRONMENT"
    "$ENVIRONMENT/bin/python" -m pip install --quiet --disable-pip-version-check "secantusdb==$VERSION"
fi
touch "$READY"
