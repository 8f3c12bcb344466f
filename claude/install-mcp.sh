#!/bin/sh
# install-mcp.sh [--desktop] [--undo | --where]: adds AnviLLM's MCP server to your own Claude Code (~/.claude.json) or, with
# --desktop, to Claude Desktop, so that they can talk to agents; or takes it out again, or says which file. Agents that AnviLLM starts have it without this.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
# shellcheck source=/dev/null
. "$here/installer.sh"
helped 'install-mcp.sh [--desktop] [--undo | --where]' "$@"
file=${CLAUDE_CONFIG_DIR:-$HOME}/.claude.json
if [ "${1-}" = --desktop ]; then
	shift
	case $(uname) in
	Darwin) file="$HOME/Library/Application Support/Claude/claude_desktop_config.json" ;;
	*) file=${XDG_CONFIG_HOME:-$HOME/.config}/Claude/claude_desktop_config.json ;;
	esac
fi
install_server "$file" "$@"
