#!/bin/sh
# install-hooks.sh [--undo | --where]: tells Kiro CLI about AnviLLM, in files of their own: the agent ~/.kiro/agents/anvillm.json (with the
# hooks of 2.x in it) and ~/.kiro/hooks/anvillm.json (the hooks of 3.x). No other file is touched; beside one of them that says something
# else, which may be what you changed, the new version is put as anvillm.json.new. Outside of AnviLLM the hooks are
# silent; of the two forms one reports, as $ANVILLM_KIRO says, since 3.x still runs the hooks of agents.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
# shellcheck source=/dev/null
. "$here/../claude/installer.sh"
helped 'install-hooks.sh [--undo | --where]' "$@"
kiro=${KIRO_HOME:-$HOME/.kiro}
case ${1-} in
--undo)
	rm -f "$kiro/agents/anvillm.json" "$kiro/hooks/anvillm.json"
	exit 0
	;;
--where)
	printf '%s\n' "$kiro/agents/anvillm.json" "$kiro/hooks/anvillm.json"
	exit 0
	;;
'') ;;
*) fail 'usage: install-hooks.sh [--undo | --where]' ;;
esac
# shellcheck disable=SC2154
exec "$python" -I -S "$here/hooks.py" "$python" "$(module hook.py)" "$kiro"
