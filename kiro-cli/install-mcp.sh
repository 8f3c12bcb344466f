#!/bin/sh
# install-mcp.sh [--undo | --where]: adds AnviLLM's MCP server to Kiro's list, or takes it out again, or says which file.
# The list is ~/.kiro/settings/mcp.json (cli.json, beside it, holds plain settings). Everything else in it stays; a copy of its
# first state is kept as mcp.json.anvillm-backup; a file that is not JSON is refused.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
# shellcheck source=/dev/null
. "$here/../claude/installer.sh"
helped 'install-mcp.sh [--undo | --where]' "$@"
install_server "${KIRO_SETTINGS:-$HOME/.kiro/settings}/mcp.json" "$@"
