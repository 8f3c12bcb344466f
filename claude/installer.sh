# shellcheck shell=sh disable=SC2154

# Sourced by the installers: where the programs are, and how an entry is put into a JSON file or taken out (anvilsrv/programs/json_entry.py).
# The programs are in .venv/bin of a source tree, in bin/ of the environment that this is installed in (as share/anvillm/claude),
# or in the PATH.
root=$(CDPATH='' cd -- "$here/.." && pwd -P)

fail() {
	echo "${0##*/}: $*" >&2
	exit 1
}

# helped USAGE WORD...: says the usage and ends if any of the words asks for help, before anything is done.
helped() {
	usage=$1
	shift
	for word; do
		case $word in -h | --help)
			echo "usage: $usage"
			exit
			;;
		esac
	done
}

programs=
for one in "$root/.venv/bin" "${root%/share/anvillm}/bin"; do
	if [ -x "$one/python" ] && [ -x "$one/anvilmcp" ]; then
		programs=$one
		break
	fi
done
python=${programs:+$programs/python}
[ -n "$python" ] || python=$(command -v python3) || fail 'python3 is needed'

# The path of a module of ours.
module() {
	if [ -f "$root/anvilsrv/$1" ]; then
		echo "$root/anvilsrv/$1"
	else
		"$python" -I -c 'import importlib.util, sys; print(importlib.util.find_spec("anvilsrv").submodule_search_locations[0] + "/" + sys.argv[1])' "$1"
	fi
}

merge() {
	"$python" -I -S "$(module programs/json_entry.py)" "$@"
}

# install_server FILE [--undo | --where]
install_server() {
	case ${2-} in
	--undo) merge drop "$1" mcpServers.anvillm ;;
	--where) printf '%s\n' "$1" ;;
	'') merge put "$1" mcpServers.anvillm "$(server)" ;;
	*) fail "usage: ${0##*/} [--undo | --where]" ;;
	esac
}

# With the interpreter that has the SDK: the installation's own.
server() {
	if [ -n "$programs" ]; then
		set -- "$programs/anvilmcp"
	elif command -v anvilmcp >/dev/null; then
		set -- "$(command -v anvilmcp)"
	else
		set -- "$python" -I -m anvilsrv.inside.mcpserver
	fi
	"$python" -c 'import json, sys; print(json.dumps({"command": sys.argv[1], "args": sys.argv[2:]}))' "$@"
}
