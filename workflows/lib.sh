# What the workflows share: starting agents together, telling them what they are, and cleaning up when that fails.
# Sourced, not run. Everything is done over agent/ with 9p or anvil9p, whichever is there.
#
#   begin "$@"          reads <backend> <directory> [task] and the options; sets backend, dir, task, branch and tag
#   start PART ROLE [BRANCH]
#                       starts an agent with the alias <tag>-PART, in that role, on a branch of its own; its id is then in $id
#   context ID          what stands before its prompts, from standard input
#   ready ID...         waits until these agents can work; fails if one cannot
#   prompt ID           a prompt, from standard input; kept if the agent is busy
#   give ID             makes a bead of the task, if there is one, and tells this agent to do it
#   finish PART...      keeps what was started and says what to do next; without it every agent is killed again

set -eu

program=${0##*/}
usage="usage: $program ${synopsis:-[-r role] [-t task,task...] [-b branch] <backend> <directory> ['what to do']}"
for word; do
	case $word in -h | --help)
		echo "$usage"
		exit
		;;
	esac
done
ninep=$(command -v 9p || command -v anvil9p) || { echo "$program: neither 9p nor anvil9p is there" >&2; exit 2; }
# Behind that, plan9port's own sed, awk and the like may not come before those of the system.
PATH=$(command -p getconf PATH):$PATH
started=
grants=
branch=
asked=

fail() {
	echo "$program: $*" >&2
	exit 1
}

usage() {
	echo "$usage" >&2
	exit 2
}

undo() {
	status=$?
	trap - EXIT
	for one in $started; do
		echo kill | "$ninep" write "agent/$one/ctl" 2>/dev/null || :
	done
	[ -z "$started" ] || echo "$program: stopped what was started" >&2
	exit "$status"
}

# shellcheck disable=SC2034 # DevReview reads branch
begin() {
	while getopts b:n:r:t: option; do
		case $option in
		r) asked=$OPTARG ;; # all parts in one role, instead of each in its own
		t) grants="$grants tasks=$OPTARG" ;;
		b) branch=$OPTARG ;;
		n) [ -n "${count-}" ] || usage; count=$OPTARG ;;
		*) usage ;;
		esac
	done
	shift $((OPTIND - 1))
	[ $# = 2 ] || [ $# = 3 ] || usage
	backend=$1 task=${3-}
	dir=$(cd -- "$2" 2>/dev/null && pwd) || fail "no directory '$2'"
	sessions=$("$ninep" read agent/list) || fail "no daemon here: anvilsrv start"
	# The aliases of one run share a tag: the directory's name, with a number if that is taken.
	name=$(printf '%s\n' "${dir##*/}" | sed 's/[^A-Za-z0-9_]/-/g; s/^-*//; s/-*$//' | cut -c 1-40)
	name=${name:-work} tag=$name
	n=1
	while printf '%s\n' "$sessions" | awk -F '\t' -v tag="$tag-" 'index($2, tag) == 1 { found = 1 } END { exit !found }'; do
		n=$((n + 1)) tag=$name$n
	done
	trap undo EXIT
	trap 'exit 130' HUP INT TERM
}

# What a ctl file answers to a command; rdwr prints an empty line before it.
said() { printf %s "$1" | "$ninep" rdwr "$2" | sed '/^$/d'; }

start() {
	quoted=$(printf '%s\n' "$dir" | sed "s/'/''/g")
	id=$(said "new $backend '$quoted' alias=$tag-$1 role=${asked:-$2}$grants${3+ branch=$3}" agent/ctl)
	[ -n "$id" ] || fail "could not start $tag-$1"
	started="$started $id"
}

context() { "$ninep" write "agent/$1/context"; }

prompt() { "$ninep" write "agent/$1/in"; }

give() {
	[ -n "$task" ] || return 0
	# One line each, since rdwr sends every line as a write of its own. cut counts bytes and may halve a character.
	quoted=$(set -f; set -- $task; printf %s "$*" | sed "s/'/''/g")
	title=$(printf '%s\n' "$task" | sed '/./!d; q' | cut -c 1-100 | iconv -c -f UTF-8 -t UTF-8 | sed "s/'/''/g")
	bead=$(said "new '$title' 'description=$quoted'" agent/beads/ctl)
	[ -n "$bead" ] || fail "could not make a bead of the task"
	printf 'Claim bead %s, do it, and complete it when all have agreed. It says:\n\n%s\n' "$bead" "$task" | prompt "$1"
}

ready() {
	pipes=$(mktemp -d)
	mkfifo "$pipes/events"
	for one; do
		# From the first event that is kept: nothing that happened before we look is missed.
		"$ninep" read agent/events.0 >"$pipes/events" 2>/dev/null &
		reader=$!
		state=starting
		while [ "$state" = starting ] && IFS= read -r event; do
			case $event in
			*"$one"*) state=$("$ninep" read "agent/$one/state" 2>/dev/null) || state=gone ;;
			esac
		done <"$pipes/events"
		kill "$reader" 2>/dev/null || :
		wait "$reader" 2>/dev/null || :
		case $state in
		idle | running) ;;
		*) rm -rf "$pipes"; fail "agent $one could not start: it is $state" ;;
		esac
	done
	rm -rf "$pipes"
}

# The answer to the newest prompt of an agent; waits for it.
answer() { "$ninep" read "agent/$1/turns/last/out"; }

# The id of a part.
of() { "$ninep" read agent/list | awk -F '\t' -v alias="$tag-$1" '$2 == alias { print $1 }'; }

# Keeps the agents (first the one that leads, by its part) and says what to do next.
finish() {
	trap - EXIT HUP INT TERM
	client=${ninep##*/}
	for part; do
		printf '%-10s %s  %s-%s\n' "$part" "$(of "$part")" "$tag" "$part"
	done
	[ -z "$task" ] || echo "$tag-$1 has been told what to do (bead $bead)"
	cat <<-END

		Next:
		  echo 'what to do' | $client write agent/$tag-$1/in
		  $client read agent/$tag-$1/log        # follow it
		  9p-read-inbox -w user      # wait for what it sends you
		  for i in $*; do echo kill | $client write agent/$tag-\$i/ctl; done
	END
}
