# shellcheck shell=sh disable=SC2154

# Sourced by the installers: where the programs are, and how an entry is put into a JSON file or taken out (anvilsrv/merge.py).
root=$(CDPATH='' cd -- "$here/.." && pwd -P)

fail() {
	echo "${0##*/}: $*" >&2
	exit 1
}

if [ -x "$root/.venv/bin/python" ]; then
	python=$root/.venv/bin/python
else
	python=$(command -v python3) || fail 'python3 is needed'
fi

merge() {
	"$python" -I -S "$root/anvilsrv/merge.py" "$@"
}

# The path of one of our programs as a JSON string.
program() {
	found=$root/.venv/bin/$1
	[ -x "$found" ] || found=$(command -v "$1") || fail "$1 is not installed"
	"$python" -c 'import json, sys; print(json.dumps(sys.argv[1]))' "$found"
}

# install_server FILE [--undo]
install_server() {
	case ${2-} in
	--undo) merge drop "$1" mcpServers.anvillm ;;
	'') merge put "$1" mcpServers.anvillm "$(server)" ;;
	*) fail "usage: ${0##*/} [--undo]" ;;
	esac
}

# With the interpreter that has the SDK: the installation's own.
server() {
	if [ -x "$root/.venv/bin/anvilmcp" ] || command -v anvilmcp >/dev/null 2>&1; then
		printf '{"command": %s, "args": []}\n' "$(program anvilmcp)"
	else
		"$python" -c 'import json, sys; print(json.dumps({"command": sys.argv[1], "args": ["-I", "-m", "anvilsrv.mcpserver"]}))' "$python"
	fi
}
