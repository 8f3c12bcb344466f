# Completion of AnviLLM's commands for bash. Source this file, or put it where bash-completion looks, under each command's name.
# Files of the tree, sessions and skills are asked for when Tab is pressed; where no daemon runs there are none.

_anvillm_sessions() {
	anvil9p read agent/list 2>/dev/null | awk -F '\t' '{ print $1; if ($2 != "-") print $2 }'
}

# The files of the tree below the directory that is typed; directories with a slash, aliases at the top.
_anvillm_tree() {
	local directory
	case $1 in
	agent/*) directory=${1%/*}/ ;;
	*) echo agent/; return ;;
	esac
	anvil9p ls -l "${directory%/}" 2>/dev/null | awk -v top="$directory" '{ print top $NF (/^d/ ? "/" : "") }'
	[ "$directory" != agent/ ] || _anvillm_sessions | sed 's,.*,agent/&/,'
}

_anvillm_policies() {
	local file
	for file in "${XDG_CONFIG_HOME:-$HOME/.config}/anvillm/$1"/*.yaml; do
		[ ! -e "$file" ] || basename "$file" .yaml
	done
}

_anvillm() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} first=${COMP_WORDS[1]-} words='' files=''
	COMPREPLY=()
	case ${1##*/} in
	anvilsrv)
		if [ "$COMP_CWORD" = 1 ]; then words='start fgstart stop restart status doctor export login ls ask run attach workflows --help --version'
		elif [ "$first" = fgstart ]; then words='-D --help'
		elif [ "$first" = status ]; then words='--short --help'
		elif [ "$COMP_CWORD" = 2 ] && [ "$first" = ask -o "$first" = attach -o "$first" = ls ]; then words="$(_anvillm_sessions) --help"
		elif [ "$first" = login ]; then
			case $before in
			--from) files=-f ;;
			login) words="$(anvil9p read agent/backends 2>/dev/null | cut -f 1) --from --help" ;;
			*) words='--from --help' ;;
			esac
		elif [ "$first" = run ]; then
			case $before in
			-r | --role) words=$(_anvillm_policies roles) ;;
			-t | --tasks) words=$(_anvillm_policies tasks) ;;
			run) words="$(anvil9p read agent/backends 2>/dev/null | cut -f 1) --role --tasks --help" ;;
			*) words='--role --tasks --help' files=-d ;;
			esac
		else words=--help
		fi ;;
	anvil9p | 9p)
		if [ "$COMP_CWORD" = 1 ]; then words='read readfd write writefd stat rdwr ls rm create con'
		else words=$(_anvillm_tree "$word")
		fi ;;
	anvil-sandbox)
		case $before in
		--role) words=$(_anvillm_policies roles) ;;
		--task) words=$(_anvillm_policies tasks) ;;
		--backend) words=$(anvil9p read agent/backends 2>/dev/null | cut -f 1) ;;
		--cwd) files=-d ;;
		--ro | --rox | --rw | --rwx | --unix) files=-f ;;
		--host | --connect-tcp | --bind-tcp | --env) ;;
		*)
			if [ "$COMP_CWORD" = 1 ]; then words='check show run why trust setup --help --version'
			else
				case $first,$word in
				setup,-*) words='--dry-run --help' ;;
				check,-*) words=--help ;;
				*,-*)
					words='--backend --role --task --cwd --ro --rox --rw --rwx --unix --host --connect-tcp'
					words="$words --bind-tcp --network --env --help" ;;
				run,*) [ "$before" = -- ] && files=-c || files=-f ;;
				why,*) files=-f ;;
				esac
			fi ;;
		esac ;;
	anvillm | anvilweb)
		case $before in
		--ns) files=-d ;;
		--addr | --name) ;;
		*) [ "${1##*/}" = anvillm ] && words='--ns --help --version' ||
			words='--addr --ns --name --unsafe-listen --help --version' ;;
		esac ;;
	anvillm-skills)
		if [ "$COMP_CWORD" = 1 ]; then words='list load --help --version'
		elif [ "$first" = load ]; then words=$(anvillm-skills list 2>/dev/null | cut -f 1)
		fi ;;
	9p-read-inbox)
		case $word in
		-*) words='--all --keep --json --wait --help --version' ;;
		*) words="user $(_anvillm_sessions)" ;;
		esac ;;
	Tell) words=$(_anvillm_sessions) ;;
	Alog)
		case $word in
		-*) words='-f --help --version' ;;
		*) words=$(_anvillm_sessions) ;;
		esac ;;
	Assist)
		if [ "$COMP_CWORD" = 1 ]; then words='main prompt log ask context inbox archive message compose daemon'
		else words="user $(_anvillm_sessions)"
		fi ;;
	Claude | Kiro) files=-d ;;
	*) words='--help --version' ;;
	esac
	local IFS=$'\n'
	if [ -n "$files" ]; then
		compopt -o filenames
		COMPREPLY=($(compgen "$files" -- "$word"))
	else
		COMPREPLY=($(compgen -W "${words// /$'\n'}" -- "$word"))
	fi
	case ${COMPREPLY[0]-} in
	*/) [ ${#COMPREPLY[@]} != 1 ] || compopt -o nospace ;;
	esac
}

complete -F _anvillm anvilsrv anvil9p anvil-sandbox anvillm anvilweb anvilmcp anvillm-skills anvillm-notify \
	9p-read-inbox Alog Assist Claude Kiro Tell
complete -p 9p >/dev/null 2>&1 || complete -F _anvillm 9p
